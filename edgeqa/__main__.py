"""The entry point of the program, also for `python -m edgeqa`: it makes the settings that must come before all imports.

A remembered answer that a script asks for is printed here; all else is done by `cli`.
An interrupt ends the program with exit code 130 and one line, whatever it is doing, even during an import.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import FrameType

EXIT_DEVICE, EXIT_INTERRUPTED = 3, 130  # the same as in `errors`, which is not imported yet
# With these, the command line does something else: it completes a word, or shows where an error arose.
_OTHERWISE = ("_EDGEQA_COMPLETE", "EDGEQA_DEBUG")
_MOST_BYTES = 1 << 22  # of a file: the digest of a longer one takes longer than click


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    # onnxruntime computes the matrix products; numpy's own library would reserve memory for each core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A start makes many objects and no garbage: to collect as often as usual would take milliseconds.
    gc.set_threshold(50_000)
    interrupted = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        # A second Ctrl-C must not interrupt the exit.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupted = True
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # else the caller has asked to ignore interrupts
        signal.signal(signal.SIGINT, interrupt)
    try:
        import warnings

        warnings.formatwarning = lambda message, *_, **__: f"edgeqa: {message}\n"
        ended = answered(sys.argv[1:])
        if ended is None and not interrupted:
            from edgeqa.cli import run

            ended = run()
        code = EXIT_INTERRUPTED if ended is None else ended
    except ModuleNotFoundError as missing:  # a module that the command line itself needs
        if interrupted or not missing.name or missing.name.startswith("edgeqa"):
            raise
        sys.stderr.write(f"edgeqa: {missing.name} is not installed\n  hint: pip install {missing.name}\n")
        code = EXIT_DEVICE
    except BaseException:
        # An interrupt in the middle of an import may turn into another error.
        if not interrupted:
            raise
    if interrupted:
        with contextlib.suppress(AttributeError, OSError):  # standard error may be closed, or full
            sys.stderr.write("edgeqa: interrupted\n")
        code = EXIT_INTERRUPTED
    _exit(code)


def answered(arguments: Sequence[str]) -> int | None:
    """Prints the answer to `ask -q QUESTION FILE...` if it is remembered; returns the exit code.

    Scripts ask so, again and again, and click alone takes longer to load than all else that a remembered answer needs.
    None means that the command line has to do it: other arguments, nothing that is remembered, and all that fails,
    which it meets again and says. Nothing is said, read or remembered here.
    """
    match arguments:
        case ["ask", "-q" | "--quiet", str(question), *files] if files:
            pass
        case _:
            return None
    if any(word.startswith("-") for word in (question, *files)) or any(os.environ.get(name) for name in _OTHERWISE):
        return None
    # Other commands need none of these.
    from pathlib import Path

    paths = [*map(Path, files)]
    # What is opened must not take the place of a closed stream.
    if sys.stdout is None or sys.stderr is None or not all(map(_is_read_in_no_time, paths)):
        return None
    try:
        from edgeqa import runtime
        from edgeqa.asking.documents import from_path
        from edgeqa.errors import EXIT_ANSWERED, EXIT_NO_ANSWER
        from edgeqa.screen import plain

        with runtime.open(encoding_store_bytes=0) as qa:
            answer = qa.remembered(question, [*map(from_path, paths)])
        if answer is None:
            return None
        if answer.text is not None:
            line = plain(" ".join(answer.text.split())) + "\n"
            line.encode(sys.stdout.encoding)  # what a narrow one lacks is escaped, whatever the stream would do
            sys.stdout.write(line)
            sys.stdout.flush()
    except Exception:  # the command line meets it again, and prints on streams that fit
        return None
    return EXIT_NO_ANSWER if answer.text is None else EXIT_ANSWERED


def _is_read_in_no_time(path: Path) -> bool:
    """Tells whether a file can be read twice, for a miss, and sooner than click is loaded.

    A pipe (`/dev/stdin`, `<(...)`) holds its text once, and waits for it.
    """
    from stat import S_ISREG

    try:
        found = path.stat()
    except (OSError, ValueError):
        return False
    return S_ISREG(found.st_mode) and found.st_size <= _MOST_BYTES


def _exit(code: int) -> None:
    """Ends the process at once: all is closed, and the usual end of the interpreter takes longer than a hit."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # `streams` has reported the fault already
        sys.exit(code)
    os._exit(code)


if __name__ == "__main__":
    main()

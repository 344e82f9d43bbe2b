"""The entry point of the program, also for `python -m edgeqa`: it makes the settings that must come before all imports.

A plain line of `edgeqa ask` is read here, and answered by `asked`; all else is read by click, in `cli`.
An interrupt ends the program with exit code 130 and one line, whatever it is doing, even during an import.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

EXIT_DEVICE, EXIT_INTERRUPTED = 3, 130  # the same as in `errors`, which is not imported yet
_FLAGS = {
    "-q": "quiet",
    "--quiet": "quiet",
    "--json": "as_json",
    "--force": "force",
    "--no-cache": "no_cache",
    "--refresh": "refresh",
}
_NUMBER = {str(number): number for number in range(1, 101)}.get
_READER = {name: name for name in ("fast", "careful", "auto")}.get
# By option: the argument of `ask`, and what reads a value: None for one that click reads otherwise, or refuses.
_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "--text": ("texts", str),
    "--in": ("within", str),
    "--bundle": ("bundle", str),
    "--provider": ("provider", str),
    "--collection": ("collection", lambda name: name if name.isascii() else None),
    "--reader": ("reader", _READER),
    "--top": ("top", _NUMBER),
    "--contexts": ("most_contexts", _NUMBER),
    "--threads": ("threads", _NUMBER),
}
_REPEATED = ("texts", "within")


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
        if (asked := understood(sys.argv[1:])) is not None:
            code = _answered(asked, lambda: interrupted)
        else:
            from edgeqa.cli import run

            code = run()
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


def understood(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Returns what a line asks, as the arguments of `edgeqa.asked.ask`, if click would read the same in it.

    click takes longer to load than all else that a remembered answer needs. What is not written plainly is for click:
    None stands for another command, for all that it says itself (help, mistakes, completions), for other options, and
    for other spellings. Only words and the environment are looked at: no file, and no standard input.
    """
    if arguments[:1] != ["ask"] or os.environ.get("_EDGEQA_COMPLETE"):
        return None
    asked: dict[str, Any] = {"cluster": os.environ.get("EDGEQA_CLUSTER") or None}
    plain: list[str] = []
    words = iter(arguments[1:])
    for word in words:
        if not word.startswith("-") or word == "-":
            plain.append(word)
        elif word in _FLAGS:
            asked[_FLAGS[word]] = True
        elif word in _VALUES:
            name, read = _VALUES[word]
            value = next(words, None)
            if value is None or (known := read(value)) is None:
                return None
            asked[name] = (*asked.get(name, ()), known) if name in _REPEATED else known
        else:
            return None
    return {**asked, "question": plain[0], "files": tuple(plain[1:])} if plain else None


def _answered(asked: dict[str, Any], is_interrupted: Callable[[], bool]) -> int:
    """Answers what was asked; returns the exit code. A failure is reported as the command line does it."""
    from edgeqa import streams

    streams.settle()
    try:
        from edgeqa.asked import ask

        code = ask(**asked)
        sys.stdout.flush()
    except KeyboardInterrupt:
        streams.say("")  # what is said next stands below the terminal's ^C
        raise
    except Exception as error:
        if is_interrupted():  # in the middle of an import, it may turn into another error
            raise
        from edgeqa.cli import failed

        return failed(error)
    streams.leave(output_failed=False)
    return code


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

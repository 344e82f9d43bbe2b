"""The entry point of the program, also for `python -m edgeqa`: it makes the settings that must come before all imports.

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
    from types import FrameType

EXIT_DEVICE, EXIT_INTERRUPTED = 3, 130  # the same as in `errors`, which is not imported yet


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

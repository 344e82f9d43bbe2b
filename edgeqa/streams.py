"""Standard output and standard error, which may be closed, full, or in a narrow encoding when the process starts.

`settle` makes them fit to be written to; from then on, a failed write to standard output is an `OutputFailed`. A failed
write to standard error is ignored: there is no other place to report it. Work that takes long shows its progress on
standard error.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from edgeqa.errors import OutputFailed, printed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from _typeshed import ReadableBuffer

_OUTPUT, _ERROR = 1, 2  # file descriptors
STEERING = r"\x7f-\x9f\u202a-\u202e\u2066-\u2069"
"""Characters that command a terminal, or turn the direction of the text after them, as part of a pattern."""
# In JSON, also marks that turn single characters, and characters that some programs take for the end of a line.
# These patterns, and those of other modules that are strings, are compiled at their first use: a start needs none.
_ESCAPED = rf"[{STEERING}\u061c\u200e\u200f\u2028\u2029]"
_LONE_SURROGATE = "[\ud800-\udfff]"
_UNDECODED = "[\udc80-\udcff]+"
_NOT_ASCII = "[^\0-\x7f]+"
_STYLE = r"\x1b\[[0-?]*[ -/]*[@-~]"
SHOWN_AFTER_S = 1.0
"""Work that takes at most so long shows no progress."""


class _Output(io.FileIO):
    """Standard output, with errors of a class of their own."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:  # the reader has seen enough, which is no failure
            raise
        except OSError as error:
            raise OutputFailed(error.strerror or str(error)) from error


def settle() -> None:
    """Puts the null device in the place of a closed stream, and lets each print any character, escaped if needed."""
    sys.stderr = sys.stderr or _null(_ERROR)
    inherited = sys.stdout or _null(_OUTPUT)
    if sys.__stdout__ is not None and inherited is sys.__stdout__:  # a caller's own stream stays as it is
        watched = io.BufferedWriter(_Output(_OUTPUT, "wb", closefd=False))
        sys.stdout = io.TextIOWrapper(watched, inherited.encoding, line_buffering=inherited.isatty())
    else:
        sys.stdout = inherited
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def takes_all_characters() -> bool:
    """Tells whether standard output is in Unicode, so that only lone surrogates are escaped."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def is_plain() -> bool:
    """Tells whether to print no colours: NO_COLOR is set (https://no-color.org), or the terminal has none."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def print_json(value: object) -> None:
    """Prints a JSON value on a line of its own; it is escaped if standard output does not take all characters.

    Characters that command a terminal, or turn the direction of writing, are always escaped. Some parsers refuse half a
    surrogate pair in JSON, so the bytes of a name that are no UTF-8 are escaped, as elsewhere.
    """
    import json

    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = re.sub(_ESCAPED, lambda found: f"\\u{ord(found.group()):04x}", text)
    if not text.isascii():
        text = re.sub(_LONE_SURROGATE, "\ufffd", re.sub(_UNDECODED, _escaped, text))
        if not takes_all_characters():
            text = re.sub(_NOT_ASCII, lambda found: json.dumps(found.group())[1:-1], text)
    echo(text)


def print_either(facts: object, text: str, *, as_json: bool) -> None:
    """Prints the result of a command: a JSON value, or a text for a person."""
    if as_json:
        print_json(facts)
    else:
        echo(text)


def _escaped(found: re.Match[str]) -> str:
    return printed(found.group()).replace("\\", "\\\\")


def say(line: str) -> None:
    """Prints a line on standard error, if it can be written."""
    unfailing(lambda: echo(line, err=True))


def echo(text: str, *, err: bool = False) -> None:
    """Prints a line at once; its styles are for terminals.

    It prints what click would print, since a remembered answer is there sooner than click is loaded.
    """
    stream = sys.stderr if err else sys.stdout
    if "\x1b" in text and (is_plain() or not stream.isatty()):
        text = re.sub(_STYLE, "", text)
    if not text.isascii() and stream.encoding and codecs.lookup(stream.encoding).name == "ascii":
        import click

        click.echo(text, err=err)  # it takes such a stream for one of UTF-8 that nobody has set up
        return
    stream.write(text + "\n")
    stream.flush()


def unfailing(show: Callable[[], None]) -> None:
    """Calls a function that prints on standard error; output that cannot be written is lost."""
    with contextlib.suppress(OSError):
        show()


def leave(*, output_failed: bool) -> None:
    """Drops output that a stream does not take: Python would try again at its end, and change the exit code."""
    if output_failed:
        _silence(_OUTPUT)
    try:
        sys.stderr.flush()
    except OSError:
        _silence(_ERROR)


def _silence(descriptor: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _null(descriptor: int) -> io.TextIOWrapper:
    # It takes the closed descriptor; else the next file that is opened would, with whatever a library prints.
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    return io.TextIOWrapper(io.FileIO(descriptor, "wb", closefd=False), "utf-8", write_through=True)


class ProgressBar:
    """A bar on standard error: a context manager, called with (doing, done, total) as the work goes on."""

    def __init__(self, show_rate: Callable[[float], str] | None = None) -> None:
        """Makes a bar that shows nothing yet.

        Args:
            show_rate: a function that formats a rate a second; None to show no rate.
        """
        self._show_rate = show_rate
        self._began = time.monotonic()
        self._seen, self._doing_began = "", self._began
        self._doing = ""
        self._done = 0
        self._bar: Any = None  # click does not name the type of its bar

    def __call__(self, doing: str, done: int, total: int) -> None:
        """Moves the bar to `done` of `total`; a new `doing` begins a new bar."""
        now = time.monotonic()
        if doing != self._seen:  # the first work began before the first call
            self._doing_began, self._seen = now if self._seen else self._began, doing
        if doing != self._doing:
            if os.environ.get("TERM") == "dumb":  # it cannot go back to the beginning of a line
                return
            if now - self._began < SHOWN_AFTER_S or done >= total:
                return
            self._finish()
            from click import progressbar

            self._bar = progressbar(
                length=total,
                label=f"edgeqa: {doing}",
                file=sys.stderr,
                show_eta=True,
                item_show_func=lambda rate: rate,
                color=False if is_plain() else None,
            )
            # The bar counts the time before it was shown, too; else the estimate of the rest would be far too short.
            self._bar.start = self._bar.last_eta = time.time() - (now - self._doing_began)
            self._doing, self._done = doing, 0
            with contextlib.suppress(OSError):  # standard error may be full, and the work goes on
                self._bar.__enter__()
        with contextlib.suppress(OSError):
            rate = done / max(now - self._doing_began, 1e-3)
            self._bar.update(done - self._done, self._show_rate(rate) if self._show_rate is not None else None)
        self._done = done

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finish()

    def _finish(self) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.__exit__(None, None, None)
            self._bar = None

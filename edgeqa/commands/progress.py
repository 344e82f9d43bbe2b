"""A progress bar on stderr for work that takes longer than a second; shorter work shows nothing."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SHOWN_AFTER_S = 1.0


class ProgressBar:
    """Called with (doing, done, total) as the work goes on; to be used as a context manager."""

    def __init__(self, show_rate: Callable[[float], str] | None = None) -> None:
        """Shows nothing yet.

        Args:
            show_rate: returns how so much a second is written; None to show no rate.
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
        if doing != self._seen:  # what is done first began before it was told of
            self._doing_began, self._seen = now if self._seen else self._began, doing
        if doing != self._doing:
            if os.environ.get("TERM") == "dumb":  # which cannot go back to the beginning of a line
                return
            if now - self._began < SHOWN_AFTER_S or done >= total:
                return
            self._finish()
            self._bar = click.progressbar(
                length=total,
                label=f"edgeqa: {doing}",
                file=sys.stderr,
                show_eta=True,
                item_show_func=lambda rate: rate,
            )
            # What was done before the bar was shown took its time, too; else the time left would be far too short.
            self._bar.start = self._bar.last_eta = time.time() - (now - self._doing_began)
            self._doing, self._done = doing, 0
            with contextlib.suppress(OSError):  # standard error may be full, which is no reason to stop working
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

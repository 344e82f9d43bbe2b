"""Raises KeyboardInterrupt at the n-th line of some files, for tests that interrupt at every step."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import FrameType

LOCKING = ("with self._lock:", "with _table.lock:")
"""Lines where only tracing can raise between the end of a block and letting go: a signal comes after it."""


def interrupted_at(step: int, act: Callable[[], object], files: Collection[str]) -> bool:
    """Calls `act` with an interrupt at its n-th line in files of these names; returns whether there was such a line."""
    seen = 0

    def on_line(frame: FrameType, event: str, _: Any) -> Any:  # noqa: ANN401 - a trace function
        nonlocal seen
        if event == "line" and linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() not in LOCKING:
            seen += 1
            if seen == step:
                sys.settrace(None)
                raise KeyboardInterrupt
        return on_line

    def on_call(frame: FrameType, _event: str, _: Any) -> Any:  # noqa: ANN401 - a trace function
        return on_line if Path(frame.f_code.co_filename).name in files else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False

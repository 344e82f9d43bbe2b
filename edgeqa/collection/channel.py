"""A bounded queue between two threads of a pipeline that can be ended from either side.

Blocks of work go through it, so that threads change places a few times a second and not at every context. Whoever
breaks off closes it, and the other's next `put` or `get` ends too, instead of waiting for ever.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class ChannelClosed(Exception):
    """The other side has broken off, or is done."""


class Channel(Generic[T]):
    """First in, first out, for one thread on each side."""

    def __init__(self, most: int) -> None:
        """Makes it for `most` items at a time."""
        self._most = most
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = self._broken = False
        self.waited_s = 0.0
        """How long `get` has waited for items so far."""

    def put(self, item: T) -> None:
        """Waits for room, and puts an item in.

        Raises:
            ChannelClosed: if nobody takes items out any more.
        """
        with self._changed:
            while len(self._items) >= self._most and not self._broken:
                self._changed.wait()
            if self._broken:
                raise ChannelClosed
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T:
        """Waits for an item, and takes it out.

        Raises:
            ChannelClosed: if no item will come any more.
        """
        began = time.perf_counter()
        with self._changed:
            while not self._items and not self._ended and not self._broken:
                self._changed.wait()
            self.waited_s += time.perf_counter() - began
            if self._broken or not self._items:
                raise ChannelClosed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self) -> None:
        """Says that no more items will be put in; those in it can still be taken out."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Breaks off: nothing goes in or out any more."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()

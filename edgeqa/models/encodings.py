"""Encodings of contexts seen before, kept in memory up to a number of bytes: token ids in, an encoding out.

The least recently used goes first. Safe from many threads; two that miss the same context at once both encode it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from edgeqa.models.reader import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.models.reader import Ids
    from edgeqa.models.readers import ContextEncoding


E = TypeVar("E", bound="ContextEncoding")


class Encodings(Generic[E]):
    """A bounded store in front of an encoder."""

    def __init__(self, encode: Callable[[Ids], E], budget_bytes: int) -> None:
        self._encode = encode
        self._budget_bytes = budget_bytes
        self._held: OrderedDict[bytes, E] = OrderedDict()
        self._held_bytes = 0
        self._lock = threading.Lock()

    def of(self, ids: Ids) -> E:
        """Returns the encoding of the context with these token ids."""
        key = ids.tobytes()
        with self._lock:
            if (known := self._held.get(key)) is not None:
                self._held.move_to_end(key)
                return known
        encoding = self._encode(ids)
        with self._lock:
            if key not in self._held:
                self._held[key] = encoding
                self._held_bytes += _size_bytes(encoding) + len(key)
            while self._held_bytes > self._budget_bytes and self._held:
                gone_key, gone = self._held.popitem(last=False)
                self._held_bytes -= _size_bytes(gone) + len(gone_key)
        return encoding


def _size_bytes(encoding: ContextEncoding) -> int:
    return encoding.size_bytes if isinstance(encoding, Encoding) else encoding.nbytes

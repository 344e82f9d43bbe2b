"""Encodings of contexts seen before, kept in memory up to a number of bytes: token ids in, an encoding out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from edgeqa.models.kept import Kept
from edgeqa.models.reader import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.models.reader import Ids
    from edgeqa.models.readers import ContextEncoding


E = TypeVar("E", bound="ContextEncoding")


class Encodings(Generic[E]):
    """A bounded store in front of an encoder. Safe from many threads."""

    def __init__(self, encode: Callable[[Ids], E], budget_bytes: int) -> None:
        self._encode = encode
        self._kept: Kept[E] = Kept(budget_bytes)

    def of(self, ids: Ids) -> E:
        """Returns the encoding of the context with these token ids."""
        key = ids.tobytes()
        encoding = self._kept.get(key)
        if encoding is None:
            encoding = self._encode(ids)
            self._kept.put(key, encoding, _size_bytes(encoding) + len(key))
        return encoding


def _size_bytes(encoding: ContextEncoding) -> int:
    return encoding.size_bytes if isinstance(encoding, Encoding) else encoding.nbytes

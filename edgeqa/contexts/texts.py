"""Documents to passages, remembered for short texts: one that is asked again is neither normalised nor tokenised again.

In: documents. Out: their passages. Kept up to a number of bytes; what is long is cut up as it comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.contexts.passages import Passage, passages
from edgeqa.models.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.contexts.documents import Document
    from edgeqa.contexts.passages import Limits, Tokenize

SHORT_BYTES = 1 << 14  # of a longer text, reading takes so long that cutting it up does not show
_OBJECT_BYTES = 800  # a passage's objects, besides what its arrays and its text hold


class Passages:
    """Cuts documents up. Safe from many threads."""

    def __init__(self, tokenize: Tokenize, limits: Limits, budget_bytes: int = 0) -> None:
        self.tokenize = tokenize
        self.limits = limits
        self._kept: Kept[tuple[Passage, ...]] = Kept(budget_bytes)

    def of(self, document: Document) -> Iterable[Passage]:
        """Returns the passages of a document, in order."""
        if document.size_bytes > SHORT_BYTES:
            return passages(document.blocks(), self.tokenize, self.limits)
        text = "".join(document.blocks())
        found = self._kept.get(text)
        if found is None:
            found = tuple(passages([text], self.tokenize, self.limits))
            self._kept.put(text, found, 4 * len(text) + sum(map(_size_bytes, found)))
        return found


def _size_bytes(passage: Passage) -> int:
    tokens = passage.tokens
    return 4 * len(passage.text) + tokens.ids.nbytes + tokens.offsets.nbytes + tokens.words.nbytes + _OBJECT_BYTES

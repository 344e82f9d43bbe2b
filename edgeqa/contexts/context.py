"""What a question is read against: a passage of a text that was given, or a context of a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeqa.contexts.passages import Indexes
    from edgeqa.models.tokenizer import Tokens


class Text(Protocol):
    """What an answer is cut from."""

    @property
    def text(self) -> str:
        """Its NFC text."""

    @property
    def start(self) -> int:
        """Place of its first character in its document."""


class Context(Text, Protocol):
    """What is read."""

    @property
    def tokens(self) -> Tokens:
        """Its tokens, with offsets into `text`."""

    @property
    def paragraphs(self) -> Indexes:
        """Number of each token's paragraph, int32 [tokens], rising from 0."""

    @property
    def meaningful(self) -> NDArray[np.bool_]:
        """Whether each token is more than punctuation, bool [tokens]."""

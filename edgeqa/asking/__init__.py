"""Asking: one way from a question to an answer (`pipe`), for texts, a collection and a cluster alike.

A question is asked of a `Scope`. This module declares what all scopes can do, and the passages that they give out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from edgeqa.answer import ClosePassage
from edgeqa.contexts import extent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeqa.contexts import Context, Text
    from edgeqa.contexts.search import Hit, Hits
    from edgeqa.models.readers import Encoding


class SourcePassage:
    """A passage, or a window of one, and where it is from."""

    __slots__ = ("address", "digest", "number", "part", "part_start", "path", "source", "text")

    def __init__(
        self,
        text: Text,
        source: str,
        number: int,
        address: str | None = None,
        digest: str | None = None,
        part: str = "",
        part_start: int = 0,
        path: str | None = None,
    ) -> None:
        self.text = text
        self.source = source
        """Name of its document."""
        self.number = number
        """The same for all passages of one document."""
        self.address = address
        """Its address in a collection: DOCUMENT:{TAG}:N."""
        self.digest = digest
        """A digest of all that an answer on it depends on; None where answers on it are not remembered one by one."""
        self.part = part
        """Its document, if the source has several, as written after the source's name: `#12` for page 12."""
        self.part_start = part_start
        """Where that document begins in its source."""
        self.path = path
        """The full path of the file that it is from, in a collection."""

    def window(self, context: Context) -> SourcePassage:
        """Returns a window of the passage, where it is from."""
        return SourcePassage(context, self.source, self.number, self.address, self.digest, self.part, self.part_start)

    def as_close(self, score: float, marked: tuple[int, int] | None = None) -> ClosePassage:
        """Returns the passage as one close to a question is given out, with its score and what of it is marked."""
        text = self.text
        start, end = extent(text.text, text.start, text.pieces)
        return ClosePassage(
            text=text.text,
            heading=text.heading,
            document=self.source + self.part,
            address=self.address,
            source=self.source,
            source_start=start,
            source_end=end,
            score=score,
            marked=marked,
            document_start=self.part_start,
            path=self.path,
        )


class Scope(Protocol):
    """Texts, or a collection, as it was when this was made."""

    @property
    def digest(self) -> str:
        """A digest of its content: it changes when the content does."""

    @property
    def is_given(self) -> bool:
        """Whether it is a single passage, which need not be searched for."""

    def search(self, question: str, most: int) -> Hits:
        """Returns the passages that share most with the question, best first."""

    def passage(self, hit: Hit) -> SourcePassage | None:
        """Returns a passage; None where it is gone or damaged."""

    def windows(self, passage: SourcePassage) -> Iterable[tuple[Context, Encoding | None]]:
        """Yields what is read of a passage, and what the lower layers make of it where that is stored."""

    def reference(self, passage: SourcePassage) -> Any:  # noqa: ANN401 - plain values
        """Returns a plain value that stands for a passage or window in a record."""

    def again(self, reference: Any) -> SourcePassage | None:  # noqa: ANN401 - whatever lies in the cache
        """Returns the passage that a reference stands for; None where it is no longer there."""

    def locate(self, found: Iterable[SourcePassage]) -> None:
        """Notes the full path of the file that each passage is from, where it is a collection's."""

    def nothing_read(self) -> None:
        """Is told that there was nothing to read.

        Raises:
            ContextEmpty: if that is an error.
        """

    def damaged(self) -> Sequence[str]:
        """Returns a line for each part that could not be read."""

    def left_out(self) -> Sequence[str]:
        """Returns a line for each reason why a part, such as a scanned page, has no text though it may look so."""

    def is_whole(self) -> bool:
        """Tells whether it still is what it was, and all of it could be read: only then is an answer remembered.

        Raises:
            ContextChanged: if a text has changed meanwhile.
        """

"""Documents to the passages that a question is read against.

In: documents, the question, how much may be read. Out: passages with their source, one at a time, so that memory does
not grow with the text. A text of at most `most` contexts is read whole; of a longer one, the sections that match the
question best (`skim`). It ranks no answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from edgeqa.contexts import skim
from edgeqa.contexts.passages import Passage, passages

if TYPE_CHECKING:
    from edgeqa.contexts.documents import Document
    from edgeqa.contexts.passages import Limits, Tokenize

Progress = Callable[[str, int, int], None]
"""Called with what is being done ("skimming" or "reading"), how much of it is done, and how much it is in all."""

CHARACTERS_PER_TOKEN = 4  # of English


@dataclass(frozen=True, slots=True)
class Routed:
    """A passage and where it comes from."""

    passage: Passage
    source: str
    source_number: int


@dataclass(frozen=True, slots=True)
class Router:
    """How texts are cut up, and how much of them is read."""

    tokenize: Tokenize
    limits: Limits
    most: int
    """The largest number of contexts to read, roughly: it is compared by size."""

    def skims(self, texts: Sequence[Document]) -> bool:
        """Tells whether the texts are too long to be read whole."""
        return sum(t.size_bytes for t in texts) > self.most * self._passage_characters

    def route(self, texts: Sequence[Document], question: str, progress: Progress) -> Iterator[Routed]:
        """Yields the passages to read, in the order of the texts."""
        if self.skims(texts):
            yield from self._closest(texts, question, progress)
            return
        total_bytes, done_bytes = sum(t.size_bytes for t in texts), 0
        for number, text in enumerate(texts):
            for passage in passages(text.blocks(), self.tokenize, self.limits):
                yield Routed(passage, text.name, number)
                # Bytes and characters differ outside ASCII; a bar may jump at the end of a text.
                progress("reading", min(total_bytes, done_bytes + passage.start + len(passage.text)), total_bytes)
            done_bytes += text.size_bytes

    def _closest(self, texts: Sequence[Document], question: str, progress: Progress) -> Iterator[Routed]:
        total_bytes = sum(t.size_bytes for t in texts)

        def sections() -> Iterator[skim.Section]:
            every = (
                skim.sections(number, text.blocks(), self._passage_characters) for number, text in enumerate(texts)
            )
            return chain.from_iterable(every)

        def watched() -> Iterator[skim.Section]:
            done = 0
            for section in sections():
                done += len(section.text)
                progress("skimming", min(done, total_bytes), total_bytes)
                yield section

        chosen = skim.choose(watched(), question, self.most)
        for number, section in enumerate(skim.with_margins(sections(), chosen), 1):
            for passage in passages([section.text], self.tokenize, self.limits):
                moved = Passage(passage.text, section.start + passage.start, passage.tokens)
                yield Routed(moved, texts[section.document].name, section.document)
            progress("reading", number, len(chosen))

    @property
    def _passage_characters(self) -> int:
        return CHARACTERS_PER_TOKEN * self.limits.window_tokens

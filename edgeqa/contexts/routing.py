"""Documents to the passages that a question is read against.

In: documents, the question, how much may be read. Out: passages with their source, one at a time, so that memory does
not grow with the text. Never more than `most` passages come out: texts of at most so many are read whole; of longer
ones, the sections that match the question best (`skim`), and of these the best passages. It ranks no answers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.contexts import skim
from edgeqa.contexts.passages import Passage, least_stride_tokens, passages

if TYPE_CHECKING:
    from edgeqa.contexts.documents import Document
    from edgeqa.contexts.texts import Passages

Progress = Callable[[str, int, int], None]
"""Called with what is being done ("skimming" or "reading"), how much of it is done, and how much it is in all."""

CHARACTERS_PER_TOKEN = 4  # of English


class Routed(NamedTuple):
    """A passage and where it comes from."""

    passage: Passage
    source: str
    source_number: int


@dataclass(frozen=True, slots=True)
class Router:
    """How texts are cut up, and how much of them is read."""

    passages: Passages
    most: int
    """The largest number of contexts to read."""

    def skims(self, texts: Sequence[Document]) -> bool:
        """Tells whether the texts have more than `most` contexts, which is counted where it cannot be seen by size."""
        size_bytes = sum([t.size_bytes for t in texts])
        stride_bytes = least_stride_tokens(self.passages.limits)  # at least: a token has a byte or more
        if size_bytes // stride_bytes + len(texts) <= self.most:
            return False
        if size_bytes > self.most * self._section_length:
            return True
        every = chain.from_iterable(map(self.passages.of, texts))
        return sum(1 for _ in islice(every, self.most + 1)) > self.most

    def route(self, texts: Sequence[Document], question: str, progress: Progress, *, skims: bool) -> Iterator[Routed]:
        """Yields the passages to read, in the order of the texts: all, or if it `skims` the best `most` of them."""
        if skims:
            yield from self._closest(texts, question, progress)
            return
        total_bytes = sum([t.size_bytes for t in texts])
        done_bytes = 0
        for number, text in enumerate(texts):
            for passage in self.passages.of(text):
                yield Routed(passage, text.name, number)
                # Windows overlap, and normalisation changes sizes: close enough for a bar.
                done_bytes += len(passage.text.encode())
                progress("reading", min(total_bytes, done_bytes), total_bytes)

    def _closest(self, texts: Sequence[Document], question: str, progress: Progress) -> Iterator[Routed]:
        """Yields the best passages of the best sections: a section with its margins may be more than one."""
        total_bytes = 2 * sum(t.size_bytes for t in texts)  # gone through for sections, then for their passages
        done_bytes = 0

        def watched() -> Iterator[skim.Section]:
            nonlocal done_bytes
            for section in self._sections(texts):
                done_bytes += len(section.text.encode())
                progress("skimming", min(done_bytes, total_bytes), total_bytes)
                yield section

        choice = skim.choose(watched(), question, self.most)
        # Numbers are kept, and the passages made once more: a thousand of them cost more memory than time.
        found = enumerate(self._within(texts, watched(), choice))
        best = heapq.nlargest(self.most, ((choice.score(routed.passage.text), -number) for number, routed in found))
        kept = {-number for _, number in best}
        done = 0
        for number, routed in enumerate(self._within(texts, self._sections(texts), choice)):
            if number in kept:
                yield routed
                done += 1
                progress("reading", done, len(kept))

    def _sections(self, texts: Sequence[Document]) -> Iterator[skim.Section]:
        every = (skim.sections(number, text.blocks(), self._section_length) for number, text in enumerate(texts))
        return chain.from_iterable(every)

    def _within(
        self, texts: Sequence[Document], sections: Iterable[skim.Section], choice: skim.Choice
    ) -> Iterator[Routed]:
        for section in skim.with_margins(sections, choice.places):
            for passage in passages([section.text], self.passages.tokenize, self.passages.limits):
                moved = Passage(passage.text, section.start + passage.start, passage.tokens)
                yield Routed(moved, texts[section.document].name, section.document)

    @property
    def _section_length(self) -> int:
        return CHARACTERS_PER_TOKEN * self.passages.limits.window_tokens

"""The model at work: a question and texts in, the best spans out, read anew. What a miss of the answer cache costs.

Loads tokenizer and graphs when it is made, after the plan has shown that they fit; importing it imports numpy.
`runtime` decides when it is needed, and remembers what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from edgeqa.answer import Found
from edgeqa.capabilities.footprint import WINDOW_TOKENS
from edgeqa.contexts.passages import Limits
from edgeqa.contexts.routing import Router
from edgeqa.contexts.texts import Passages
from edgeqa.errors import ContextEmpty, EmptyQuestion
from edgeqa.models import selftest
from edgeqa.models.callers import Callers
from edgeqa.models.encodings import Encodings
from edgeqa.models.kept import Kept
from edgeqa.models.ranking import Ranking, places
from edgeqa.models.readers import open_reader, session_options
from edgeqa.models.spans import Layout, best_spans, layout
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeqa.capabilities.plan import Plan
    from edgeqa.contexts.context import Context
    from edgeqa.contexts.documents import Document
    from edgeqa.contexts.passages import Tokenize
    from edgeqa.contexts.routing import Progress
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.manifest import Calibration
    from edgeqa.models.ranking import Place
    from edgeqa.models.reader import Encoding, Ids
    from edgeqa.models.tokenizer import Tokens
    from edgeqa.timing import Stopwatch

LONGEST_QUESTION = 1 << 14  # characters; more than the tokens that a question may have ever take
KEPT_PART = 12  # of the store of encodings, one part is for passages and one for the layouts of their spans


@dataclass(frozen=True, slots=True)
class Question:
    """A question after the lower layers."""

    encoded: Any
    """As the bundle's kind of reader wants it."""
    is_cut: bool
    """Whether it was longer than the reader takes, and only its beginning is asked."""


class Reading:
    """A bundle in memory, on a plan. Safe from many threads."""

    def __init__(self, bundle: Bundle, plan: Plan, int8_flags: str) -> None:
        self._manifest = bundle.manifest
        self._batch_contexts = plan.batch_contexts.value
        self._tokenizer = Tokenizer(bundle.file("tokenizer.json"))
        self._callers = callers = Callers(plan.callers.value)
        # Where there is memory for one at a time, there is none to load the graphs twice.
        self._reader = open_reader(bundle, session_options(plan), callers if plan.callers.value > 1 else None)
        self.verdict = selftest.assure(bundle, int8_flags, plan.precision.value, self._tokenizer, self._reader)
        store_bytes = plan.encoding_store_bytes.value
        others_bytes = store_bytes // KEPT_PART
        self._encodings = Encodings(self._reader.encode_context, store_bytes - 2 * others_bytes)
        self._layouts: Kept[tuple[Layout, Tokens, str | None]] = Kept(others_bytes)
        most_tokens = self._manifest.max_context_tokens - 1  # [SEP] is of the context
        window_tokens = min(most_tokens, plan.window_tokens.value)
        # Windows shorter than usual are what memory allows: a short text must not be longer than they are.
        usual = window_tokens >= min(most_tokens, WINDOW_TOKENS)
        self._limits = Limits(most_tokens if usual else window_tokens, window_tokens)
        self._passages = Passages(self._tokenizer.tokenize, self._limits, others_bytes)

    @property
    def tokenize(self) -> Tokenize:
        """Makes the tokens of a text, however long."""
        return self._tokenizer.tokenize

    @property
    def limits(self) -> Limits:
        """How long contexts are."""
        return self._limits

    @property
    def encode_context(self) -> Callable[[Ids], Any]:
        """Makes what the reader keeps of a context, from its token ids; it is not kept here."""
        return self._reader.encode_context

    @property
    def calibration(self) -> Calibration:
        """How a score becomes a probability."""
        return self._manifest.calibration

    def question(self, question: str) -> Question:
        """Returns the question as its contexts are read for it.

        Raises:
            EmptyQuestion: if it has no token.
        """
        beginning = question[:LONGEST_QUESTION]
        with self._callers:
            ids = self._tokenizer.ids(beginning)
            if not len(ids):
                raise EmptyQuestion
            most_tokens = self._manifest.max_question_tokens - 2  # [CLS] and [SEP] are of the question
            is_cut = len(ids) > most_tokens or len(beginning) < len(question)
            return Question(self._reader.encode_question(ids[:most_tokens]), is_cut=is_cut)

    def spans(
        self, question: Question, context: Context, encoding: Encoding | None, *, top: int, watch: Stopwatch
    ) -> list[Place]:
        """Returns where the best spans of one context are, step by step on the watch.

        Args:
            question: as `question` gives it.
            context: what is read.
            encoding: of the context, where it is stored; None to make it from the token ids.
            top: how many spans, of which no two overlap.
            watch: where the time goes.
        """
        with self._callers:
            encoded = self._encodings.of(context.tokens.ids) if encoding is None else encoding
            watch.over("encode")
            logits = self._reader.read(question.encoded, encoded)
            watch.over("read")
            found = places(best_spans(logits, self._layout(context), top=top), context)
            watch.over("decode")
            return found

    def _layout(self, context: Context) -> Layout:
        """Returns which spans a context has.

        Its text alone does not decide that: cut from a longer text, the same may have other tokens, and one that is
        stored has the paragraphs that it was stored with.
        """
        tokens, digest = context.tokens, getattr(context, "digest", None)
        found = self._layouts.get(context.text)
        if found is not None:
            made, of_tokens, of_digest = found
            same = of_tokens is tokens or (
                of_digest == digest
                and of_tokens.words.tobytes() == tokens.words.tobytes()
                and of_tokens.offsets.tobytes() == tokens.offsets.tobytes()
            )
            if same:
                return made
        made = layout(tokens.words, context.paragraphs, context.meaningful)
        size_bytes = made.size_bytes + 4 * len(context.text) + tokens.offsets.nbytes + tokens.words.nbytes
        self._layouts.put(context.text, (made, tokens, digest), size_bytes + tokens.ids.nbytes)
        return made

    def read(
        self,
        question: str,
        texts: Sequence[Document],
        *,
        top: int,
        most_contexts: int,
        progress: Progress,
        watch: Stopwatch,
    ) -> Found:
        """Returns the best spans of the texts for the question.

        Raises:
            EmptyQuestion: if the question has no token.
            ContextError: for a text that cannot be read, or if none has a token.
        """
        asked = self.question(question)
        watch.over("question")
        router = Router(self._passages, most_contexts)
        skims = router.skims(texts)
        routed = router.route(texts, question, progress, skims=skims)
        ranking = Ranking(top)
        while batch := list(islice(routed, self._batch_contexts)):
            watch.over("split")
            for r in batch:
                spans = self.spans(asked, r.passage, None, top=top, watch=watch)
                ranking.offer(spans, r.passage, r.source, r.source_number)
                watch.over("rank")
        watch.over("split")
        if not ranking.contexts:
            raise ContextEmpty(", ".join(t.name for t in texts))
        found = Found(ranking.candidates(self.calibration), ranking.contexts, skims, asked.is_cut)
        watch.over("rank")
        return found

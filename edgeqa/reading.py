"""The model at work: a question and texts in, the best spans out, read anew. What a miss of the answer cache costs.

Loads tokenizer and graphs when it is made, after the plan has shown that they fit; importing it imports numpy.
`runtime` decides when it is needed, and remembers what it finds.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from edgeqa.answer import Found
from edgeqa.capabilities.plan import WINDOW_TOKENS
from edgeqa.contexts.meaning import meaningful
from edgeqa.contexts.passages import Limits
from edgeqa.contexts.routing import Router
from edgeqa.errors import ContextEmpty, EmptyQuestion
from edgeqa.models import selftest
from edgeqa.models.encodings import Encodings
from edgeqa.models.ranking import Ranking
from edgeqa.models.readers import open_reader, session_options
from edgeqa.models.spans import best_spans
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeqa.capabilities.plan import Plan
    from edgeqa.contexts.documents import Document
    from edgeqa.contexts.routing import Progress
    from edgeqa.models.bundle import Bundle
    from edgeqa.timing import Stopwatch


class Reading:
    """A bundle in memory, on a plan. Safe from many threads."""

    def __init__(self, bundle: Bundle, plan: Plan, int8_flags: str) -> None:
        self._manifest = bundle.manifest
        self._batch_contexts = plan.batch_contexts.value
        self._tokenizer = Tokenizer(bundle.file("tokenizer.json"))
        self._reader = open_reader(bundle, session_options(plan))
        self.verdict = selftest.assure(bundle, int8_flags, plan.precision.value, self._tokenizer, self._reader)
        self._encodings = Encodings(self._reader.encode_context, plan.encoding_store_bytes.value)
        most_tokens = self._manifest.max_context_tokens - 1  # [SEP] is of the context
        window_tokens = min(most_tokens, plan.window_tokens.value)
        # Windows shorter than usual are what memory allows: a short text must not be longer than they are.
        usual = window_tokens >= min(most_tokens, WINDOW_TOKENS)
        self._limits = Limits(most_tokens if usual else window_tokens, window_tokens)

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
        """Returns the best spans of the texts for the question, step by step on the watch.

        Raises:
            EmptyQuestion: if the question has no token.
            ContextError: for a text that cannot be read, or if none has a token.
        """
        with watch.step("question"):
            ids = self._tokenizer.tokenize(question).ids
            if not len(ids):
                raise EmptyQuestion
            most_tokens = self._manifest.max_question_tokens - 2  # [CLS] and [SEP] are of the question
            hidden = self._reader.encode_question(ids[:most_tokens])
        router = Router(self._tokenizer.tokenize, self._limits, most_contexts)
        with watch.step("split"):
            skims = router.skims(texts)
        routed = router.route(texts, question, progress, skims=skims)
        ranking = Ranking(top)
        while True:
            with watch.step("split"):
                batch = list(islice(routed, self._batch_contexts))
            if not batch:
                break
            with watch.step("encode"):
                encodings = [self._encodings.of(r.passage.tokens.ids) for r in batch]
            with watch.step("read"):
                logits = [self._reader.read(hidden, encoding) for encoding in encodings]
            with watch.step("decode"):
                for r, of_context in zip(batch, logits, strict=True):
                    tokens, telling = r.passage.tokens, meaningful(r.passage.text, r.passage.tokens.offsets)
                    spans = best_spans(of_context, tokens.words, r.passage.paragraphs, telling, top=top)
                    ranking.offer(spans, r.passage, r.source, r.source_number)
        if not ranking.contexts:
            raise ContextEmpty(", ".join(t.name for t in texts))
        return Found(
            candidates=ranking.candidates(self._manifest.calibration),
            contexts=ranking.contexts,
            skimmed=skims,
            question_cut=len(ids) > most_tokens,
        )

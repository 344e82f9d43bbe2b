"""The model at work: a question and a passage in, the best spans out. Only a miss of the answer cache comes here.

`PassageReader` loads tokenizer and graphs when it is made, after the plan has shown that they fit; importing this
module imports numpy. `asking` decides which passages are read, and which answers are remembered. Windows of passages
are kept in memory up to a number of bytes (`LruTable`), and so are the encodings of contexts (`Encodings`).
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np

from edgeqa import forking
from edgeqa.capabilities.footprint import TIMED_TOKENS, WINDOW_TOKENS
from edgeqa.contexts import Place
from edgeqa.contexts.passages import Passage
from edgeqa.contexts.search import MAX_QUESTION_CHARACTERS
from edgeqa.contexts.windows import Limits, Window, again, windows
from edgeqa.errors import EmptyQuestion
from edgeqa.models.opening import open_model
from edgeqa.models.session import Callers
from edgeqa.models.spans import SpanTable, locate, span_table, spans_in_order
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from edgeqa.capabilities.device import Capabilities
    from edgeqa.capabilities.plan import Plan
    from edgeqa.contexts import Context, Text, Tokens
    from edgeqa.contexts.windows import Tokenize
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.manifest import Calibration
    from edgeqa.models.readers import Encoding, Ids
    from edgeqa.timing import Stopwatch

V = TypeVar("V")
E = TypeVar("E", bound="Encoding | Ids")
STORE_PARTS = 12  # the store of encodings has so many parts: one for windows, one for the tables of their spans
_TIMED_TEXT = "the pump may be submerged to a depth of twelve metres and is rated for clean water"
_OBJECT_BYTES = 800  # a window's objects, besides what its arrays and its text hold


@dataclass(frozen=True, slots=True)
class Question:
    """A question after the lower layers."""

    encoded: Any
    """The question, encoded as the bundle's kind of reader wants it."""
    is_cut: bool
    """Whether it was longer than the reader takes, and only its beginning is asked."""


class PassageReader:
    """A bundle in memory, on a plan. Safe from many threads."""

    def __init__(self, bundle: Bundle, plan: Plan, device: Capabilities) -> None:
        self._manifest = bundle.manifest
        self._tokenizer = Tokenizer(bundle.file("tokenizer.json"))
        self._callers = callers = Callers(plan.callers.value)
        # A device with memory for one context at a time has none to load the graphs twice.
        model = open_model(
            bundle,
            device=device,
            plan=plan,
            tokenizer=self._tokenizer,
            callers=callers if plan.callers.value > 1 else None,
        )
        self._reader, self.verdict, self.plan = model.reader, model.verdict, model.plan
        store_bytes = plan.encoding_store_bytes.value
        others_bytes = store_bytes // STORE_PARTS
        self._encodings = Encodings(self._reader.encode_context, store_bytes - 2 * others_bytes)
        self._tables: LruTable[tuple[SpanTable, Tokens, str | None]] = LruTable(others_bytes)
        most_tokens = self._manifest.max_context_tokens - 1  # [SEP] is of the context
        window_tokens = min(most_tokens, plan.window_tokens.value)
        # Windows are shorter than usual if memory is short: then a short text must not be longer than they are.
        usual = window_tokens >= min(most_tokens, WINDOW_TOKENS)
        self._limits = Limits(most_tokens if usual else window_tokens, window_tokens)
        self._windows: LruTable[tuple[Window, ...]] = LruTable(others_bytes)

    def passage_ms(self) -> float:
        """Measures the milliseconds that a question of 12 tokens on a context of TIMED_TOKENS takes: the best of three.

        Where all threads together took less processor time than the clock shows, the processor time counts: other
        programs kept the processor, and without them reading would take no longer than that.
        """
        tokens = min(TIMED_TOKENS, self._manifest.max_context_tokens - 1)
        ids = np.resize(self._tokenizer.ids(_TIMED_TEXT), tokens)
        times_ms = []
        for _ in range(3):
            began_s, worked_s = time.perf_counter(), time.process_time()
            with self._callers.turn():
                self._reader.read(self._reader.encode_question(ids[:12]), self._reader.encode_context(ids))
            times_ms += [1e3 * (time.perf_counter() - began_s), 1e3 * (time.process_time() - worked_s)]
        return min(times_ms)

    @property
    def tokenize(self) -> Tokenize:
        """Makes the tokens of a text, however long."""
        return self._tokenizer.tokenize

    @property
    def limits(self) -> Limits:
        """The lengths of contexts."""
        return self._limits

    @property
    def encode_context(self) -> Callable[[Ids], Any]:
        """Makes what the reader keeps of a context, from its token ids; it is not kept here."""
        return self._reader.encode_context

    @property
    def calibration(self) -> Calibration:
        """The weights that turn a score into a probability."""
        return self._manifest.calibration

    def question(self, question: str) -> Question:
        """Returns the question as its contexts are read for it.

        Raises:
            EmptyQuestion: if it has no token.
        """
        beginning = question[:MAX_QUESTION_CHARACTERS]
        with self._callers.turn():
            ids = self._tokenizer.ids(beginning)
            if not len(ids):
                raise EmptyQuestion
            most_tokens = self._manifest.max_question_tokens - 2  # [CLS] and [SEP] are of the question
            is_cut = len(ids) > most_tokens or len(beginning) < len(question)
            return Question(self._reader.encode_question(ids[:most_tokens]), is_cut=is_cut)

    def mended(self, question: str, slips: Mapping[str, str]) -> str:
        """Returns the question with misspelt words put right.

        Args:
            question: as it was asked.
            slips: words that no passage has, and what they may have been meant to be. One that the model's vocabulary
                has as a whole is not misspelt.
        """
        return mended(self._tokenizer, question, slips)

    def windows(self, passage: Passage) -> tuple[Window, ...]:
        """Cuts a passage into the windows that are read; a passage without a token has none."""
        found = self._windows.get(passage)
        if found is None:
            with self._callers.turn():
                found = tuple(windows(passage, self._tokenizer.tokenize, self._limits))
            self._windows.put(passage, found, sum(map(_size_bytes, found)) + 4 * len(passage.text) + _OBJECT_BYTES)
        return found

    def spans(
        self,
        question: Question,
        context: Context,
        encoding: Encoding | None,
        *,
        top: int,
        watch: Stopwatch,
        more: int = 0,
        wants_more: Callable[[Place], bool] = lambda _: False,
    ) -> list[Place]:
        """Reads a question against one context, step by step on the watch, and returns the places of the best spans.

        Args:
            question: as `question` gives it.
            context: what is read.
            encoding: of the context, where it is stored; None to make it from the token ids.
            top: how many spans, of which no two overlap.
            watch: where the time goes.
            more: how many more to give where one of them may be no answer.
            wants_more: tells that of a span.
        """
        with self._callers.turn():
            encoded = self._encodings.of(context.tokens.ids) if encoding is None else encoding
            watch.over("encode")
            logits = self._reader.read(question.encoded, encoded)
            watch.over("read")
            best = spans_in_order(logits, self._table(context))
            found = locate(islice(best, top), context)
            if more and any(map(wants_more, found)):
                found += locate(islice(best, more), context)
            watch.over("decode")
            return found

    def spans_again(self, question: Question, text: Text, *, top: int, watch: Stopwatch) -> list[Place]:
        """Reads a question against a passage that another model reads, too, and returns the places of the best spans.

        Args:
            question: as `question` gives it.
            text: a passage, or a context of the other model.
            top: how many spans of each window of its own, of which no two overlap.
            watch: where the time goes.
        """
        passage = text if isinstance(text, Passage) else again(cast("Context", text))
        places: list[Place] = []
        begin = 0
        for window in self.windows(passage):
            begin = text.text.index(window.text, begin)
            for start, end, score in self.spans(question, window, None, top=top, watch=watch):
                places.append(Place(begin + start, begin + end, score))
        places.sort(key=lambda place: -place.score)
        return places

    def _table(self, context: Context) -> SpanTable:
        """Returns the possible spans of a context.

        Its text alone does not decide that: cut from a longer text, the same may have other tokens, and one that is
        stored has the paragraphs that it was stored with.
        """
        tokens, key = context.tokens, (context.text, context.kind, context.pieces)
        found = self._tables.get(key)
        if found is not None and found[1] is tokens:
            return found[0]
        digest = getattr(context, "digest", None) or getattr(context, "borders", None)
        if found is not None:
            made, of_tokens, of_digest = found
            same = (
                of_digest == digest
                and of_tokens.words.tobytes() == tokens.words.tobytes()
                and of_tokens.offsets.tobytes() == tokens.offsets.tobytes()
            )
            if same:
                return made
        made = span_table(tokens.words, context.paragraphs, context.meaningful)
        size_bytes = made.size_bytes + 4 * len(context.text) + tokens.offsets.nbytes + tokens.words.nbytes
        self._tables.put(key, (made, tokens, digest), size_bytes + tokens.ids.nbytes)
        return made


def mended(tokenizer: Tokenizer, question: str, slips: Mapping[str, str]) -> str:
    """Returns the question with misspelt words put right, as `PassageReader.mended` does."""
    for word, meant in slips.items():
        if len(tokenizer.ids(word)) > 1:
            question = re.sub(rf"\b{re.escape(word)}\b", meant, question, flags=re.IGNORECASE)
    return question


def _size_bytes(window: Window) -> int:
    tokens = window.tokens
    return 4 * len(window.text) + tokens.ids.nbytes + tokens.offsets.nbytes + tokens.words.nbytes + _OBJECT_BYTES


class LruTable(Generic[V]):
    """A table of at most so many bytes, of which the least recently used goes first. Safe from many threads.

    It makes nothing: two threads that miss the same key at once both make it.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._held: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.held_bytes = 0
        forking.tell(self)

    def forked(self) -> None:
        """Begins empty in a forked child: a thread of the parent may have been in the middle of a change."""
        self._held, self._lock, self.held_bytes = OrderedDict(), threading.Lock(), 0

    def get(self, key: Hashable) -> V | None:
        """Returns the value kept under `key`, if there is one."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def put(self, key: Hashable, value: V, size_bytes: int) -> None:
        """Keeps `value`, which takes so many bytes with its key, if there is room for that alone."""
        if size_bytes > self._budget_bytes:  # it would push out all others, and not be kept itself
            return
        with self._lock:
            if (former := self._held.pop(key, None)) is not None:
                self.held_bytes -= former[1]
            self._held[key] = (value, size_bytes)
            self.held_bytes += size_bytes
            while self.held_bytes > self._budget_bytes and self._held:
                _, (_, gone_bytes) = self._held.popitem(last=False)
                self.held_bytes -= gone_bytes


class Encodings(Generic[E]):
    """Such a table in front of a reader: token ids in, an encoding out."""

    def __init__(self, encode: Callable[[Ids], E], budget_bytes: int) -> None:
        self._encode = encode
        self._made: LruTable[E] = LruTable(budget_bytes)

    def of(self, ids: Ids) -> E:
        """Returns the encoding of the context with these token ids."""
        key = ids.tobytes()
        encoding = self._made.get(key)
        if encoding is None:
            encoding = self._encode(ids)
            self._made.put(key, encoding, encoding.nbytes + len(key))
        return encoding

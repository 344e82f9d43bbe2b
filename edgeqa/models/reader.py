"""The split reader: encode a question, encode a context, read the one against the other.

In: token ids without special tokens. Out: start and end logits of the context's tokens and of "no answer". The lower
layers see question and context apart, so that a context's encoding can be kept (int8, one scale a token) and used for
any question. (Cao et al., "DeFormer", ACL 2020.) It knows neither texts nor characters.

Graphs take one sequence a run, without padding or masks. Their int8 products take one scale for a whole input, so that
in a batch an answer would depend on its neighbours (0.4 of a logit, measured), and on two cores a batch is no faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeqa.models.session import Session, SessionOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeqa.models.bundle import Bundle
    from edgeqa.models.callers import Callers

    Floats = NDArray[np.float32]
    Ids = NDArray[np.int64]

INT8_MAX = 127
# Of a context's tokens, the part that may begin or end an answer, and how many at least. The best span is the same as
# with all of them for 99 of 100 questions of SQuAD 1.1, and F1 is, too: 78.10 and 78.04.
LIKELY_PERCENT, LEAST_LIKELY_TOKENS = 15, 16


@dataclass(frozen=True, slots=True)
class Encoding:
    """A context after the lower layers."""

    hidden: NDArray[np.int8]
    """int8 [tokens + 1, width]; the last row is the separator's"""
    scale: Floats
    """float32 [tokens + 1, 1]"""

    @property
    def size_bytes(self) -> int:
        """Memory that the arrays take."""
        return self.hidden.nbytes + self.scale.nbytes


@dataclass(frozen=True, slots=True)
class Logits:
    """What the reader says of one question and one context."""

    start: Floats
    """float32 [tokens]"""
    end: Floats
    """float32 [tokens]"""
    no_answer: float
    """start + end logit of "no answer in this context" """
    tokens: Ids | None = None
    """int64 [tokens]: which of the context's tokens these are, in any order; None for all of them."""


class SplitReader:
    """The bundle's two graphs in their sessions. Safe from many threads."""

    def __init__(self, bundle: Bundle, options: SessionOptions, callers: Callers | None = None) -> None:
        self._manifest = bundle.manifest
        self._is_exact = bundle.manifest.precision == "float32"  # who asks for it wants no part of it left out
        self._positions = np.arange(self._manifest.context_position + self._manifest.max_context_tokens)[None]
        self._encode = Session(bundle.file("encode.onnx"), options, callers)
        self._read = Session(bundle.file("read.onnx"), options, callers)

    def encode_question(self, ids: Ids) -> Floats:
        """Returns the question's hidden states, float32 [1, tokens + 2, width]."""
        m = self._manifest
        framed = np.empty((1, len(ids) + 2), np.int64)
        framed[0, 0], framed[0, 1:-1], framed[0, -1] = m.cls_id, ids, m.sep_id
        return self._hidden(framed, first_position=0)

    def encode_context(self, ids: Ids) -> Encoding:
        """Returns the context's encoding; `ids` are at most the manifest's `max_context_tokens - 1`."""
        m = self._manifest
        closed = np.empty((1, len(ids) + 1), np.int64)
        closed[0, :-1], closed[0, -1] = ids, m.sep_id
        hidden = self._hidden(closed, first_position=m.context_position)[0]
        scale = np.abs(hidden).max(axis=1, keepdims=True) / np.float32(INT8_MAX)
        return Encoding(np.rint(hidden / scale).astype(np.int8), scale)

    def read(self, question: Floats, context: Encoding) -> Logits:
        """Returns the logits of those tokens of `context` that may begin or end an answer to `question`."""
        if self._is_exact:
            return self.read_all(question, context)
        of_context, of_cls, tokens = self._run(question, context, likely_tokens(len(context.hidden) - 1))
        return Logits(of_context[:, 0], of_context[:, 1], sum(of_cls.tolist()), tokens)

    def read_all(self, question: Floats, context: Encoding) -> Logits:
        """Returns the same with no token left out."""
        of_cls, of_context = self.logits(question, context)
        return Logits(of_context[:, 0], of_context[:, 1], sum(of_cls.tolist()))

    def logits(self, question: Floats, context: Encoding) -> tuple[Floats, Floats]:
        """Returns start and end logits of [CLS], float32 [2], and of all the context's tokens, float32 [tokens, 2]."""
        of_tokens, of_cls, tokens = self._run(question, context, len(context.hidden) - 1)
        of_context = np.empty_like(of_tokens)
        of_context[tokens] = of_tokens
        return of_cls, of_context

    def _run(self, question: Floats, context: Encoding, likely: int) -> tuple[Floats, Floats, Ids]:
        """Returns the logits of so many of the context's tokens and of [CLS], and which tokens they are."""
        logits, tokens = self._read.run_for(
            ("logits", "rows"),
            {
                "question_hidden": question,
                "context_hidden": context.hidden[None],
                "context_scale": context.scale[:, 0],
                "likely_tokens": np.array([likely]),
            },
        )
        return logits[0, :-1], logits[0, -1], tokens

    def _hidden(self, ids: Ids, *, first_position: int) -> Floats:
        positions = self._positions[:, first_position : first_position + ids.shape[1]]
        return self._encode.run({"input_ids": ids, "position_ids": positions})


def likely_tokens(tokens: int) -> int:
    """Returns for how many of a context's tokens the last layer is computed."""
    return min(tokens, max(LEAST_LIKELY_TOKENS, -(-tokens * LIKELY_PERCENT // 100)))

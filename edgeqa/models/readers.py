"""Readers of either kind of bundle, side by side: token ids without special tokens in, logits out.

Both kinds offer the same steps: encode a question, encode a context, read the one against the other. Each kind has its
own values between the steps; callers keep these and pass them on, without looking inside. Readers know neither texts
nor characters.

*split*: two graphs. The lower layers see question and context apart, so that a context's encoding can be kept (int8,
one scale a token) and used for any question. (Cao et al., "DeFormer", ACL 2020.) Its graphs take one sequence a run,
without padding or masks. Their int8 products take one scale for a whole input, so that in a batch an answer would
depend on its neighbours (0.4 of a logit, measured), and on two cores a batch is no faster.

*joint*: one ordinary BERT QA graph, as the usual tools export it, that sees question and context at once. Its encoding
of a question or a context is just the token ids: they are kept and passed on like the split reader's encodings, but
save no time. The graph is fed the inputs that it declares: token types and positions may be there or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from edgeqa.errors import BundleGraphInvalid
from edgeqa.models.manifest import JOINT_GRAPH
from edgeqa.models.session import Session, SessionOptions

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edgeqa.models.bundle import Bundle
    from edgeqa.models.manifest import Joint, Pair
    from edgeqa.models.session import Callers

    Floats = NDArray[np.float32]
    Ids = NDArray[np.int64]

INT8_MAX = 127
# The part of a context's tokens that may begin or end an answer, and their least number. The best span is the same as
# with all tokens for 99 of 100 questions of SQuAD 1.1, and F1 hardly differs: 78.10 and 78.04.
LIKELY_PERCENT, MIN_LIKELY_TOKENS = 15, 16
ElementType: TypeAlias = "np.dtype[np.int64] | np.dtype[np.int32]"
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
ELEMENT_TYPES: dict[str, ElementType] = {"tensor(int64)": np.dtype(np.int64), "tensor(int32)": np.dtype(np.int32)}


@dataclass(frozen=True, slots=True)
class Encoding:
    """A context after the lower layers."""

    hidden: NDArray[np.int8]
    """int8 [tokens + 1, width]; the last row is the separator's"""
    scale: Floats
    """float32 [tokens + 1, 1]"""

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take."""
        return self.hidden.nbytes + self.scale.nbytes


@dataclass(frozen=True, slots=True)
class Logits:
    """The reader's output for one question and one context."""

    start: Floats
    """float32 [tokens]"""
    end: Floats
    """float32 [tokens]"""
    no_answer: float
    """start + end logit of "no answer in this context" """
    tokens: Ids | None = None
    """int64 [tokens]: which of the context's tokens these are, in any order; None for all of them."""


class Reader(Protocol):
    """A reader: it reads a question against a context."""

    def encode_question(self, ids: Ids) -> Any:  # noqa: ANN401 - the kind's own affair
        """Encodes a question alone, from token ids without special ones."""
        ...

    def encode_context(self, ids: Ids) -> Any:  # noqa: ANN401 - the kind's own affair
        """Encodes a context alone, from token ids without special ones."""
        ...

    def read(self, question: Any, context: Any) -> Logits:  # noqa: ANN401 - the kind's own affair
        """Returns the logits of `context` for `question`, each as the two methods above gave it.

        Tokens that are clearly no end of an answer may be left out.
        """
        ...

    def read_all(self, question: Any, context: Any) -> Logits:  # noqa: ANN401 - the kind's own affair
        """Returns the same with no token left out."""
        ...


def open_reader(bundle: Bundle, options: SessionOptions, callers: Callers | None = None) -> Reader:
    """Returns the bundle's reader, its graphs loaded.

    Args:
        bundle: the bundle.
        options: how its sessions are set up.
        callers: those who are told apart, one who is alone and many, if they may take the memory for that.

    Raises:
        BundleGraphInvalid: if onnxruntime cannot load them, or they are not what their kind says.
    """
    m = bundle.manifest
    if m.joint is None:
        return SplitReader(bundle, options, callers)
    weights = [bundle.file(name) for name in m.joint.graph_files if name != JOINT_GRAPH]
    return JointReader(Session(bundle.file(JOINT_GRAPH), options, callers, weights), m.pair, m.joint)


class SplitReader:
    """The bundle's two graphs in their sessions. Safe from many threads."""

    def __init__(self, bundle: Bundle, options: SessionOptions, callers: Callers | None = None) -> None:
        self._manifest = bundle.manifest
        # A user who asks for float32 wants no token left out; graphs made for a provider have float32 for another
        # reason.
        self._is_exact = bundle.manifest.precision == "float32" and not bundle.manifest.made_of
        self._positions = np.arange(self._manifest.context_position + self._manifest.max_context_tokens)[None]
        self._encode = Session(bundle.file("encode.onnx"), options, callers, [bundle.file("encode.bin")])
        self._read = Session(bundle.file("read.onnx"), options, callers, [bundle.file("read.bin")])

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
        logits, tokens = self._read.run(
            {
                "question_hidden": question,
                "context_hidden": context.hidden[None],
                "context_scale": context.scale[:, 0],
                "likely_tokens": np.array([likely]),
            },
            ("logits", "rows"),
        )
        return logits[0, :-1], logits[0, -1], tokens

    def _hidden(self, ids: Ids, *, first_position: int) -> Floats:
        positions = self._positions[:, first_position : first_position + ids.shape[1]]
        return self._encode.run({"input_ids": ids, "position_ids": positions})[0]


class JointReader:
    """A graph in its session, and how a question and a context are laid out for it. Safe from many threads."""

    def __init__(self, session: Session, pair: Pair, joint: Joint) -> None:
        self.pair, self.joint = pair, joint
        self._session = session
        self._types = element_types(session)
        for name in joint.outputs:
            if name not in session.outputs:
                raise BundleGraphInvalid(session.file, f"it has no output {name!r}")

    def encode_question(self, ids: Ids) -> Ids:
        """Returns the question's token ids, as they are."""
        return ids

    def encode_context(self, ids: Ids) -> Ids:
        """Returns the context's token ids, as they are."""
        return ids

    def read(self, question: Ids, context: Ids) -> Logits:
        """Returns the logits of `context` for `question`."""
        start, end = self.logits(question, context)
        first = len(self.pair.before) + len(question) + len(self.pair.between)
        of_context = slice(first, first + len(context))
        return Logits(start[of_context], end[of_context], float(start[0] + end[0]))

    read_all = read  # nothing is left out

    def logits(self, question: Ids, context: Ids) -> tuple[Floats, Floats]:
        """Returns start and end logits of all tokens, special ones and the question's too: float32 [tokens] each."""
        arrays = joint_inputs(self.pair, question, context, self.joint.first_position)
        feed = {name: array.astype(self._types[name]) for name, array in arrays.items() if name in self._types}
        found = self._session.run(feed, self.joint.outputs)
        both = found[0][0] if len(found) == 1 else np.stack([found[0][0], found[1][0]], axis=-1)
        if both.shape != (arrays["input_ids"].shape[1], 2):
            raise BundleGraphInvalid(self._session.file, f"its logits have the shape {both.shape}")
        start, end = both.astype(np.float32).T
        return start, end


def likely_tokens(tokens: int) -> int:
    """Returns for how many of a context's tokens the last layer is computed."""
    return min(tokens, max(MIN_LIKELY_TOKENS, -(-tokens * LIKELY_PERCENT // 100)))


def joint_inputs(pair: Pair, question: Ids, context: Ids, first_position: int) -> dict[str, NDArray[np.int64]]:
    """Returns the inputs that a graph may declare, each int64 [1, tokens], by the names that exporters give them."""
    ids = np.concatenate((pair.before, question, pair.between, context, pair.after)).astype(np.int64)[None]
    types = np.full_like(ids, pair.question_type)
    types[0, ids.shape[1] - len(context) - len(pair.after) :] = pair.context_type
    positions = np.arange(first_position, first_position + ids.shape[1], dtype=np.int64)[None]
    return dict(zip(INPUTS, (ids, np.ones_like(ids), types, positions), strict=True))


def element_types(session: Session) -> dict[str, ElementType]:
    """Returns the element type of each input that the graph declares.

    Raises:
        BundleGraphInvalid: for an input that no BERT reader has, or of a type that is none of token ids.
    """
    for name, called in session.input_types.items():
        if name not in INPUTS:
            raise BundleGraphInvalid(session.file, f"declares an input {name!r} that this kind does not have")
        if called not in ELEMENT_TYPES:
            raise BundleGraphInvalid(session.file, f"its input {name!r} is a {called}")
    return {name: ELEMENT_TYPES[called] for name, called in session.input_types.items()}

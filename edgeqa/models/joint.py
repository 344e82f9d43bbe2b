"""The joint reader: one ordinary BERT QA graph, as the usual tools export it, that sees question and context at once.

In: token ids without special tokens. Out: start and end logits of the context's tokens and of "no answer". What it
makes of a question or a context beforehand is their token ids, so that all that holds for the split reader's encodings
holds here, only without the saving. It feeds what the graph declares: token types and positions may be there or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgeqa.errors import BundleGraphInvalid
from edgeqa.models.reader import Logits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeqa.models.manifest import Joint, Pair
    from edgeqa.models.session import Session

    Floats = NDArray[np.float32]
    Ids = NDArray[np.int64]

ElementType: TypeAlias = "np.dtype[np.int64] | np.dtype[np.int32]"

INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
ELEMENT_TYPES: dict[str, ElementType] = {"tensor(int64)": np.dtype(np.int64), "tensor(int32)": np.dtype(np.int32)}


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
        arrays = layout(self.pair, question, context, self.joint.first_position)
        feed = {name: array.astype(self._types[name]) for name, array in arrays.items() if name in self._types}
        found = self._session.run_for(self.joint.outputs, feed)
        both = found[0][0] if len(found) == 1 else np.stack([found[0][0], found[1][0]], axis=-1)
        if both.shape != (arrays["input_ids"].shape[1], 2):
            raise BundleGraphInvalid(self._session.file, f"its logits have the shape {both.shape}")
        start, end = both.astype(np.float32).T
        return start, end


def layout(pair: Pair, question: Ids, context: Ids, first_position: int) -> dict[str, NDArray[np.int64]]:
    """Returns what a graph may be fed, each int64 [1, tokens], by the name that exporters give it."""
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

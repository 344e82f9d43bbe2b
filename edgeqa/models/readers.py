"""The reader of either kind of bundle: a bundle in, what reads questions against contexts out.

Both kinds offer the same three steps. What a question and a context are between the steps is the kind's own affair:
callers keep and pass on what they were given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from edgeqa.models.joint import JointReader
from edgeqa.models.manifest import JOINT_GRAPH
from edgeqa.models.reader import SplitReader
from edgeqa.models.session import Session, SessionOptions

if TYPE_CHECKING:
    from typing import Any

    from edgeqa.capabilities.plan import Plan
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.callers import Callers
    from edgeqa.models.reader import Encoding, Ids, Logits

ContextEncoding: TypeAlias = "Encoding | Ids"


class Reader(Protocol):
    """What reads a question against a context."""

    def encode_question(self, ids: Ids) -> Any:  # noqa: ANN401 - the kind's own affair
        """Returns what is made of a question alone, from token ids without special ones."""
        ...

    def encode_context(self, ids: Ids) -> Any:  # noqa: ANN401 - the kind's own affair
        """Returns what is made of a context alone, from token ids without special ones."""
        ...

    def read(self, question: Any, context: Any) -> Logits:  # noqa: ANN401 - the kind's own affair
        """Returns the logits of `context` for `question`, each as the two methods above gave it.

        Tokens that are clearly no end of an answer may be left out.
        """
        ...

    def read_all(self, question: Any, context: Any) -> Logits:  # noqa: ANN401 - the kind's own affair
        """Returns the same with no token left out."""
        ...


def session_options(plan: Plan) -> SessionOptions:
    """Returns how the plan sets a session up."""
    return SessionOptions(
        threads=plan.threads.value,
        spinning=plan.spinning.value,
        x64_quant_precision=plan.precision.value == "int8-u8u8",
    )


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
    return JointReader(Session(bundle.file(JOINT_GRAPH), options, callers), m.pair, m.joint)

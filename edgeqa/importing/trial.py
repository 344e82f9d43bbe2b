"""Tries a graph out: a graph's file and a pair layout in, a reader that was seen to work out, or what is wrong.

Declared shapes are often missing or wrong, so that what the graph gives is found by running it: on a short text, with
the tokenizer's last token, and at its full length. The weights are in memory for that, after the plan has allowed it.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from edgeqa.errors import BundleGraphInvalid
from edgeqa.importing.errors import (
    ExportGraphRefused,
    ExportHeadWrong,
    ExportInputsUnknown,
    ExportOperatorMissing,
    ExportOpsetTooNew,
    ExportShapeFixed,
    ExportVocabularyWrong,
)
from edgeqa.models.manifest import JOINT_GRAPH, Joint
from edgeqa.models.readers import JointReader, element_types, joint_inputs
from edgeqa.models.session import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeqa.importing.export import Export
    from edgeqa.importing.graph import GraphFacts
    from edgeqa.importing.template import TokenizerFacts
    from edgeqa.models.session import SessionOptions

QUESTION_TOKENS, CONTEXT_TOKENS = 7, 11  # so few, and so odd, that no dimension of a model is their sum by chance
START, END = ("start_logits", "start"), ("end_logits", "end")


def try_graph(graph: GraphFacts, export: Export, tokens: TokenizerFacts, options: SessionOptions) -> JointReader:
    """Returns the graph's reader, which knows how the graph is to be fed and read.

    Raises:
        ExportError: naming what it lacks.
    """
    config = export.config
    _check_vocabulary(export, graph, tokens)
    try:
        session = Session(graph.path, options)
    except BundleGraphInvalid as error:
        raise _refused(graph, error) from error
    try:
        known = element_types(session)
    except BundleGraphInvalid as error:
        raise ExportInputsUnknown(graph.path, _of(error, graph)) from error
    if "input_ids" not in known:
        raise ExportInputsUnknown(graph.path, f"it takes {', '.join(known) or 'nothing'}, but no input_ids")

    def run(question: int, context: int, token: int) -> dict[str, NDArray[np.float32]]:
        arrays = joint_inputs(tokens.pair, np.full(question, token), np.full(context, token), config.first_position)
        feed = {name: array.astype(known[name]) for name, array in arrays.items() if name in known}
        return dict(zip(session.outputs, session.run_for(session.outputs, feed), strict=True))

    ordinary = tokens.pair.after[0]
    try:
        found = run(QUESTION_TOKENS, CONTEXT_TOKENS, ordinary)
    except BundleGraphInvalid as error:
        raise _refused(graph, error) from error
    outputs = _outputs(export, graph, found, QUESTION_TOKENS + CONTEXT_TOKENS + tokens.pair.special_tokens)
    try:
        run(QUESTION_TOKENS, CONTEXT_TOKENS, tokens.tokens - 1)
    except BundleGraphInvalid as error:
        raise ExportVocabularyWrong(graph.path, tokens.tokens, config.vocabulary or 0) from error
    try:
        run(QUESTION_TOKENS, config.max_tokens - QUESTION_TOKENS - tokens.pair.special_tokens, ordinary)
    except BundleGraphInvalid as error:
        reason = f"it does not take {config.max_tokens} tokens, as config.json says ({_of(error, graph)})"
        raise ExportGraphRefused(graph.path, reason) from error
    joint = Joint(
        outputs=outputs,
        first_position=config.first_position,
        max_tokens=config.max_tokens,
        heads=config.heads,
        graph_files=(JOINT_GRAPH, *(file.name for file in graph.weights)),
    )
    return JointReader(session, tokens.pair, joint)


def _check_vocabulary(export: Export, graph: GraphFacts, tokens: TokenizerFacts) -> None:
    rows = graph.vocabulary or export.config.vocabulary
    # A table has some rows more than tokens, to be of a round size. Twice as many are another model's.
    if rows is not None and not tokens.tokens <= rows <= 2 * tokens.tokens:
        raise ExportVocabularyWrong(export.tokenizer, tokens.tokens, rows)


def _outputs(export: Export, graph: GraphFacts, found: dict[str, NDArray[np.float32]], tokens: int) -> tuple[str, ...]:
    """Returns the names of start and end logits, by name, or by the shapes that came out."""
    shapes = {name: array.shape for name, array in found.items()}
    for start, end in zip(START, END, strict=True):
        if shapes.get(start) == shapes.get(end) == (1, tokens):
            return start, end
    architecture = export.config.architecture
    if "QuestionAnswering" in architecture or not architecture:
        if len(single := [name for name, shape in shapes.items() if shape == (1, tokens)]) == 2:
            return tuple(single)
        if both := [name for name, shape in shapes.items() if shape == (1, tokens, 2)]:
            return (both[0],)
    raise ExportHeadWrong(graph.path, _described(shapes, architecture, tokens))


def _described(shapes: dict[str, tuple[int, ...]], architecture: str, tokens: int) -> str:
    name, shape = next(iter(shapes.items()))
    if len(shape) == 2 and shape[1] != tokens:
        kind = f"a head that classifies whole texts into {shape[1]} classes"
    elif len(shape) == 3 and shape[2] > 64:
        kind = "an encoder alone"
    else:
        kind = "another head"
    return f"{architecture or 'it'} gives {name} of the shape {list(shape)} for {tokens} tokens, {kind}"


def _refused(graph: GraphFacts, error: BundleGraphInvalid) -> Exception:
    """Returns the error that says why onnxruntime does not take the graph."""
    said = str(error.__cause__)
    if "opset" in said.lower() or "IR version" in said:
        return ExportOpsetTooNew(graph.path, graph.opset, version("onnxruntime"))
    if "NOT_IMPLEMENTED" in said or "NotImplemented" in said or "not a registered function/op" in said:
        return ExportOperatorMissing(graph.path, graph.precision, _of(error, graph))
    if "invalid dimensions" in said.lower():
        return ExportShapeFixed(graph.path)
    return ExportGraphRefused(graph.path, _of(error, graph))


def _of(error: BundleGraphInvalid, graph: GraphFacts) -> str:
    return str(error).removeprefix(f"{graph.path}: ")

"""`add`: an export's directory in, an added model out, an ordinary bundle in the directory of the user's models.

Everything that can be is checked before anything is written. What is written goes into a directory of its own that gets
the model's name in one step at the end (`shelf`): a model is there whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeqa.capabilities.footprint import ModelNeeds
from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.importing import asking, quantizing, shelf
from edgeqa.importing.errors import ExportGraphRefused, ExportQuantizedBadly
from edgeqa.importing.export import read_export
from edgeqa.importing.template import tokenizer_facts
from edgeqa.importing.trial import try_graph
from edgeqa.importing.writing import QUESTION_TOKENS, context_tokens, copy_graph, write_bundle
from edgeqa.models import manifest
from edgeqa.models.bundle import Bundle
from edgeqa.models.opening import open_model
from edgeqa.models.readers import JointReader
from edgeqa.models.session import Session, SessionOptions
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from edgeqa.capabilities.plan import Plan
    from edgeqa.capabilities.settings import Overrides
    from edgeqa.importing.asking import Moved, Progress
    from edgeqa.importing.export import Export
    from edgeqa.importing.graph import GraphFacts
    from edgeqa.importing.template import TokenizerFacts
    from edgeqa.models.selftest import Verdict


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was added."""

    bundle: Bundle
    verdict: Verdict
    right_percent: float
    """F1 on the built-in questions, in percent."""
    moved: Moved | None
    """What int8 changed; None where nothing was made int8."""


def add(
    given: str,
    *,
    name: str | None = None,
    graph: str | None = None,
    int8: bool = False,
    overrides: Overrides | None = None,
    progress: Progress | None = None,
) -> Added:
    """Returns the model made of the export in the directory `given`.

    Args:
        given: the directory.
        name: what to call the model; by default as the directory is called.
        graph: which graph of the directory to take; by default the usual one.
        int8: make the int8 form of it.
        overrides: what to allow while it is tried out, instead of the plan's choices.
        progress: called as the work goes on.

    Raises:
        ExportError: naming what is wrong with the export.
        NotEnoughMemory: if the model does not fit this device.
        BundleSelfTestFailed: if the bundle gives other logits here than the export's float32 graph.
    """
    watch = progress or _unwatched
    export = read_export(given, graph)
    called = shelf.new_name(name, export.directory)
    tokens = tokenizer_facts(export.tokenizer)
    device = probe(providers=False)

    def planned(needs: ModelNeeds) -> Plan:
        return make_plan(device, needs, overrides)

    plan = planned(export_needs(export.graph, export, tokens))
    if int8:
        quantizing.check(export.graph, plan.available_bytes.value)
    tokenizer = Tokenizer(export.tokenizer)
    watch("loading", 0, 1)
    reference = export.reference
    reader = try_graph(reference, export, tokens, SessionOptions.of(planned(export_needs(reference, export, tokens))))
    said = now = asking.ask(reader, tokenizer, watch)
    if not said.is_finite:
        raise ExportGraphRefused(reference.path, "its logits are infinite, or no numbers at all")
    cases = asking.golden_cases(said, reader, tokenizer)
    joint, precision = reader.joint, export.graph.precision
    with shelf.new_model(called) as partial:
        if int8:
            del reader  # what comes next takes memory enough
            watch("making int8", 0, 1)
            joint, precision = joint._replace(graph_files=quantizing.quantize(export.graph, partial)), "int8"
            write_bundle(partial, called, export, tokens, joint, precision, cases, watch)
            plan = planned(Bundle.load(partial).needs())
            reader = JointReader(Session(partial / manifest.JOINT_GRAPH, SessionOptions.of(plan)), tokens.pair, joint)
        else:
            if export.graph is not reference:
                del reader
                reader = try_graph(export.graph, export, tokens, SessionOptions.of(plan))
                joint = reader.joint
            copy_graph(export.graph, partial, joint, watch)
            write_bundle(partial, called, export, tokens, joint, precision, cases, watch)
        moved = None
        if int8 or export.graph is not reference:
            now = asking.ask(reader, tokenizer, watch)
            moved = asking.moved(said, now)
            if int8 and (reason := quantizing.too_far(moved)):
                raise ExportQuantizedBadly(reason)
        made = open_model(Bundle.load(partial), overrides, device=device, tokenizer=tokenizer, reader=reader)
    return Added(Bundle.load(shelf.directory(called)), made.verdict, now.right_percent, moved)


def export_needs(graph: GraphFacts, export: Export, tokens: TokenizerFacts) -> ModelNeeds:
    """Returns what a plan has to know of a graph that is no bundle yet."""
    return ModelNeeds(
        file_bytes=graph.size_bytes,
        tokenizer_bytes=export.tokenizer.stat().st_size,
        width=export.config.width,
        max_context_tokens=context_tokens(export, tokens),
        precision=graph.precision,
        kind="joint",
        heads=export.config.heads,
        question_tokens=QUESTION_TOKENS + tokens.pair.special_tokens,
    )


def _unwatched(doing: str, done: int, total: int) -> None:
    """Stands for a progress callback where nobody watches."""

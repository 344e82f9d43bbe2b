"""`add`: an export's directory in, an added model out, an ordinary bundle in the directory of the user's models.

Everything that can be is checked before anything is written. What is written goes into a directory of its own that gets
the model's name in one step at the end (`shelf`): a model is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edgeqa.capabilities.footprint import ModelNeeds
from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.importing import asking, shelf
from edgeqa.importing.errors import ExportQuantizedBadly, ExportUnreadable, ExportUnwritable
from edgeqa.importing.export import read_export
from edgeqa.importing.template import tokenizer_facts
from edgeqa.importing.trial import try_graph
from edgeqa.models import golden, manifest, selftest
from edgeqa.models.bundle import Bundle
from edgeqa.models.joint import JointReader
from edgeqa.models.readers import session_options
from edgeqa.models.session import Session
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.capabilities.overrides import Overrides
    from edgeqa.importing.asking import Moved, Progress
    from edgeqa.importing.export import Export
    from edgeqa.importing.graph import GraphFacts
    from edgeqa.importing.template import TokenizerFacts
    from edgeqa.models.manifest import Joint
    from edgeqa.models.selftest import Verdict
    from edgeqa.models.session import SessionOptions

QUESTION_TOKENS = 62  # as many as the bundled model takes; the rest is for the context
TOKENIZER = "tokenizer.json"
BLOCK_BYTES = 1 << 20


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
    if int8:
        from edgeqa.importing import quantizing

        quantizing.check(export.graph)
    tokens = tokenizer_facts(export.tokenizer)
    device = probe(providers=False)

    def planned(needs: ModelNeeds) -> tuple[SessionOptions, str]:
        plan = make_plan(device, needs, overrides)
        return session_options(plan), plan.precision.value

    options, path = planned(_needs(export.graph, export, tokens))
    tokenizer = Tokenizer(export.tokenizer)
    watch("loading", 0, 1)
    reader = try_graph(export.reference, export, tokens, planned(_needs(export.reference, export, tokens))[0])
    said = asking.ask(reader, tokenizer, watch)
    cases = asking.golden_cases(said, reader, tokenizer)
    if export.graph is not export.reference:
        del reader  # before the other one is loaded
        reader = try_graph(export.graph, export, tokens, options)
    with shelf.new_model(called) as partial:
        joint = reader.joint
        if int8:
            watch("making int8", 0, 1)
            joint = replace(joint, graph_files=quantizing.quantize(export.graph, partial))
        else:
            for file, copy in zip(export.graph.files, joint.graph_files, strict=True):
                _copy(file, partial / copy, watch)
        _copy(export.tokenizer, partial / TOKENIZER, watch)
        _write(partial / golden.NAME, json.dumps(cases, ensure_ascii=False, indent=1))
        precision = "int8" if int8 else export.graph.precision
        facts = _manifest(called, export, tokens, joint, precision, partial)
        _write(partial / manifest.NAME, json.dumps(facts, indent=1) + "\n")
        made = Bundle.load(partial)
        moved = None
        if int8:
            del reader
            options, path = planned(made.needs())
            reader = JointReader(Session(made.file(manifest.JOINT_GRAPH), options), tokens.pair, joint)
        now = said
        if int8 or export.graph is not export.reference:
            now = asking.ask(reader, tokenizer, watch)
            moved = asking.moved(said, now)
        if int8 and moved is not None and (reason := quantizing.too_far(moved)):
            raise ExportQuantizedBadly(reason)
        verdict = selftest.assure(made, device.int8_flags, path, tokenizer, reader)
    return Added(Bundle.load(shelf.directory(called)), verdict, now.right_percent, moved)


def _needs(graph: GraphFacts, export: Export, tokens: TokenizerFacts) -> ModelNeeds:
    """Returns what a plan has to know of a graph that is no bundle yet."""
    return ModelNeeds(
        file_bytes=graph.size_bytes,
        tokenizer_bytes=export.tokenizer.stat().st_size,
        width=export.config.width,
        max_context_tokens=_context_tokens(export, tokens),
        precision=graph.precision,
        kind="joint",
    )


def _context_tokens(export: Export, tokens: TokenizerFacts) -> int:
    """Returns how many tokens a context may have, one of them special, as in every manifest."""
    return export.config.max_tokens - QUESTION_TOKENS - tokens.pair.special_tokens + 1


def _manifest(
    called: str, export: Export, tokens: TokenizerFacts, joint: Joint, precision: str, directory: Path
) -> dict[str, Any]:
    names = (*joint.graph_files, TOKENIZER, golden.NAME)
    return {
        "format": manifest.FORMAT,
        "name": called,
        "version": "1",
        "kind": "joint",
        "precision": precision,
        "model_type": export.config.model_type,
        "architecture": export.config.architecture,
        "made_by": f"edgeqa {version('edgeqa')}",
        "layers": export.config.layers,
        "width": export.config.width,
        "max_question_tokens": QUESTION_TOKENS + 2,
        "max_context_tokens": _context_tokens(export, tokens),
        "lowercase": tokens.lowercase,
        "special_tokens": {"cls": tokens.pair.before[0], "sep": tokens.pair.after[0], "pad": export.config.pad_id},
        "pair": asdict(tokens.pair),
        "joint": asdict(joint),
        "files": {name: _described(directory / name) for name in names},
    }


def _described(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


def _copy(source: Path, to: Path, watch: Progress) -> None:
    try:
        stream = source.open("rb")
    except OSError as error:
        raise ExportUnreadable(source, error.strerror or str(error)) from error
    with stream:
        total, done = source.stat().st_size, 0
        try:
            with to.open("wb") as copy:
                while block := stream.read(BLOCK_BYTES):
                    copy.write(block)
                    done += len(block)
                    watch(f"copying {source.name}", done, total)
        except OSError as error:
            raise ExportUnwritable(to, error.strerror or str(error)) from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportUnwritable(file, error.strerror or str(error)) from error


def _unwatched(doing: str, done: int, total: int) -> None:
    """Stands for a progress callback where nobody watches."""

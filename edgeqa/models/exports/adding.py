"""`models add`: an export's directory in, an added model out, an ordinary bundle on the shelf.

Everything that can be is checked before anything is written. What is written goes into a directory of its own that gets
the model's name in one step at the end (`shelf`): a model is there whole or not at all. The manifest goes last: a
directory without one is no bundle. What cannot be read or written is an error that names it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.settings import Overrides
from edgeqa.errors import ExportUnwritable, OptionError
from edgeqa.models import manifest, selftest, shelf
from edgeqa.models.bundle import Bundle
from edgeqa.models.exports import quantizing
from edgeqa.models.exports.errors import ExportQuantizedBadly, ExportUnreadable
from edgeqa.models.exports.export import read_export
from edgeqa.models.exports.questions import ask_built_in, drift_between, golden_cases
from edgeqa.models.exports.trial import QUESTION_TOKENS, Trial, try_apart
from edgeqa.models.opening import open_model
from edgeqa.models.readers import JointReader
from edgeqa.models.session import Session, SessionOptions
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.models.exports.questions import Drift, Progress
    from edgeqa.models.manifest import Joint
    from edgeqa.models.selftest import Verdict

TOKENIZER = "tokenizer.json"
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class AddedModel:
    """A model that was added."""

    bundle: Bundle
    verdict: Verdict
    right_percent: float
    """F1 on the built-in questions, in percent."""
    moved: Drift | None
    """What int8 changed; None where nothing was made int8."""

    def to_json(self) -> dict[str, Any]:
        """Returns the fields of `edgeqa models add --json`."""
        facts = {
            **self.bundle.to_json(),
            "self_test": self.verdict.detail,
            "built_in_f1": round(self.right_percent, 1),
        }
        if self.moved is not None:
            facts["moved"] = {
                "answers_percent": round(self.moved.answers_percent, 1),
                "questions": self.moved.questions,
                "logits": round(self.moved.logits, 3),
            }
        return facts


def add_model(
    directory: str | os.PathLike[str],
    *,
    name: str | None = None,
    graph: str | None = None,
    quantize: Literal["int8"] | None = None,
    threads: int | None = None,
    budget_bytes: int | None = None,
    progress: Progress | None = None,
) -> AddedModel:
    """Makes a model of an export, and tests it on this device; returns it with how the test went.

    Args:
        directory: what an exporter has written: a graph, `tokenizer.json`, `config.json`. It is copied.
        name: what to call the model; by default as the directory is called.
        graph: which graph of the directory to take, where there are several.
        quantize: "int8" to make the int8 form, which is refused if answers move.
        threads: cores to use.
        budget_bytes: memory that may be used.
        progress: called as it goes on.

    Raises:
        BundleError: naming what is wrong with the export, or with what it says on this device.
        NotEnoughMemory: if the model does not fit this device.
        OptionError: for another `quantize` than "int8".
    """
    if quantize not in {None, "int8"}:
        raise OptionError(name="quantize", value=quantize, expected="int8, or nothing")
    overrides = Overrides(threads=threads, budget_bytes=budget_bytes)
    watch = progress or _unwatched
    export = read_export(os.fspath(directory), graph)
    called = shelf.new_name(name, export.directory)
    if quantize:
        quantizing.check(export.graph)
    # Until it was tried in a process of its own, nothing of it but JSON and a graph's names is read in this one.
    reference, chosen = try_apart(os.fspath(directory), graph, overrides, watch)
    tried = chosen or reference
    said, now = reference.replies, tried.replies
    trial = Trial(export, overrides)
    if quantize:
        quantizing.check_memory(export.graph, trial.plan(export.graph).available_bytes.value)
    tokenizer = Tokenizer(export.tokenizer)
    cases = golden_cases(said, trial.tokens.pair, tokenizer)
    joint, precision, reader = tried.joint, export.graph.precision, None
    with shelf.new_model(called) as partial:
        if quantize:
            watch("making int8", 0, 1)
            joint, precision = joint._replace(graph_files=quantizing.quantize(export.graph, partial)), "int8"
        else:
            for file, copied in zip(export.graph.files, joint.graph_files, strict=True):
                _copy(file, partial / copied, watch)
        _copy(export.tokenizer, partial / TOKENIZER, watch)
        _write(partial / selftest.GOLDEN_FILE, json.dumps(cases, ensure_ascii=False, indent=1))
        facts = _manifest(called, trial, joint, precision, partial)
        _write(partial / manifest.NAME, json.dumps(facts, indent=1) + "\n")
        bundle = Bundle.load(partial)
        if quantize:
            plan = make_plan(trial.device, bundle.needs(), overrides)
            reader = JointReader(
                Session(partial / manifest.JOINT_GRAPH, SessionOptions.of(plan)), trial.tokens.pair, joint
            )
            now = ask_built_in(reader, tokenizer, watch)
        moved = drift_between(said, now) if now is not said else None
        if quantize and moved and (reason := quantizing.too_far(moved)):
            raise ExportQuantizedBadly(reason)
        made = open_model(bundle, overrides, device=trial.device, tokenizer=tokenizer, reader=reader)
    return AddedModel(Bundle.load(shelf.models_home() / called), made.verdict, now.right_percent, moved)


def _manifest(called: str, trial: Trial, joint: Joint, precision: str, directory: Path) -> dict[str, Any]:
    export, tokens = trial.export, trial.tokens
    names = (*joint.graph_files, TOKENIZER, selftest.GOLDEN_FILE)
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
        "max_context_tokens": trial.context_tokens,
        "lowercase": tokens.lowercase,
        "special_tokens": {"cls": tokens.pair.before[0], "sep": tokens.pair.after[0], "pad": export.config.pad_id},
        "pair": tokens.pair._asdict(),
        "joint": joint._asdict(),
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

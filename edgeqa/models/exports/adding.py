"""`models add`: an export's directory in, an added model out, an ordinary bundle on the shelf.

A bundle, as a directory or in a wheel, is taken as it is, so that it comes to a device without pip. All checks that can
be made before writing are made before. The files are written into a directory of their own that gets the model's name
in one step at the end (`shelf`): a model is there whole or not at all. The manifest is written last: a directory
without one is no bundle. A file that cannot be read or written is an error that names it.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from edgeqa import files
from edgeqa.capabilities import Overrides
from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.errors import BundleManifestInvalid, ExportUnwritable, OptionError
from edgeqa.models import manifest, selftest, shelf
from edgeqa.models.bundle import BASE, Bundle, describe_file
from edgeqa.models.exports import quantizing, read_export
from edgeqa.models.exports.errors import ExportIsBundle, ExportQuantizedBadly, ExportUnreadable, WheelWithoutModel
from edgeqa.models.exports.questions import ask_built_in, drift_between, golden_cases
from edgeqa.models.exports.trial import QUESTION_TOKENS, Trial, try_apart
from edgeqa.models.opening import open_model
from edgeqa.models.readers import JointReader
from edgeqa.models.session import Session, SessionOptions
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from edgeqa.models.exports.questions import Drift
    from edgeqa.models.manifest import FileFact, Joint
    from edgeqa.models.selftest import Verdict
    from edgeqa.timing import Progress

TOKENIZER = "tokenizer.json"
WHEEL = ".whl"
BLOCK_BYTES = 1 << 20
OpenFile: TypeAlias = Callable[[str], IO[bytes]]


@dataclass(frozen=True, slots=True)
class AddedModel:
    """A model that was added."""

    bundle: Bundle
    verdict: Verdict
    right_percent: float | None
    """F1 on the built-in questions, in percent; None if it was a bundle already."""
    moved: Drift | None
    """The change of answers by int8; None where nothing was made int8."""

    def to_json(self) -> dict[str, Any]:
        """Returns the fields of `edgeqa models add --json`."""
        facts = {**self.bundle.to_json(), "self_test": self.verdict.detail}
        if self.right_percent is not None:
            facts["built_in_f1"] = round(self.right_percent, 1)
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
        directory: what an exporter has written: a graph, `tokenizer.json`, `config.json`; or a bundle, or a wheel that
            holds one, as that of edgeqa-base does. It is copied.
        name: what to call the model; by default as the directory or the bundle is called.
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
    given = Path(os.fspath(directory))
    if _is_bundle(given):
        if graph or quantize:
            raise ExportIsBundle(given)
        return _add_bundle(given, name, overrides, watch)
    export = read_export(os.fspath(directory), graph)
    called = shelf.new_name(name, export.directory.resolve().name)
    if quantize:
        quantizing.check(export.graph)
    # Before its trial in a process of its own, this process reads only its JSON and the names in its graph.
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


def _is_bundle(given: Path) -> bool:
    """Tells whether this is a bundle's directory, or a file whose name says that it is a wheel."""
    with contextlib.suppress(OSError, ValueError):  # a name that no file can have
        return given.is_file() if given.suffix == WHEEL else (given / manifest.NAME).is_file()
    return False


def _add_bundle(given: Path, name: str | None, overrides: Overrides, watch: Progress) -> AddedModel:
    with contextlib.ExitStack() as stack:
        where, open_file = _in_wheel(given, stack) if given.suffix == WHEEL else _in_directory(given)
        try:
            with open_file(manifest.NAME) as stream:
                raw = _read(stream, given)
            facts = manifest.parse(raw.decode("utf-8"), where)
        except UnicodeDecodeError as error:
            raise BundleManifestInvalid(where, str(error)) from error
        called = shelf.new_name(name, facts.name, is_own=facts.name == BASE)
        make_plan(probe(providers=False), Bundle(given, facts, "").needs(), overrides)
        with shelf.new_model(called) as partial:
            for file in facts.files:
                _take(open_file, file, given, partial, watch)
            with files.create(partial / manifest.NAME) as stream:
                stream.write(raw)
            made = open_model(Bundle.load(partial), overrides)
    return AddedModel(Bundle.load(shelf.models_home() / called), made.verdict, None, None)


def _take(open_file: OpenFile, file: FileFact, given: Path, to: Path, watch: Progress) -> None:
    """Copies a file of a bundle. One that is not there is missed when the bundle is loaded."""
    try:
        stream = open_file(file.name)
    except FileNotFoundError:
        return
    with stream:
        _pour(stream, given, file.size_bytes, to / file.name, watch)


def _in_directory(given: Path) -> tuple[str, OpenFile]:
    """Returns the name that errors give the manifest, and a function that opens a file of the bundle."""

    def open_file(name: str) -> IO[bytes]:
        try:
            return (given / name).open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ExportUnreadable(given / name, error.strerror or str(error)) from error

    return str(given / manifest.NAME), open_file


def _in_wheel(given: Path, stack: contextlib.ExitStack) -> tuple[str, OpenFile]:
    """Returns the same of the one bundle in a wheel; the stack closes it.

    Raises:
        WheelWithoutModel: if it is no wheel, or there is no bundle in it, or more than one.
        ExportUnreadable: if it cannot be read.
    """
    try:
        archive = stack.enter_context(zipfile.ZipFile(given))
    except zipfile.BadZipFile as error:
        raise WheelWithoutModel(given, str(error)) from error
    except OSError as error:
        raise ExportUnreadable(given, error.strerror or str(error)) from error
    found = [name for name in archive.namelist() if name.rpartition("/")[2] == manifest.NAME]
    if len(found) != 1:
        raise WheelWithoutModel(given, f"it holds {len(found)} files called {manifest.NAME}, not one")
    folder = found[0].removesuffix(manifest.NAME)

    def open_file(name: str) -> IO[bytes]:
        try:
            return archive.open(folder + name)
        except KeyError as error:
            raise FileNotFoundError(name) from error
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # damaged, or locked
            raise ExportUnreadable(given, str(error)) from error

    return f"{given}: {found[0]}", open_file


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
        "files": {name: describe_file(directory / name) for name in names},
    }


def _copy(source: Path, to: Path, watch: Progress) -> None:
    try:
        stream = source.open("rb")
    except OSError as error:
        raise ExportUnreadable(source, error.strerror or str(error)) from error
    with stream:
        _pour(stream, source, source.stat().st_size, to, watch)


def _pour(stream: IO[bytes], source: Path, total: int, to: Path, watch: Progress) -> None:
    """Copies what the stream has, at most a block beyond `total` bytes; `source` is what it is read from."""
    done = 0
    try:
        with files.create(to) as copy:
            while done <= total and (block := _read(stream, source)):
                copy.write(block)
                done += len(block)
                watch(f"copying {to.name}", done, max(done, total))
    except ExportUnreadable:
        raise
    except OSError as error:
        raise ExportUnwritable(to, error.strerror or str(error)) from error


def _read(stream: IO[bytes], source: Path) -> bytes:
    try:
        return stream.read(BLOCK_BYTES)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ExportUnreadable(source, str(error)) from error


def _write(file: Path, text: str) -> None:
    try:
        with files.create(file) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise ExportUnwritable(file, error.strerror or str(error)) from error


def _unwatched(doing: str, done: int, total: int) -> None:
    """Stands for a progress callback where nobody watches."""

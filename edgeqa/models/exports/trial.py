"""Trial of an export on this device: an export's directory, which was read, in; readers that were seen to work, out.

The layout of question and context is found by trial, too: the tokenizer's own post-processor gets a pair, and puts the
tokens before, between and after the two that the graph was trained with. Declared shapes are often missing or wrong, so
the graph is run to see its outputs: on a short text, with the tokenizer's last token, and at its full length. The
weights are in memory for that, after the plan has allowed it.

Anybody may have made an export. A loop in its graph may have 2^62 turns, a rule of its tokenizer may make 10 MB of each
letter, and both libraries end the whole process when they get no memory. So `try_apart` does all this in a child
process, with a limit of time for each step and a limit of memory; if the child ends, that is an error here. The child
is no jail: it belongs to the same user and has the same files. It protects from work that runs away, not from an attack
on a flaw of onnxruntime.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edgeqa.capabilities import MIB
from edgeqa.capabilities.computing import onnxruntime_version
from edgeqa.capabilities.footprint import ModelNeeds
from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.probe import assure_onnxruntime, probe
from edgeqa.errors import BundleGraphInvalid, EdgeQAError
from edgeqa.models.exports import read_export
from edgeqa.models.exports.errors import (
    ExportFileInvalid,
    ExportGraphRefused,
    ExportHeadWrong,
    ExportInputsUnknown,
    ExportOperatorMissing,
    ExportOpsetTooNew,
    ExportPairUnknown,
    ExportRanAway,
    ExportShapeFixed,
    ExportVocabularyWrong,
)
from edgeqa.models.exports.questions import QUESTIONS, ask_built_in
from edgeqa.models.manifest import JOINT_GRAPH, MAX_SPECIAL_TOKENS, MAX_TYPE, Joint, Pair
from edgeqa.models.readers import JointReader, element_types, joint_inputs
from edgeqa.models.session import Session, SessionOptions
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgeqa.capabilities import Overrides
    from edgeqa.capabilities.plan import Plan
    from edgeqa.models.exports import Export
    from edgeqa.models.exports.graph import GraphFacts
    from edgeqa.models.exports.questions import Replies
    from edgeqa.timing import Progress

QUESTION_TOKENS = 62  # the bundled model takes so many; the rest is for the context
QUESTION, CONTEXT = "Who was it?", "It was Ada."
SHORT_QUESTION, SHORT_CONTEXT = 7, 11  # tokens: so few, and so odd, that no dimension of a model is their sum by chance
START, END = ("start_logits", "start"), ("end_logits", "end")
STEP_LIMIT_S = 60.0  # loading a graph, or a question: a small board takes some seconds for a large model
TOTAL_LIMIT_S = 900.0
# Python, numpy and the libraries take 100 MiB; a JSON file, read here and by the tokenizer, takes 20 times its size.
_BASE_BYTES, _TOKENIZER_FACTOR = 512 * MIB, 40
# The plan lies above what was measured; what is reserved and not touched (stacks, arenas) counts here, too.
_PLAN_FACTOR, _THREAD_BYTES = 2, 128 * MIB
_MAX_FILE_BYTES = 16 * MIB  # the child may write so much: it only stores facts about the device
_SAID_BYTES = 1 << 16  # so much of the child's standard error is read
_TOO_MUCH = "it takes more memory than it may"
_START = (
    "import sys; handle, *sys.path[:] = sys.argv[1:]; from edgeqa.models.exports.trial import serve; serve(int(handle))"
)


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """The facts of a tokenizer that a bundle needs."""

    pair: Pair
    lowercase: bool
    tokens: int
    """One more than its largest id."""


class Trial:
    """An export on this device: what of it fits, and its graphs tried out."""

    def __init__(self, export: Export, overrides: Overrides | None) -> None:
        """Looks at the tokenizer and the device.

        Raises:
            ExportError: if the tokenizer is none, or lays pairs out in a way that no reader here can.
        """
        self.export = export
        self.tokens = tokenizer_facts(export.tokenizer)
        self.device = probe(providers=False)
        self._overrides = overrides

    @property
    def context_tokens(self) -> int:
        """How many tokens a context may have, one of them special, as in every manifest."""
        return self.export.config.max_tokens - QUESTION_TOKENS - self.tokens.pair.special_tokens + 1

    def plan(self, graph: GraphFacts) -> Plan:
        """Returns the plan for a graph that is no bundle yet.

        Raises:
            NotEnoughMemory: if it does not fit.
        """
        needs = ModelNeeds(
            file_bytes=graph.size_bytes,
            tokenizer_bytes=self.export.tokenizer.stat().st_size,
            width=self.export.config.width,
            max_context_tokens=self.context_tokens,
            precision=graph.precision,
            kind="joint",
            heads=self.export.config.heads,
            question_tokens=QUESTION_TOKENS + self.tokens.pair.special_tokens,
        )
        return make_plan(self.device, needs, self._overrides)

    def load(self, graph: GraphFacts) -> JointReader:
        """Returns the graph's reader, which knows how the graph is to be fed and read.

        Raises:
            CapabilityError: if it does not fit, or onnxruntime cannot be imported on this device.
            ExportError: naming what it lacks.
        """
        assure_onnxruntime(self.device.kernels)
        return _try_graph(graph, self.export, self.tokens, SessionOptions.of(self.plan(graph)))


def tokenizer_facts(file: Path) -> TokenizerFacts:
    """Returns the facts of the tokenizer in `file`.

    Raises:
        ExportFileInvalid: if it is none.
        ExportPairUnknown: if it lays a question and a context out in a way that no reader here can.
    """
    from tokenizers import Tokenizer

    try:
        library = Tokenizer.from_file(str(file))
        library.no_truncation()
        library.no_padding()
        encoding = library.encode(QUESTION, CONTEXT)
        for built_in in QUESTIONS:  # a model that fails on these fails on a user's questions
            library.encode(built_in.question, built_in.context)
    except BaseException as error:  # the library raises bare Exception, and BaseException where it panics
        if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)):
            raise
        raise ExportFileInvalid(file, f"not a tokenizer ({' '.join(str(error).split())[:200]})") from error
    normalizer = json.loads(library.to_str()).get("normalizer")
    return TokenizerFacts(
        pair=_pair(file, encoding.ids, encoding.type_ids, encoding.sequence_ids),
        lowercase=_folds_case(normalizer),
        tokens=max(library.get_vocab(with_added_tokens=True).values(), default=-1) + 1,
    )


def _try_graph(graph: GraphFacts, export: Export, tokens: TokenizerFacts, options: SessionOptions) -> JointReader:
    config = export.config
    _check_vocabulary(export, graph, tokens)
    try:
        session = Session(graph.path, options, weights=[file for file in graph.files if file != graph.path])
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
        return dict(zip(session.outputs, session.run(feed), strict=True))

    ordinary = tokens.pair.after[0]
    try:
        found = run(SHORT_QUESTION, SHORT_CONTEXT, ordinary)
    except BundleGraphInvalid as error:
        raise _refused(graph, error) from error
    outputs = _outputs(export, graph, found, SHORT_QUESTION + SHORT_CONTEXT + tokens.pair.special_tokens)
    try:
        run(SHORT_QUESTION, SHORT_CONTEXT, tokens.tokens - 1)
    except BundleGraphInvalid as error:
        raise ExportVocabularyWrong(graph.path, tokens.tokens, config.vocabulary or 0) from error
    try:
        run(SHORT_QUESTION, config.max_tokens - SHORT_QUESTION - tokens.pair.special_tokens, ordinary)
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
    # A table may have some more rows than tokens, for a round size. Twice as many belong to another model.
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
        return ExportOpsetTooNew(graph.path, graph.opset, onnxruntime_version() or "of no known version")
    if "NOT_IMPLEMENTED" in said or "NotImplemented" in said or "not a registered function/op" in said:
        return ExportOperatorMissing(graph.path, graph.precision, _of(error, graph))
    if "invalid dimensions" in said.lower():
        return ExportShapeFixed(graph.path)
    return ExportGraphRefused(graph.path, _of(error, graph))


def _of(error: BundleGraphInvalid, graph: GraphFacts) -> str:
    return str(error).removeprefix(f"{graph.path}: ")


def _pair(file: Path, ids: list[int], types: list[int], sequences: list[int | None]) -> Pair:
    where = {number: [at for at, its in enumerate(sequences) if its == number] for number in (0, 1)}
    question, context = where[0], where[1]
    if not question or not context:
        raise ExportPairUnknown(file, f"the tokenizer gives no tokens for {QUESTION!r}, {CONTEXT!r}")
    first, second = slice(question[0], question[-1] + 1), slice(context[0], context[-1] + 1)
    if set(sequences[first]) != {0} or set(sequences[second]) != {1} or first.stop > second.start:
        raise ExportPairUnknown(file, "the tokenizer mixes question and context")
    before, between, after = ids[: first.start], ids[first.stop : second.start], ids[second.stop :]
    if not before or not after:
        raise ExportPairUnknown(file, "the tokenizer puts no special token before the question, or none at the end")
    if len(before) + len(between) + len(after) > MAX_SPECIAL_TOKENS:
        raise ExportPairUnknown(file, f"the tokenizer adds more than {MAX_SPECIAL_TOKENS} special tokens")
    of_question, of_context = set(types[: second.start]), set(types[second.start :])
    if len(of_question) > 1 or len(of_context) > 1 or max(of_question | of_context) > MAX_TYPE:
        raise ExportPairUnknown(file, f"the tokenizer gives the token types {types}")
    return Pair(tuple(before), tuple(between), tuple(after), of_question.pop(), of_context.pop())


def _folds_case(normalizer: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Tells whether the normalizer, or one of those that it is a sequence of, makes letters small."""
    if not isinstance(normalizer, dict):
        return False
    if normalizer.get("type") == "Sequence":
        return any(map(_folds_case, normalizer.get("normalizers", [])))
    return normalizer.get("type") == "Lowercase" or normalizer.get("lowercase") is True


# --- in a process of its own ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TriedGraph:
    """A graph that was tried out."""

    joint: Joint
    replies: Replies
    """Its replies to the built-in questions; all its logits are numbers."""


class _Request(NamedTuple):
    directory: str
    graph: str | None
    overrides: Overrides | None


def try_apart(
    directory: str, graph: str | None, overrides: Overrides | None, watch: Progress
) -> tuple[TriedGraph, TriedGraph | None]:
    """Returns the reference graph, tried out, and the chosen one where that is another.

    Raises:
        ExportRanAway: if it took too long or too much memory, or ended its process.
        BundleError: naming what else is wrong with the export.
        NotEnoughMemory: if it does not fit this device.
    """
    ours, its = Pipe()
    with tempfile.TemporaryFile() as said, ours:
        with its:
            try:
                child = subprocess.Popen(  # noqa: S603 - this Python, with a constant program
                    [sys.executable, "-c", _START, str(its.fileno()), *sys.path],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    pass_fds=(its.fileno(),),
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # or numpy takes memory for every core
                )
            except OSError as error:
                raise ExportRanAway(directory, f"no process can be started ({error.strerror})") from error
        with child:
            try:
                return _watched(child, ours, _Request(directory, graph, overrides), watch, said)
            finally:
                child.kill()


def _watched(
    child: subprocess.Popen[bytes],
    connection: Connection,
    request: _Request,
    watch: Progress,
    said: Any,  # noqa: ANN401
) -> tuple[TriedGraph, TriedGraph | None]:
    at: str | Path = request.directory
    give_up_at_s = time.monotonic() + TOTAL_LIMIT_S
    try:
        connection.send(request)
        while connection.poll(max(0.0, min(STEP_LIMIT_S, give_up_at_s - time.monotonic()))):
            kind, value = connection.recv()
            if kind == "at":
                at = value
            elif kind == "progress":
                watch(*value)
            elif isinstance(value, EdgeQAError):
                raise value
            else:
                tried: tuple[TriedGraph, TriedGraph | None] = value
                return tried
    except (EOFError, ConnectionError) as error:
        raise ExportRanAway(at, _end(child, said)) from error
    took_s = STEP_LIMIT_S if time.monotonic() < give_up_at_s else TOTAL_LIMIT_S
    raise ExportRanAway(at, f"it took more than {took_s:.0f} s")


def _end(child: subprocess.Popen[bytes], said: Any) -> str:  # noqa: ANN401 - a temporary file has no public type
    """Returns the reason for the end of the child."""
    try:
        code = child.wait(STEP_LIMIT_S)
    except subprocess.TimeoutExpired:
        return "the process that tried it hangs"
    said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID_BYTES))
    text = said.read().decode("utf-8", "replace").strip()
    if "memory allocation of " in text or "bad_alloc" in text:  # these are the words of Rust and C++
        return _TOO_MUCH
    lines = text.splitlines()
    last = f" ({lines[-1][:200]})" if lines else ""
    if code < 0:
        return f"the process that tried it was ended by signal {-code}, {signal.strsignal(-code)}{last}"
    return f"the process that tried it ended with {code}{last}"


# --- in the child ----------------------------------------------------------------------------------------------------


def serve(handle: int) -> None:
    """Tries out what is asked for on the pipe `handle`, once; the child's whole life."""
    connection = Connection(handle)
    request = _Request(*connection.recv())
    try:
        end: object = _try(request, connection)
    except EdgeQAError as error:
        end = error
    except MemoryError:
        end = ExportRanAway(request.directory, _TOO_MUCH)
    connection.send(("end", end))
    connection.close()
    os._exit(0)  # the objects of a stranger's graph are not destroyed one by one


def _try(request: _Request, connection: Connection) -> tuple[TriedGraph, TriedGraph | None]:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _MAX_FILE_BYTES)
    _limit(resource.RLIMIT_CPU, int(TOTAL_LIMIT_S) * (os.cpu_count() or 1))  # in case nobody is there to end it
    export = read_export(request.directory, request.graph)
    connection.send(("at", export.tokenizer))
    _limit(resource.RLIMIT_DATA, _BASE_BYTES + _TOKENIZER_FACTOR * export.tokenizer.stat().st_size)
    trial = Trial(export, request.overrides)
    tokenizer = Tokenizer(export.tokenizer)

    def tried(graph: GraphFacts) -> TriedGraph:
        connection.send(("at", graph.path))
        plan = trial.plan(graph)
        _limit(
            resource.RLIMIT_DATA, _PLAN_FACTOR * plan.needed_bytes + _BASE_BYTES + plan.threads.value * _THREAD_BYTES
        )
        progress("loading", 0, 1)
        reader = trial.load(graph)
        replies = ask_built_in(reader, tokenizer, progress)
        if not replies.is_finite:
            raise ExportGraphRefused(graph.path, "its logits are infinite, or no numbers at all")
        return TriedGraph(reader.joint, replies)

    def progress(doing: str, done: int, total: int) -> None:
        connection.send(("progress", (doing, done, total)))

    trial.plan(export.graph)
    reference = tried(export.reference)
    return reference, None if export.graph is export.reference else tried(export.graph)


def _limit(kind: int, most: int) -> None:
    """Sets the limit, but never a wider one than there is; it may be widened again up to what the user has."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))

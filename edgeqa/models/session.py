"""One onnxruntime session per graph, set up as the plan says: a graph's file in, its outputs for named arrays out.

Arrays are fed by the names that the graph declares. onnxruntime is imported when the first session is opened, never
before: a cache hit, `--help` and the capability report do without its 40 MB. Its telemetry is switched off.

Many callers may come at once: `Callers` decides how many of them read at a time, and on how many threads. A single
caller takes all threads of the plan. Several callers take one thread each, because the threads of one product wait for
each other, and those of different questions do not. A few more callers than cores may read at a time, so that one is
ready while another works in Python. The rest wait: each reading needs memory of its own, and pushes the numbers of the
others out of the processor's caches.

A fork waits until no caller reads: onnxruntime's memory has locks of its own, which a child would find held. Nobody
begins a step meanwhile, because callers who ask again and again would take each turn before the fork got it. The child
begins with all turns free.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import threading
import time
import weakref
from dataclasses import dataclass, replace
from functools import cache
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from edgeqa import files, forking
from edgeqa.capabilities.device import NO_TELEMETRY
from edgeqa.capabilities.precision import AT, CPU, EXACT_X86, WITHOUT_KLEIDIAI, short
from edgeqa.errors import BundleFileDamaged, BundleGraphInvalid, FilesLimited, Subinterpreter, ThreadsLimited

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgeqa.capabilities.plan import Plan

    Array = NDArray[Any]


FORKING_LIMIT_S = 1.0  # a step takes milliseconds
_FORKING_PAUSE_S = 0.001
_LOOK_S = 1.0  # so often, a caller who waits looks whether a turn was lost
CROWDED_FOR_S = 0.05  # callers who ask again and again pause for a moment between two questions
SPINNING_US = 20  # about the time between two operators of a graph
# Addition and norm as one operator take six times as long as the two that it would be made of (335 and 52 us for
# 174 tokens of edgeqa-mini, one thread).
_SLOWER_WHEN_FUSED = ["SkipLayerNormFusion"]


# "/onnxruntime_src/a.cc:729 void b::c(d&, e) " before what is wrong.
_SOURCE = re.compile(r"/\S+\.(?:cc|cpp|h):\d+ [^()]*\([^()]*\)(?: const)? ")
_NO_THREAD = "PosixThread"  # onnxruntime's error has this word if it cannot start a thread

_left_to_parents: list[Any] = []  # in a forked child, the parent's sessions


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The choices of a plan that concern a session."""

    threads: int = 1
    spinning: bool = False
    """Whether threads wait for the next operator awake. Only within a run: an idle process leaves the cores alone."""
    x64_quant_precision: bool = False
    """Exact int8 products on x86 without VNNI, whose fast kernels overflow 16 bits."""
    kleidiai: bool = True
    """Whether Arm's own kernels may be used, where the processor has what they are for."""
    mapped: bool = True
    """Whether files of weights are mapped into memory. Otherwise they are read, and take as much memory."""
    provider: str = CPU
    """The provider that computes; operators that it does not take are left to the CPU."""
    profile: str = ""
    """The beginning of the name of a file that lists which provider computed each operator, with the graph as it is."""

    @classmethod
    def of(cls, plan: Plan) -> SessionOptions:
        """Returns the options of a session that the plan asks for."""
        path, _, provider = plan.precision.value.partition(AT)
        kleidiai = not path.endswith(WITHOUT_KLEIDIAI)
        threads, spinning, mapped = plan.threads.value, plan.spinning.value, plan.mapped.value
        return cls(threads, spinning, path == EXACT_X86, kleidiai, mapped, provider or CPU)


class Callers:
    """The callers who read, and those who wait: `with callers.turn():` around a step. No step may hold another.

    An interrupt may come at any moment, at the very end of a step, too: so each turn is an object that goes back to the
    others when nobody refers to it any more, and who is present is told by a set, and not by a count. Python drops an
    interrupt that comes while a turn goes back, and the turn with it: who waits looks once a second for a lost one.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._held: list[_Turn] = []  # while the process forks
        self.forked()
        forking.tell(self)

    def before_fork(self) -> None:
        """Takes all turns, as far as they come back in time, and lets nobody else have one."""
        self._forking = True
        give_up_at_s = time.monotonic() + FORKING_LIMIT_S
        while len(self._held) < self._at_once and time.monotonic() < give_up_at_s:
            with contextlib.suppress(Empty):  # CPython's `get` forgets its time limit while others get items
                self._held.append(self._turns.get_nowait())
                continue
            time.sleep(_FORKING_PAUSE_S)

    def after_fork(self) -> None:
        """Gives them back."""
        self._forking = False
        self._held.clear()

    def forked(self) -> None:
        """Begins anew: those who had turns do not exist here."""
        self._turns = _Turns(self._at_once)
        self._held.clear()
        self._forking = False
        self._present: set[int] = set()
        self._crowded_until_s = 0.0

    @property
    def crowded(self) -> bool:
        """Whether several are here, or were a moment ago."""
        return time.monotonic() < self._crowded_until_s

    def turn(self) -> _Step:
        """Returns a context manager for one step; it can be entered once."""
        return _Step(self)

    def come(self, one: int) -> _Turn:
        """Waits for a turn."""
        self._present.add(one)
        if len(self._present) > 1:
            self._crowded_until_s = time.monotonic() + CROWDED_FOR_S
        if self._forking and not forking.wait_for_fork(lambda: self._forking):
            self.after_fork()
        while True:
            try:
                return self._turns.get(timeout=_LOOK_S)
            except Empty:  # noqa: PERF203 - `suppress` would take longer than all the rest
                self._turns.replace_lost()

    def go(self, one: int) -> None:
        """Takes note that somebody has left. Harmless when repeated."""
        self._present.discard(one)


class _Turn:
    """The right to read; goes back to the others when nobody has it any more."""

    def __init__(self, turns: weakref.ref[_Turns], number: int) -> None:
        self._turns, self._number = turns, number

    def __del__(self) -> None:
        if (turns := self._turns()) is not None:  # else the callers are gone, or this is a forked child
            turns.give(self._number)


class _Turns(SimpleQueue[_Turn]):
    """The turns that nobody has."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._known: list[weakref.ref[_Turn] | None] = [None] * count
        for number in range(count):
            self.give(number)

    def give(self, number: int) -> None:
        """Puts a turn in the place of one that was."""
        turn = _Turn(weakref.ref(self), number)
        self._known[number] = weakref.ref(turn)
        self.put(turn)

    def replace_lost(self) -> None:
        """Makes those turns anew that neither wait here nor are anybody's."""
        with self._lock:
            for number, known in enumerate(self._known):
                if known is None or known() is None:
                    self.give(number)


class _Step:
    """One caller's step: from when it waits for its turn until it leaves, or is forgotten."""

    _turn: _Turn | None = None

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    def __enter__(self) -> None:
        self._turn = self._callers.come(id(self))

    def __exit__(self, *error: object) -> None:
        self._turn = None
        self._callers.go(id(self))

    def __del__(self) -> None:
        if hasattr(self, "_callers"):  # else it was interrupted while it was made
            self._callers.go(id(self))


class Session:
    """A loaded graph. `run` may be called from many threads.

    A session that knows its callers runs on one thread for each of them while there are several: the graph is loaded
    once more when that first happens. The results are the same, bit for bit.
    """

    def __init__(
        self, file: Path, options: SessionOptions, callers: Callers | None = None, weights: Sequence[Path] = ()
    ) -> None:
        """Loads the graph in `file`, whose `weights` are in files beside it."""
        self._options, self._callers, self._weights = options, callers, tuple(weights)
        self._mapped = [_Mapped(one) for one in weights] if options.mapped else []
        with forking.library_call():
            session = _load(file, options, self._weights)
        self._sessions: dict[int, Any] = {options.threads: session}  # by threads
        self._lock = threading.Lock()
        self.file = file
        self.inputs = tuple(i.name for i in session.get_inputs())
        self.input_types = {i.name: str(i.type) for i in session.get_inputs()}
        """onnxruntime's names of element types, such as "tensor(int64)"."""
        self.outputs = tuple(o.name for o in session.get_outputs())
        forking.tell(self)

    def forked(self) -> None:
        """Leaves a session of several threads to the parent: here it has none, and would wait for them for ever."""
        self._lock = threading.Lock()
        has_threads = self._options.threads > 1 or self._options.provider != CPU
        if has_threads and (session := self._sessions.pop(self._options.threads, None)) is not None:
            _left_to_parents.append(session)  # to free it would mean to wait for its threads, which do not exist here

    def run(self, arrays: Mapping[str, Array], outputs: Sequence[str] = ()) -> list[Array]:
        """Returns these outputs of the graph, or all; of `arrays`, those that the graph declares are fed.

        Raises:
            BundleGraphInvalid: if the graph declares an input that `arrays` lacks, or onnxruntime refuses the run.
            BundleFileDamaged: if a file of weights was cut short: to touch what is missing would end the process.
        """
        for one in self._mapped:
            one.check()
        try:
            feed = {name: arrays[name] for name in self.inputs}
        except KeyError as error:
            raise BundleGraphInvalid(self.file, f"declares an input {error} that this kind does not have") from error
        try:
            with forking.library_call():
                found: list[Array] = self._chosen().run(list(outputs or self.outputs), feed)
        except Exception as error:
            raise BundleGraphInvalid(self.file, f"onnxruntime cannot run it ({_one_line(error, self.file)})") from error
        return found

    def _chosen(self) -> Any:  # noqa: ANN401 - onnxruntime's own type is untyped
        """Returns the session to run: that of all threads, or among many callers that of one."""
        crowded = self._callers is not None and self._callers.crowded
        threads = 1 if crowded else self._options.threads
        if (session := self._sessions.get(threads)) is None:
            with self._lock:
                if (session := self._sessions.get(threads)) is None:
                    spinning = self._options.spinning and threads > 1
                    options = replace(self._options, threads=threads, spinning=spinning)
                    session = _load(self.file, options, self._weights)
                    self._sessions[threads] = session
        return session


class _Mapped:
    """A file of weights that a graph has mapped: as long as that is in use, it may not become shorter."""

    def __init__(self, file: Path) -> None:
        self._file, self._descriptor = file, files.opened(file)
        weakref.finalize(self, os.close, self._descriptor).atexit = False  # a thread may be reading yet
        self._size_bytes = os.lseek(self._descriptor, 0, os.SEEK_END)

    def check(self) -> None:
        """Does nothing.

        Raises:
            BundleFileDamaged: if it was cut short.
        """
        found_bytes = os.lseek(self._descriptor, 0, os.SEEK_END)  # this takes a tenth of the time of `os.stat`
        if found_bytes < self._size_bytes:
            raise BundleFileDamaged(self._file, "size in bytes", self._size_bytes, found_bytes)


def _load(file: Path, options: SessionOptions, weights: Sequence[Path]) -> Any:  # noqa: ANN401 - onnxruntime's own type is untyped
    setup = session_setup(options, file.stem)
    held = [] if options.mapped else [files.read(one) for one in weights]
    if held:
        setup.add_external_initializers_from_files_in_memory([one.name for one in weights], held, [*map(len, held)])
    import onnxruntime

    if options.provider not in onnxruntime.get_available_providers():
        raise BundleGraphInvalid(file, f"this onnxruntime has no {options.provider}")
    _share_arena()
    try:
        session = onnxruntime.InferenceSession(
            str(file),
            setup,
            providers=list(dict.fromkeys((options.provider, CPU))),
            disabled_optimizers=_SLOWER_WHEN_FUSED,
            enable_fallback=0,  # it would print on standard output, and try the same again
        )
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        if os.strerror(errno.EMFILE) in str(error):
            raise FilesLimited from error
        if _NO_THREAD in str(error):  # the limit on threads is reached; a session on our own thread gives the same
            if options.threads > 1:
                return _load(file, replace(options, threads=1, spinning=False), weights)
            raise ThreadsLimited from error
        raise BundleGraphInvalid(file, f"onnxruntime cannot load it ({_one_line(error, file)})") from error
    if options.provider not in session.get_providers():  # it has left it out, with a line on stderr at most
        what = f"cannot start {short(options.provider)}: its libraries, its driver or the device are missing"
        raise BundleGraphInvalid(file, f"onnxruntime {what}")
    session.edgeqa_weights = held  # the library copies nothing of them
    return session


def session_setup(options: SessionOptions, graph: str = "") -> Any:  # noqa: ANN401 - onnxruntime's own type is untyped
    """Returns onnxruntime's options for a session of the graph called so, with its telemetry off."""
    # Wheels for Linux (seen in 1.31) otherwise keep a device id and a database of events in the user's cache
    # directory, and send them to their maker. The variable is read when the library is loaded; the call is for a
    # program that loaded it before us.
    os.environ[NO_TELEMETRY] = "1"
    if _in_subinterpreter():
        raise Subinterpreter
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    setup = onnxruntime.SessionOptions()
    setup.intra_op_num_threads = options.threads
    setup.inter_op_num_threads = 1
    setup.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    setup.log_severity_level = 4  # errors are raised; warnings on stderr would mix with ours
    entries = {
        "session.intra_op.allow_spinning": int(options.spinning),
        "session.intra_op.spin_duration_us": SPINNING_US,
        "session.force_spinning_stop": 1,
        "session.x64quantprecision": int(options.x64_quant_precision),
        "session.use_env_allocators": 1,
        "mlas.disable_kleidiai": int(not options.kleidiai),
    }
    for name, value in entries.items():
        setup.add_session_config_entry(name, str(value))
    if options.profile:
        setup.enable_profiling = True
        setup.profile_file_prefix = f"{options.profile}-{graph}"
        setup.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return setup


def _in_subinterpreter() -> bool:
    """Tells whether this is not the process's first interpreter; False where Python cannot say."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # from 3.13, and before
        with contextlib.suppress(ImportError):
            interpreters = importlib.import_module(name)
            return bool(interpreters.get_current() != interpreters.get_main())
    return False


@cache
def _share_arena() -> None:
    """Makes the process's arena: once, however many sessions there are.

    The next run, of any graph, uses the memory that one run gave back. Without an arena, or with one for each session,
    less fits into the gaps: windows of 320 tokens took 10 to 20 MiB more.
    """
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, None)


def _one_line(error: Exception, file: Path) -> str:
    """Returns the beginning of what onnxruntime says.

    Without the file's path, and without the place in onnxruntime's own source, either of which may be longer than that.
    """
    return " ".join(_SOURCE.sub("", str(error).replace(str(file), "it")).split())[:200]

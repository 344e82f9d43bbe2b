"""Keeps every test away from the user's home, the network and the working directory."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, settings

from edgeqa import runtime, state
from edgeqa.cache import Cache
from edgeqa.capabilities.computing import onnxruntime_version
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator


# A suite that was started in the background ignores interrupts; the processes that it starts and interrupts do not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What tests ask is answered by the fast reader, also in the processes that they start, whether or not there is another.
os.environ["EDGEQA_READER"] = "fast"

EXAMPLES = Path(__file__).parent.parent / "examples"


class Run(Protocol):
    """Starts `python -c code arguments...` with pipes."""

    def __call__(self, code: str, *arguments: object) -> subprocess.Popen[str]: ...


class NoFile(Protocol):
    """Has the system let this process open no file, inside of `with`."""

    def __call__(self) -> contextlib.AbstractContextManager[None]: ...


# A slow machine is no fault of the code under test; examples are the same in each run.
settings.register_profile("edgeqa", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
# Where each instruction is emulated (tools/aarch64.py), a few examples are tried: the code is the same as elsewhere.
settings.register_profile("emulated", settings.get_profile("edgeqa"), max_examples=5)
settings.load_profile("edgeqa")


def pytest_report_header() -> str:
    names = ("numpy", "tokenizers", "lmdb", "click")
    versions = {name: version(name) for name in names} | {"onnxruntime": onnxruntime_version()}  # of any distribution
    return "versions: " + ", ".join(f"{name} {found}" for name, found in versions.items())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, for it and for the processes that it starts."""
    path = tmp_path / "home"
    monkeypatch.setenv(state.HOME_VARIABLE, str(path))
    return path


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has coverage leave alone the processes that the test starts: there it imports sqlite3, and writes files."""
    for variable in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def no_file() -> NoFile:
    @contextlib.contextmanager
    def limited() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return limited


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    """Has what is traced go on being traced: a test may trace by itself, or the stack may overflow in the tracer."""
    tracer = sys.gettrace()
    yield
    if sys.gettrace() is not tracer:
        sys.settrace(tracer)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer(DEFAULT_BUNDLE / "tokenizer.json")


@pytest.fixture(scope="session")
def qa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[runtime.EdgeQA]:
    """One runtime on the real bundled model, shared by the tests that only ask; it reads each time."""
    yield from _opened(tmp_path_factory)


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[runtime.EdgeQA]:
    """One for a file's tests that add, so that the model is loaded once; the collection is in each test's own home."""
    yield from _opened(tmp_path_factory)


@pytest.fixture(scope="module")
def with_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the examples added, for servers."""
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(state.HOME_VARIABLE, str(place))
        patch.chdir(EXAMPLES.parent)
        with runtime.open() as opened:
            opened.add(EXAMPLES.name)
    return place


def _opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[runtime.EdgeQA]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(state.HOME_VARIABLE, str(tmp_path_factory.mktemp("home")))
        with runtime.open(persist="off") as opened:
            yield opened


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return Bundle.load()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the test's own cache is."""
    return tmp_path / "cache"


@pytest.fixture
def cache(directory: Path) -> Iterator[Cache]:
    with Cache.open(directory, provenance="test 1") as opened:
        yield opened


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts real processes; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        # From Python 3.12 on, forking where there are threads is warned of; what then happens is what is tested.
        forking = ("-W", "ignore:This process:DeprecationWarning")
        command = [sys.executable, *forking, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()

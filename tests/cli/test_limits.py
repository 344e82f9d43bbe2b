"""Tests `edgeqa ask` where memory is short: under real limits of the system, and with texts larger than memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from program import DEADLINE_S, EDGEQA

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MIB = 1 << 20
PUMP = Path(__file__).parent.parent.parent / "examples" / "pump-manual.txt"
ASK = (*EDGEQA, "ask", "-q", "To what depth may the pump be submerged?", str(PUMP))


pytestmark = pytest.mark.usefixtures("unmeasured")  # to measure takes memory


def address_space(limit_bytes: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def limited(command: Sequence[str], mib: int) -> subprocess.CompletedProcess[str]:
    """Runs a command that may address so many MiB."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, preexec_fn=address_space(mib * MIB)
    )


def test_512_mb_of_address_space_are_enough() -> None:
    done = limited(ASK, 512)
    assert (done.returncode, done.stdout, done.stderr) == (0, "12 metres\n", "")


def test_512_mb_of_address_space_are_enough_for_a_collection() -> None:
    ask = (*EDGEQA, "ask", "-q", "To what depth may the pump be submerged?")
    for command, said in (((*EDGEQA, "add", str(PUMP)), "1 added"), (ask, "12 metres")):
        done = limited(command, 512)
        assert (done.returncode, said in done.stdout) == (0, True), done.stderr


def test_a_collection_that_was_asked_in_little_address_space_is_asked_again() -> None:
    """Threads that start before they are told to share one arena reserve 64 MiB each."""
    ask = (*EDGEQA, "ask", "-q", "--refresh", "--threads", "1", "To what depth may the pump be submerged?")
    for command in ((*EDGEQA, "add", str(PUMP)), ask, ask, ask):
        done = limited(command, 470)
        assert done.returncode == 0, done.stderr


def without_threads(*command: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command that may start no thread; root is let through all limits, and so becomes somebody else for it."""
    before = ["prlimit", "--nproc=0:0"]
    if os.geteuid() == 0:
        who = ("--reuid=65534", "--regid=65534", "--clear-groups")
        rights = (f"--{kind}-caps=+dac_read_search,+dac_override" for kind in ("inh", "ambient"))
        before += ["setpriv", *who, *rights]
    environment = {**os.environ, "EDGEQA_HOME": str(home)}
    return subprocess.run(
        [*before, *command], check=False, capture_output=True, text=True, timeout=DEADLINE_S, env=environment
    )


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs util-linux")
def test_where_no_thread_can_be_started_texts_are_answered_and_adding_says_why(tmp_path: Path) -> None:
    answered = without_threads(*ASK, home=tmp_path)
    assert (answered.stdout, answered.stderr, answered.returncode) == ("12 metres\n", "", 0)
    added = without_threads(*EDGEQA, "add", str(PUMP), home=tmp_path)
    assert added.returncode == 3
    assert added.stderr.startswith("edgeqa: no thread can be started: a limit on processes or threads is reached\n")
    assert "panicked" not in added.stderr


def test_what_was_answered_in_little_address_space_is_answered_again() -> None:
    """The first question has the answer cache made of all that is left; the next ones find it, and numpy, there."""
    ask = (*EDGEQA, "ask", "-q", "--refresh", "To what depth may the pump be submerged?")
    for command in ((*ask, str(PUMP)), (*ask, str(PUMP))):
        done = limited(command, 400)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "12 metres\n"


def test_too_little_address_space_is_refused_without_options_that_nobody_gave() -> None:
    for command in (ASK, (*EDGEQA, "add", str(PUMP))):
        done = limited(command, 300)
        assert done.returncode == 3
        assert "not enough address space: " in done.stderr


def test_an_answer_cache_that_leaves_no_address_space_for_a_library_is_said_to_be_in_the_way() -> None:
    with edgeqa.open(answer_cache_bytes=256 * MIB) as qa:
        qa.ask("Who built it?", "The bridge was built by Dorman Long.")
    refused = limited(ASK, 310)
    assert refused.returncode == 3
    assert "address space" in refused.stderr
    assert "edgeqa cache clear --yes" in refused.stderr
    assert limited((*EDGEQA, "cache", "clear", "--yes"), 400).returncode == 0
    assert limited(ASK, 400).stdout == "12 metres\n"


def test_too_little_address_space_is_refused_before_loading() -> None:
    done = limited(ASK, 192)
    assert (done.returncode, done.stdout) == (3, "")
    assert "bytes missing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A control group of version 1 with its own memory limit, below the one of this process."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        (own,) = [line.split(":", 2)[2] for line in lines if "memory" in line.split(":")[1].split(",")]
        parent = Path("/sys/fs/cgroup/memory") / own.lstrip("/")
        group = (parent if parent.is_dir() else Path("/sys/fs/cgroup/memory")) / f"edgeqa-test-{os.getpid()}"
        group.mkdir()
    except (OSError, ValueError) as error:
        pytest.skip(f"no memory control group can be made here: {error}")
    yield group
    group.rmdir()


def in_group(group: Path, limit_bytes: int) -> subprocess.CompletedProcess[str]:
    (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
    enter = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
    return subprocess.run(
        [sys.executable, "-c", enter, str(group / "cgroup.procs"), *ASK],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_a_control_group_of_512_mb_is_enough(control_group: Path) -> None:
    done = in_group(control_group, 512 * MIB)
    assert (done.returncode, done.stdout, done.stderr) == (0, "12 metres\n", "")


def test_a_control_group_of_128_mb_is_enough_for_a_page(control_group: Path) -> None:
    done = in_group(control_group, 128 * MIB)
    assert (done.returncode, done.stdout, done.stderr) == (0, "12 metres\n", "")


def test_a_control_group_that_is_too_small_is_refused_before_loading(control_group: Path) -> None:
    done = in_group(control_group, 96 * MIB)
    assert (done.returncode, done.stdout) == (3, "")
    assert "bytes missing" in done.stderr


PROSE = "The gardens are open from nine in the morning, and dogs are welcome on a lead; café and shop close at five.\n"
CHINESE = "花园每天早上九点开放，狗可以用绳子牵着进来；咖啡馆和商店五点关门。\n"  # noqa: RUF001 - another script is meant


@pytest.mark.parametrize(
    ("line", "size_bytes", "arguments", "most"),
    [
        (PROSE, 24 * MIB, ("What is the impeller made of?",), 20),
        (CHINESE, 8 * MIB, ("What is the impeller made of?",), 20),
        (CHINESE, 4 * MIB, ("花园 impeller made of?", "--contexts", "40"), 40),  # a word of it is in every section
    ],
    ids=["prose", "Chinese", "Chinese everywhere"],
)
def test_a_large_text_is_answered_in_less_than_250_mb(
    tmp_path: Path, line: str, size_bytes: int, arguments: tuple[str, ...], most: int
) -> None:
    half = line * (size_bytes // 2 // len(line.encode()))
    file = tmp_path / "large.txt"
    with file.open("w", encoding="utf-8") as stream:
        stream.write(half)
        stream.write("The impeller of the pump is made of phosphor bronze.\n")
        stream.write(half)
    assert file.stat().st_size > 0.99 * size_bytes
    program = (
        "import resource, sys, subprocess\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)\n"
        "sys.stdout.buffer.write(done.stdout)\n"
    )
    ask = (*EDGEQA, "ask", "--json", *arguments, str(file))
    done = subprocess.run(
        [sys.executable, "-c", program, *ask], capture_output=True, text=True, timeout=600, check=True
    )
    peak_bytes, answer = done.stdout.splitlines()
    found = json.loads(answer)
    assert found["answer"] == "phosphor bronze"
    assert found["contexts"] <= most
    assert found["source_start"] == len(half) + len("The impeller of the pump is made of ")
    assert int(peak_bytes) < 250 * 1000 * 1000

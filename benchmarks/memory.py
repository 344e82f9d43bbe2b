"""Measures the memory that edgeqa takes at its peak, command by command, beside the sum of its plan.

    python benchmarks/memory.py            # each command, a process of its own: its peak, and the plan's sum
    python benchmarks/memory.py --windows  # by the length of passages: what the constants of footprint.py are fitted to
    python benchmarks/memory.py --groups   # what each command does in control groups of 96 MiB and more (root's rights)
    python benchmarks/memory.py --address  # and where the address space is limited

Peaks are of resident memory, files that are mapped included, with one thread. A plan counts the answer cache and the
encoding store as if they were full, "at most"; its sum here is that of the other parts, since little is in them yet.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from edgeqa.capabilities import MIB
from edgeqa.capabilities.footprint import Sizes, memory_bytes, second_reader_bytes
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.models.shelf import base_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "examples" / "pump-manual.txt"
DOCUMENTS = ROOT / "benchmarks" / "documents" / "docs"
QUESTION = "To what depth may the pump be submerged?"
LONG_BYTES = 1_000_000
WINDOWS = (64, 128, 192, 256, 320, 384, 448)
BATCH_CONTEXTS, WINDOW_TOKENS = 16, 320
GROUPS_MIB, ADDRESS_MIB = range(96, 225, 16), range(300, 901, 40)
LIMIT_S = 300.0
ANSWERED = (0, 1)  # also with "no answer in the text"
READING = """
import random, sys
import edgeqa
words = "the ship sailed round a cape in wind and rain while her captain wrote his book about stones and birds".split()
window, tell = int(sys.argv[1]), random.Random(1)
text = " ".join(tell.choice(words) for _ in range(window * 40))
with edgeqa.open(threads=1, window_tokens=window, persist="off", reader="fast") as qa:
    qa.ask("What did the captain write his book about?", text)
"""


def main() -> None:
    """Measures what is asked for, in a home of its own, where the models were tested before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("windows", "groups", "address"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGEQA_HOME"] = f"{folder}/home"
        if options.windows:
            by_window()
            return
        long_text = Path(folder, "long.txt")
        written = b"\n\n".join(path.read_bytes() for path in sorted(DOCUMENTS.glob("*.txt")))
        long_text.write_bytes((written * (1 + LONG_BYTES // len(written)))[:LONG_BYTES])
        ended(["add", str(DOCUMENTS), str(PAGE)])
        if options.groups:
            in_limits(long_text, GROUPS_MIB, in_groups=True)
        elif options.address:
            in_limits(long_text, ADDRESS_MIB, in_groups=False)
        else:
            by_command(long_text)


def commands(long_text: Path, reader: str) -> dict[str, list[str]]:
    """Returns what is measured, with the reader that decides; a collection that is added to is a new one each time."""
    asking = ["ask", "--reader", reader, "--threads", "1", "--refresh", "-q", QUESTION]
    anew = ["add", "--threads", "1", "--collection", uuid4().hex, str(DOCUMENTS)]
    found = {"ask, a page": [*asking, str(PAGE)], "ask, 1 MB of text": [*asking, str(long_text)]}
    found |= {"ask, a collection": asking, "serve, a question of a collection": ["serve", "--reader", reader]}
    return found if reader == "careful" else {**found, "add, 1 MB in 32 documents": anew}


def by_command(long_text: Path) -> None:
    """Prints the peak of each command, and the plan's sum."""
    needs = Bundle.load(DEFAULT_BUNDLE).needs()
    planned = memory_bytes(needs, Sizes(BATCH_CONTEXTS, WINDOW_TOKENS, 0, 0))
    careful = base_bundle()
    more = {"fast": 0} | ({} if careful is None else {"careful": second_reader_bytes(Bundle.load(careful).needs())})
    print(f"{'':44}{'peak, MiB':>12}{'planned':>12}{'ratio':>8}")
    for reader, bytes_more in more.items():
        for name, command in commands(long_text, reader).items():
            if command[0] != "add":
                ended(command)  # what is tested, timed or made once
            code, peak, said = ended(command)
            sum_mib = (planned + bytes_more) / MIB
            print(
                f"{reader}: {name:38}{peak:12.1f}{sum_mib:12.1f}{sum_mib / peak:8.2f}", "" if code in ANSWERED else said
            )


def by_window() -> None:
    """Prints the peak by the length of passages, and the plan's sum, which is to lie above it, by at most a tenth."""
    needs = Bundle.load(DEFAULT_BUNDLE).needs()
    print(f"{'tokens':>6}{'peak, MiB':>12}{'planned':>12}{'ratio':>8}")
    for window in WINDOWS:
        peak = max(_ended([sys.executable, "-c", READING, str(window)])[1] for _ in range(2))
        planned = memory_bytes(needs, Sizes(BATCH_CONTEXTS, window, 0, 0)) / MIB
        print(f"{window:6}{peak:12.1f}{planned:12.1f}{planned / peak:8.2f}", flush=True)


def in_limits(long_text: Path, limits_mib: range, *, in_groups: bool) -> None:
    """Prints what each command does in each limit: + it answered, - it refused with its reason, ! all else."""
    print(f"{'MiB':36}" + "".join(f"{limit:>5}" for limit in limits_mib))
    for name in commands(long_text, "fast"):
        marks = []
        for limit in limits_mib:
            code, _, said = ended(commands(long_text, "fast")[name], limit, in_groups=in_groups)
            is_refused = code == 3 and "not enough" in said
            marks.append("+" if code in ANSWERED else "-" if is_refused else "!")
            if code not in ANSWERED and not is_refused:
                print(f"  {name} in {limit} MiB: {code} {said}", file=sys.stderr)
        print(f"{name:36}" + "".join(f"{mark:>5}" for mark in marks), flush=True)


def ended(arguments: list[str], limit_mib: int | None = None, *, in_groups: bool = False) -> tuple[int, float, str]:
    """Runs a command of edgeqa, in a limit; returns its exit code, its peak in MiB, and the end of its complaint."""
    command = [sys.executable, "-m", "edgeqa", *arguments]
    if limit_mib is None:
        return _ended(command)
    if not in_groups:
        return _ended(command, limit_mib * MIB)
    with group(limit_mib * MIB) as members:
        return _ended(["/bin/sh", "-c", 'echo $$ > "$0"; exec "$@"', str(members), *command])


def _ended(command: list[str], address_bytes: int | None = None) -> tuple[int, float, str]:
    def limit() -> None:
        if address_bytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))

    is_server = "serve" in command
    port = free_port()
    with tempfile.TemporaryFile("w+") as complaints:
        running = subprocess.Popen(
            [*command, "--port", str(port)] if is_server else command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            preexec_fn=limit,
        )
        refused = asked_of(port, running.pid) if is_server else ""
        if is_server:
            running.send_signal(signal.SIGTERM)
        _, status, used = os.wait4(running.pid, 0)
        complaints.seek(0)
        said = " ".join(complaints.read().split())[-200:]
    code = os.waitstatus_to_exitcode(status)
    return 3 if refused and not code else code, used.ru_maxrss / 1024, refused or said


def asked_of(port: int, process: int) -> str:
    """Asks the server a question, as soon as it listens; returns why it did not answer, or ""."""
    until_s = time.monotonic() + LIMIT_S
    given = json.dumps({"question": QUESTION, "refresh": True}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/ask", given, {"Content-Type": "application/json"})
    while time.monotonic() < until_s:
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S):  # noqa: S310 - our own
                return ""
        except urllib.error.HTTPError as refused:
            return refused.read().decode()
        except OSError:  # it does not listen yet
            pass
        with suppress(OSError):
            if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
        time.sleep(0.05)
    return "it ended, or did not listen"


def free_port() -> int:
    """Returns a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def group(limit_bytes: int) -> Iterator[Path]:
    """Makes a control group; gives the file that takes its members."""
    old = Path("/sys/fs/cgroup/memory")
    parent, name = (old, "memory.limit_in_bytes") if old.exists() else (Path("/sys/fs/cgroup"), "memory.max")
    path = parent / f"edgeqa-memory-{uuid4().hex}"
    path.mkdir()
    try:
        (path / name).write_text(str(limit_bytes), encoding="utf-8")
        yield path / "cgroup.procs"
    finally:
        path.rmdir()


if __name__ == "__main__":
    main()

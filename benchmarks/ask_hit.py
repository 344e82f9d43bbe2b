"""Measures what a remembered answer costs, from question to `Answer`: in one process, and as a whole command.

    python benchmarks/ask_hit.py -n 200

Beside each other in one run: reading a one-page text anew, the hit at hand in the same process, and on the command line
hits against `python -c "import click, lmdb, xxhash"` and against reading. Medians, 99th percentiles and ratios; of
processes, the processor time, which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parent.parent / "examples" / "pump-manual.txt"
BOOK = PAGE.with_name("voyage-of-the-beagle.txt")
QUESTION = "To what depth may the pump be submerged?"
AT_HAND_LOOPS = 1000  # one hit is too short for the clock


def timed(work: Callable[[], object], loops: int = 1) -> float:
    """Returns the seconds that one call takes."""
    began = time.perf_counter()
    for _ in range(loops):
        work()
    return (time.perf_counter() - began) / loops


def show(name: str, seconds: list[float], against: float) -> None:
    """Prints a row: median, 99th percentile, ratio to the median `against`."""
    ordered = sorted(seconds)
    median, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"{name:<52}{_time(median):>12}{_time(p99):>12}{median / against:>12.4g}")


def _time(seconds: float) -> str:
    for factor, unit in ((1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def in_process(rounds: int) -> None:
    """Times `qa.ask` on the same text: read anew, at hand."""
    text = PAGE.read_text(encoding="utf-8")
    with edgeqa.open(reader="fast") as qa:
        qa.ask(QUESTION, text)
        read: list[float] = []
        hit: list[float] = []
        file: list[float] = []
        for _ in range(rounds):
            read.append(timed(lambda: qa.ask(QUESTION, text, refresh=True)))
            qa.ask(QUESTION, text)
            hit.append(timed(lambda: qa.ask(QUESTION, text), AT_HAND_LOOPS))
            file.append(timed(lambda: qa.ask(QUESTION, PAGE), 20))
    median = statistics.median(read)
    show("qa.ask, a page, read anew (encoding at hand)", read, median)
    show("qa.ask, a page as str, remembered", hit, median)
    show("qa.ask, a page as Path, remembered (file read, hashed)", file, median)


def as_commands(rounds: int) -> None:
    """Measures the processor time of whole processes in turn: a hit in the ways that people ask."""
    ask = [sys.executable, "-m", "edgeqa", "ask", "--reader", "fast"]
    page, markdown = str(PAGE), str(PAGE.parent.parent / "README.md")
    commands = {
        'python -c "import click, lmdb, xxhash"': [sys.executable, "-c", "import click, lmdb, xxhash"],
        "ask -q QUESTION FILE": [*ask, "-q", QUESTION, page],
        "ask QUESTION FILE": [*ask, QUESTION, page],
        "ask QUESTION FILE --json": [*ask, QUESTION, page, "--json"],
        "ask QUESTION FILE FILE --top 3": [*ask, QUESTION, page, str(BOOK), "--top", "3"],
        "ask QUESTION, the text on standard input": [*ask, QUESTION],
        "ask -q QUESTION, the collection": [*ask, "-q", QUESTION, "--collection", "default"],
        "ask -q QUESTION FILE.md": [*ask, "-q", QUESTION, markdown, "--force"],
        "ask -q QUESTION FILE --, as click reads it": [*ask, "-q", QUESTION, page, "--"],
        "ask -q QUESTION FILE --refresh": [*ask, "-q", QUESTION, page, "--refresh"],
        "edgeqa --help": [sys.executable, "-m", "edgeqa", "--help"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    subprocess.run([sys.executable, "-m", "edgeqa", "add", page, str(BOOK)], check=True, capture_output=True)
    for command in commands.values():  # bytecode and page cache are warm for all, and all is remembered
        spent(command)
    for _ in range(rounds):
        for name, command in commands.items():
            taken[name].append(spent(command))
    base = statistics.median(next(iter(taken.values())))
    for name, seconds in taken.items():
        show(name, seconds, base)


def spent(command: list[str]) -> float:
    """Returns the processor time of a process that has the page on standard input."""
    nowhere = subprocess.DEVNULL
    with PAGE.open("rb") as page, subprocess.Popen(command, stdin=page, stdout=nowhere, stderr=nowhere) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Runs the benchmark in a home of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=200, help="rounds in the process; a fifth as commands")
    rounds = parser.parse_args().rounds
    print(f"{os.uname().machine}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"{'':<52}{'median':>12}{'p99':>12}{'ratio':>12}")
    # Without bytecode files each start would compile the package again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as home:
        os.environ["EDGEQA_HOME"] = home
        in_process(rounds)
        as_commands(max(5, rounds // 5))


if __name__ == "__main__":
    main()

"""Measures `edgeqa ask` on a one-page text that was never asked before, as a whole process: milliseconds and memory.

    python benchmarks/ask_miss.py -n 30

Beside it in turns: Python alone, and Python that imports what reading needs, which is the floor. Every run has a fresh
question, and the home keeps nothing but the self-test's verdict. Files are in the page cache.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from edgeqa.bench import Times, show

PAGE = Path(__file__).parent.parent / "examples" / "pump-manual.txt"
IMPORTS = "import click, lmdb, xxhash, msgspec, numpy, tokenizers, onnxruntime"


def run(command: list[str]) -> tuple[float, float]:
    """Returns the milliseconds that a command takes, and the MiB that it had at its peak."""
    began = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[_QUIET])
    _, status, used = os.wait4(process, 0)
    taken_ms = (time.perf_counter() - began) * 1e3
    if os.waitstatus_to_exitcode(status) not in {0, 1}:
        sys.exit(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
    return taken_ms, used.ru_maxrss / (1024 if platform.system() == "Linux" else 1 << 20)


_QUIET = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)


def main() -> None:
    """Runs from the command line, in a home of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=30, help="rounds")
    rounds = parser.parse_args().n
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # without bytecode files each start would compile the package again
    with tempfile.TemporaryDirectory() as home:
        os.environ["EDGEQA_HOME"] = home
        taken: dict[str, list[tuple[float, float]]] = {}
        for number in range(-1, rounds):  # the first writes bytecode, and runs the self-test
            question = f"To what depth may pump {number} be submerged?"
            commands = {
                "python -c pass": [sys.executable, "-c", "pass"],
                "its imports alone": [sys.executable, "-c", IMPORTS],
                "edgeqa ask, a page, read": [
                    sys.executable,
                    "-m",
                    "edgeqa",
                    "ask",
                    "--reader",
                    "fast",
                    "-q",
                    question,
                    str(PAGE),
                ],
            }
            for name, command in commands.items():
                found = run(command)
                if number >= 0:
                    taken.setdefault(name, []).append(found)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds")
    print(f"{'':<28}{'median':>10}{'p99':>10}{'peak MiB':>10}")
    for name, measured in taken.items():
        times = Times.of([ms for ms, _ in measured])
        peak_mib = median(mib for _, mib in measured)
        print(f"{name:<28}{show(times.median_ms):>10}{show(times.p99_ms):>10}{peak_mib:>10.1f}")


if __name__ == "__main__":
    main()

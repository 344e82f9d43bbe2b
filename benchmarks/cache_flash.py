"""Counts the bytes that reach the disk for 1,000 answers: stored one by one, in bursts, and by one process each.

    python benchmarks/cache_flash.py -n 2000

The kernel's own count (`/proc/self/io`, bytes given to the disk) is taken after a sync, for new answers of about 400
bytes in a cache that already holds some. Beside it: what the answers are in bytes, and the write amplification.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cache_read import answer, key

from edgeqa.cache import Cache, values

if TYPE_CHECKING:
    from collections.abc import Callable

IO_FILE = Path("/proc/self/io")


def written_bytes() -> int:
    """Returns the bytes that this process has caused to be written to a disk."""
    lines = dict(line.split(": ") for line in IO_FILE.read_text(encoding="ascii").splitlines())
    return int(lines["write_bytes"]) - int(lines["cancelled_write_bytes"])


def each_by_itself(cache: Cache, start: int, count: int) -> None:
    """Stores answers as a person asks: each is committed before the next."""
    for number in range(start, start + count):
        cache.put(key(number), answer(number))
        cache.flush()


def in_a_burst(cache: Cache, start: int, count: int) -> None:
    """Stores answers as a program asks, at once."""
    for number in range(start, start + count):
        cache.put(key(number), answer(number))
    cache.flush()


def paced(cache: Cache, start: int, count: int) -> None:
    """Stores 200 answers a second."""
    for number in range(start, start + count):
        cache.put(key(number), answer(number))
        time.sleep(0.005)
    cache.flush()


def measure(place: Path, store: Callable[[Cache, int, int], None], count: int, before: int) -> float:
    """Returns the bytes written for one answer, the sync at the end included."""
    with Cache.open(place) as cache:
        in_a_burst(cache, 0, before)
    os.sync()
    start_bytes = written_bytes()
    with Cache.open(place) as cache:
        store(cache, before, count)
    os.sync()
    return (written_bytes() - start_bytes) / count


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=1000, help="answers")
    parser.add_argument("--before", type=int, default=10_000, help="answers that are already there")
    parser.add_argument("--place", type=Path, help="a directory on the disk to measure")
    options = parser.parse_args()
    if not IO_FILE.exists():
        sys.exit("this system does not count what a process writes")
    payload_bytes = sum(len(values.encode(answer(n))) for n in range(options.n)) / options.n
    print(f"one answer: {payload_bytes:.0f} bytes; {options.before} are already there")
    ways: dict[str, Callable[[Cache, int, int], None]] = {
        "one by one": each_by_itself,
        "200 a second": paced,
        "at once": in_a_burst,
    }
    for name, store in ways.items():
        with tempfile.TemporaryDirectory(dir=options.place) as place:
            each_bytes = measure(Path(place), store, options.n, options.before)
        kib, factor = each_bytes * 1000 / 1024, each_bytes / payload_bytes
        print(f"{name:<14} {kib:>9,.0f} KiB for 1,000 answers, amplification {factor:.1f}")


if __name__ == "__main__":
    main()

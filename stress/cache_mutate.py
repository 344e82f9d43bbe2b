"""Damages the files of a cache in every way: each time the cache must work or put the file aside, and never be wrong.

    python stress/cache_mutate.py -n 10000 -p 2 --seed 1 --at-rest 1

Each damaged file is opened by a process of its own, which must end by itself with exit code 0. A share of the files is
damaged at rest, which leaves their times as they were.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from edgeqa.cache import FORMAT_DIRECTORY, Cache

MAP_BYTES = 1 << 20
NAMES = 400
WORKS, ASIDE, WRONG = 0, 10, 20


def make(directory: Path) -> None:
    """Makes a cache that has seen evictions and second chances."""
    with Cache.open(directory, map_bytes=MAP_BYTES) as cache:
        for number in range(NAMES * 10):
            name = f"n{number % NAMES}"
            cache.put(name, {"name": name, "filler": "x" * (number % 7 * 100)})
            cache.put(f"gone{number}", "x" * 500)
            if number % 3 == 0:
                cache.get(name)


def mutate(files: Path, chance: random.Random, at_rest: float) -> str:
    """Damages the files; returns how."""
    name = "data.mdb" if chance.random() < 0.9 else chance.choice(("lock.mdb", "header", "seal", "ledger"))
    path = files / name
    status = path.stat()
    data = bytearray(path.read_bytes())
    kind = chance.choice(("flip", "flip", "meta", "page head", "cut", "zeros", "noise", "swap", "append"))
    at = chance.randrange(max(1, len(data)))
    if kind == "flip":
        for _ in range(chance.randint(1, 16)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == "meta":
        data[chance.randrange(min(8192, len(data)))] = chance.randrange(256)
    elif kind == "page head":
        page = at // 4096 * 4096
        data[page + chance.randrange(min(64, len(data) - page))] = chance.randrange(256)
    elif kind == "cut":
        del data[at:]
    elif kind == "zeros":
        data[at : at + chance.choice((1, 100, 4096))] = bytes(len(data[at : at + 100]))
    elif kind == "noise":
        data[at : at + 4096] = chance.randbytes(len(data[at : at + 4096]))
    elif kind == "swap":
        other = chance.randrange(len(data)) // 4096 * 4096
        page = at // 4096 * 4096
        data[page : page + 4096], data[other : other + 4096] = data[other : other + 4096], data[page : page + 4096]
    else:
        data += chance.randbytes(chance.randint(1, 9000))
    path.write_bytes(data)
    if chance.random() < at_rest:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return f"{name}, {kind}, at rest"
    return f"{name}, {kind}"


def look(directory: Path) -> int:
    """Uses the cache like any process; returns an exit code."""
    with Cache.open(directory, map_bytes=MAP_BYTES) as cache:
        for number in range(NAMES):
            name = f"n{number}"
            value = cache.get(name)
            if value is not None and value["name"] != name:
                return WRONG
        for number in range(50):
            cache.put(f"new{number}", "y" * 300)
        cache.flush()
        cache.check()  # whatever it finds, it must find it without an error
        return ASIDE if cache.stats().faults else WORKS


def look_in_a_child(directory: Path) -> int:
    """Returns the exit code of a process that uses the cache; negative if a signal killed it."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = look(directory)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(place: Path, *, files: int, seed: int, at_rest: float = 0.2) -> collections.Counter[str]:
    """Returns how it went with each file."""
    chance = random.Random(seed)
    tally: collections.Counter[str] = collections.Counter()
    make(place / "sound")
    for _ in range(files):
        shutil.rmtree(place / "damaged", ignore_errors=True)
        shutil.copytree(place / "sound", place / "damaged")
        how = mutate(place / "damaged" / FORMAT_DIRECTORY, chance, at_rest)
        code = look_in_a_child(place / "damaged")
        ends = {WORKS: "works", ASIDE: "put aside or counted"}
        tally[ends.get(code, f"WRONG: {how}: exit code {code}")] += 1
    return tally


def main() -> int:
    """Runs from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=10_000, help="files")
    parser.add_argument("-p", type=int, default=1, help="processes at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-rest", type=float, default=0.2, help="share of the files whose times stay as they were")
    options = parser.parse_args()
    tally: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as place:
        if options.p == 1:
            tally = run(Path(place), files=options.n, seed=options.seed, at_rest=options.at_rest)
        else:
            from concurrent.futures import ProcessPoolExecutor

            with ProcessPoolExecutor(options.p) as pool:
                parts = []
                for worker in range(options.p):
                    (Path(place) / str(worker)).mkdir()
                    how = {"seed": options.seed * 1000 + worker, "at_rest": options.at_rest}
                    parts.append(pool.submit(run, Path(place) / str(worker), files=options.n // options.p, **how))
                for part in parts:
                    tally += part.result()
    print(", ".join(f"{count} {name}" for name, count in tally.items()))
    return 1 if any(name.startswith("WRONG") for name in tally) else 0


if __name__ == "__main__":
    sys.exit(main())

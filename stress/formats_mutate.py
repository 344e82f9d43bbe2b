"""Damages files in every way and reads them: each must give records or an error of edgeqa's, fast and in little memory.

    python stress/formats_mutate.py -n 5000 --seed 1 README.md page.html book.epub manual.pdf table.csv

Any other exception, more than SLOW_S of the processor for a file, or more than MAX_MIB of memory ends it with exit
code 1; what was read last is left in the temporary directory.
"""

from __future__ import annotations

import argparse
import collections
import io
import random
import re
import resource
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa.errors import EdgeQAError
from edgeqa.formats.blocks import FormatOptions
from edgeqa.formats.folders import walk

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOW_S = 10
MAX_MIB = 400
_MARKS = (
    b"<",
    b">",
    b'"',
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\\",
    b"\0",
    b"\n",
    b"```",
    b"<!--",
    b"\xff",
    b"\xe2\x82",
)
_NUMBERS = (b"0", b"-1", b"1", b"9", b"65536", b"4294967296", b"9" * 30)
_NUMBER = re.compile(rb"[0-9]+")


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Returns the data, damaged; of an archive, at times, one of its parts, so that the archive itself is sound."""
    if not data.startswith(b"PK") or chance.random() < 0.3:
        return _damage(data, chance)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as original, zipfile.ZipFile(out, "w") as made:
        names = original.namelist()
        damaged = chance.choice(names)
        for name in names:
            part = original.read(name)
            made.writestr(name, _damage(part, chance) if name == damaged else part)
    return out.getvalue()


def _damage(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(found) + 1)
        kind = chance.choice(("flip", "cut", "drop", "mark", "again", "number", "repeat"))
        if kind == "flip" and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif kind == "cut" and chance.random() < 0.2:
            del found[at:]
        elif kind == "drop":
            del found[at : at + chance.randrange(1, 100)]
        elif kind == "mark":
            found[at:at] = chance.choice(_MARKS)
        elif kind == "again":
            other = chance.randrange(len(found) + 1)
            found[at:at] = found[other : other + chance.randrange(1, 500)]
        elif kind == "number" and (number := _NUMBER.search(found, at)) is not None:
            found[number.start() : number.end()] = chance.choice(_NUMBERS)
        elif kind == "repeat":
            found[at:at] = chance.choice(_MARKS) * chance.choice((10, 1000, 50_000))
    return bytes(found)


def read(path: Path) -> str:
    """Returns how reading the file went: "records", or the name of the error."""
    try:
        for source in walk([path], FormatOptions()):
            for record in source.records():
                for _ in record.blocks:
                    pass
    except EdgeQAError as error:
        return (
            type(error).__name__ if str(path) in str(error) and error.hint else "WRONG: an error without file or hint"
        )
    except Exception:  # whatever it is, it is the finding
        traceback.print_exc()
        return "WRONG: another exception"
    return "records"


def run(directory: Path, originals: Sequence[tuple[str, bytes]], *, files: int, seed: int) -> collections.Counter[str]:
    """Returns how often reading went how; stops at the first wrong one.

    Args:
        directory: for the damaged file.
        originals: endings and contents of sound files.
        files: how many to damage and read.
        seed: decides the damage.
    """
    chance = random.Random(seed)
    tally: collections.Counter[str] = collections.Counter()
    for _ in range(files):
        ending, data = chance.choice(originals)
        path = directory / f"damaged{ending}"
        path.write_bytes(mutate(data, chance))
        began_s = time.process_time()
        outcome = read(path)
        if (took_s := time.process_time() - began_s) > SLOW_S:
            outcome = f"WRONG: {took_s:.0f} s"
        tally[outcome] += 1
        if outcome.startswith("WRONG"):
            break
    return tally


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("originals", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("-n", type=int, default=5000, metavar="FILES")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    originals = [(path.suffix, path.read_bytes()) for path in options.originals]
    directory = Path(tempfile.mkdtemp(prefix="edgeqa-formats-"))
    tally = run(directory, originals, files=options.n, seed=options.seed)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10)
    for outcome, times in tally.most_common():
        print(f"{times:7} {outcome}")
    print(f"{peak_mib:7} MiB at most; the last file is in {directory}")
    return int(peak_mib > MAX_MIB or any(outcome.startswith("WRONG") for outcome in tally))


if __name__ == "__main__":
    sys.exit(main())

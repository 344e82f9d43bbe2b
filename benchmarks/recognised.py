"""Counts which lines of plain texts are taken for rows, items, terms and headings: texts that no pattern was made for.

    python benchmarks/recognised.py [--squad FILE ...] [--json FILE] [--show N] FILE_OR_FOLDER ...

In: books, RFCs and other texts, each file of a folder alone, or documents of any format, and the paragraphs of SQuAD
files, of which each is a text. Out: a table with a line a collection of texts: lines that are not blank, and of 1,000
of them how many are in a row of a table, an item or a term. In prose none is, so that what is counted there is false; a
book has some tables, too, its contents above all, so that --show prints N lines of each kind, drawn at random, for a
person to tell. Nothing is asked, and no model is needed.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.formats import plain
from edgeqa.formats.blocks import FormatOptions
from edgeqa.formats.folders import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.formats.blocks import Block

KINDS = ("row", "item", "term", "heading", "code")
STRUCTURE = ("row", "item", "term")


class Taken(NamedTuple):
    """A line that was taken for something, and in which text."""

    text: str
    line: str


class Counted:
    """What the lines of a collection of texts were taken for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts = 0
        self.lines: Counter[str] = Counter()
        self.taken: dict[str, list[Taken]] = {kind: [] for kind in KINDS}

    def add(self, name: str, blocks: Iterable[Block]) -> None:
        """Counts a text."""
        self.texts += 1
        for block in blocks:
            kind = "row" if block.kind == "header" else block.kind
            lines = [line for line in block.text.split("\n") if line.strip()]
            self.lines[kind] += len(lines)
            if kind in self.taken:
                self.taken[kind] += (Taken(name, line) for line in lines)

    @property
    def total(self) -> int:
        """How many lines there are."""
        return self.lines.total()

    def of_1000(self, *kinds: str) -> float:
        """Returns how many of 1,000 lines are of these kinds."""
        return 1000 * sum(self.lines[kind] for kind in kinds) / max(1, self.total)

    def to_json(self) -> dict[str, object]:
        """Returns the counts as one flat JSON object."""
        rates = {f"{kind}_of_1000": round(self.of_1000(kind), 3) for kind in KINDS}
        return {"texts": self.name, "number": self.texts, "lines": self.total, **rates}


def paragraphs(file: Path) -> Iterator[str]:
    """Yields the paragraphs of a SQuAD file."""
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"]


def count(options: argparse.Namespace) -> Iterator[Counted]:
    """Yields the counts of each collection of texts."""
    for file in options.squad:
        counted = Counted(file.name)
        for number, paragraph in enumerate(paragraphs(file)):
            counted.add(f"{file.name} {number}", plain.record("", "", paragraph).blocks)
        yield counted
    for path in options.paths:
        counted = Counted(path.name)
        for file in sorted(path.rglob("*.txt")) if path.is_dir() else [path]:
            for record in (record for source in walk([file], FormatOptions()) for record in source.records()):
                counted.add(file.name, record.blocks)
        yield counted


def table(every: Iterable[Counted]) -> str:
    """Returns a line for each collection."""
    heads = ("texts", "number", "lines", *(f"{kind}s" for kind in STRUCTURE), "all three", "headings", "code")
    lines = ["of 1,000 lines", "{:<28}{:>8}{:>9}".format(*heads) + "".join(f"{head:>11}" for head in heads[3:])]
    for one in every:
        rates = [*map(one.of_1000, STRUCTURE), one.of_1000(*STRUCTURE), one.of_1000("heading"), one.of_1000("code")]
        lines.append(f"{one.name:<28}{one.texts:>8}{one.total:>9}" + "".join(f"{rate:>11.2f}" for rate in rates))
    return "\n".join(lines)


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", type=Path, nargs="*", metavar="FILE_OR_FOLDER")
    parser.add_argument("--squad", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the counts there")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="lines of each kind")
    options = parser.parse_args()
    every = list(count(options))
    print(table(every))
    rng = random.Random(0)
    for one in every if options.show else ():
        for kind in STRUCTURE:
            taken = one.taken[kind]
            print(f"\n{one.name}, {kind}: {len(taken)} lines")
            for text, line in rng.sample(taken, min(options.show, len(taken))):
                print(f"  {text}: {line.strip()[:100]}")
    if options.json:
        options.json.write_text(json.dumps([one.to_json() for one in every], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

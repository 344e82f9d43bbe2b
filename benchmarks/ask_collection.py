"""Measures what a question of a whole collection costs, beside reading the one context that holds its answer.

    python benchmarks/ask_collection.py SQUAD_FILE [MORE_FILES...] -n 2000 -q 300

The collection holds the contexts of the first file, filled up to `-n` from the others; the questions are the first
file's. Each is asked, interleaved in one run, nothing remembered: of its right context alone, from the stored encoding;
of that context as a text; of the whole collection (routed, read, decoded). Means and medians in milliseconds, and
ratios to reading the right context; F1 is of the best spans.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

import edgeqa
from edgeqa.evaluation.squad import read_squad, sample
from edgeqa.formats import nfc
from edgeqa.models.metrics import score_v1
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.collection.collection import StoredContext
    from edgeqa.evaluation.squad import SquadQuestion

ALONE = "its right context alone, from the encoding"


def contexts(files: list[Path], most: int) -> Iterator[str]:
    """Yields at most so many distinct contexts."""
    every = (question.context for file in files for question in read_squad(file).questions)
    yield from itertools.islice(dict.fromkeys(every), most)


def measure(qa: edgeqa.EdgeQA, questions: tuple[SquadQuestion, ...]) -> None:
    """Asks each question in each way, and prints the table."""
    equipment = qa._equipment  # noqa: SLF001 - reads a context that was chosen beforehand
    stored = {context.text: context for context in equipment.scope.collection().contexts_from(0)}
    taken: dict[str, list[float]] = {}
    f1: dict[str, list[float]] = {}
    read: list[int] = []

    def alone(question: str, context: StoredContext) -> str:
        encoded = equipment.reading.question(question)
        place = equipment.reading.spans(encoded, context, context.encoding, top=1, watch=Stopwatch())[0]
        return context.text[place.start : place.end]

    def collected(question: str) -> str | None:
        answer = qa.ask(question, force=True)
        read.append(answer.contexts)
        return answer.text

    def timed(name: str, question: SquadQuestion, ask: Callable[[], str | None]) -> None:
        began = time.perf_counter()
        text = ask()
        taken.setdefault(name, []).append((time.perf_counter() - began) * 1e3)
        f1.setdefault(name, []).append(100 * score_v1(text, question.answers).f1)

    asked = [q for q in questions if nfc(q.context) in stored]
    for round_, q in enumerate([*asked[:10], *asked]):
        if round_ == 10:  # what came before was to warm up
            taken, f1, read = {}, {}, []
        timed(ALONE, q, lambda: alone(q.question, stored[nfc(q.context)]))  # noqa: B023 - called at once
        timed("the context as a text", q, lambda: qa.ask(q.question, q.context, force=True).text)  # noqa: B023 - called at once
        timed("the whole collection", q, lambda: collected(q.question))  # noqa: B023 - called at once
    base = taken[ALONE]
    print(f"{len(asked)} questions, {fmean(read):.2f} contexts read on average, {median(read):.0f} as a median")
    print(f"{'':<46}{'mean ms':>10}{'median ms':>10}{'ratio':>8}{'of medians':>12}{'F1':>8}")
    for name, ms in taken.items():
        ratios = f"{fmean(ms) / fmean(base):>8.2f}{median(ms) / median(base):>12.2f}"
        print(f"{name:<46}{fmean(ms):>10.2f}{median(ms):>10.2f}{ratios}{fmean(f1[name]):>8.2f}")


def main() -> None:
    """Runs the benchmark in a home of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("-n", "--contexts", type=int, default=2000)
    parser.add_argument("-q", "--questions", type=int, default=300)
    arguments = parser.parse_args()
    print(f"{os.uname().machine}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as home:
        os.environ["EDGEQA_HOME"] = home
        texts = Path(home, "texts.jsonl")
        with texts.open("w", encoding="utf-8") as stream:
            stream.writelines(
                json.dumps({"text": text}) + "\n" for text in contexts(arguments.files, arguments.contexts)
            )
        with edgeqa.open(reader="fast", persist="off") as qa:
            print(f"{qa.add(texts).contexts} contexts")
            measure(qa, sample(read_squad(arguments.files[0]).questions, arguments.questions, 0))


if __name__ == "__main__":
    main()

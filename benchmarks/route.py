"""Shows why tantivy was taken: it compares engines for BM25, and what each step from text to terms brings.

    python benchmarks/route.py SQUAD_FILE [MORE_FILES...] --sizes 1000 10000 100000

For each size, an index of so many contexts: the files', and beyond them new ones, mixed of their sentences. The same
questions (the first file's) go to each engine in turn, in one run: tantivy as edgeqa uses it, SQLite's FTS5, and an
inverted index in numpy, all on the same terms. Then, on the first file alone, recall with other terms, and with one
word of each question misspelt.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import os
import random
import sqlite3
import string
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgeqa.collection.index import Index, IndexWriter
from edgeqa.contexts.passages import sentence_ends
from edgeqa.contexts.terms import terms, words
from edgeqa.evaluation.squad import read_squad, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

K1, B = 1.2, 0.75  # as tantivy and SQLite have them
MOST = 20
NUMPY_UP_TO = 100_000  # contexts; beyond it Python's lists of postings take gigabytes
RECALL_AT = (1, 5, 20)


class Engine(Protocol):
    """An index that was filled."""

    def search(self, question: str) -> list[int]:
        """Returns the ids of the best contexts, best first."""
        ...


class Tantivy:
    """Searches as edgeqa does, with tantivy."""

    def __init__(self, contexts: list[str], directory: Path) -> None:
        with IndexWriter(directory) as writer:
            for context_id, text in enumerate(contexts):
                writer.add(context_id, text, "")
            writer.commit()
        self._index = Index(directory)

    def search(self, question: str) -> list[int]:
        """Returns the ids of the best contexts, best first."""
        return [hit.number for hit in self._index.search(question, MOST).best]


class Fts5:
    """SQLite's."""

    def __init__(self, contexts: list[str], directory: Path) -> None:
        self._database = sqlite3.connect(directory / "fts5.sqlite")
        self._database.execute("CREATE VIRTUAL TABLE t USING fts5(terms, content='', tokenize='ascii')")
        rows = ((context_id, " ".join(terms(text))) for context_id, text in enumerate(contexts))
        self._database.executemany("INSERT INTO t (rowid, terms) VALUES (?, ?)", rows)
        self._database.execute("INSERT INTO t (t) VALUES ('optimize')")
        self._database.commit()

    def search(self, question: str) -> list[int]:
        """Returns the ids of the best contexts, best first."""
        asked = " OR ".join(f'"{term}"' for term in dict.fromkeys(terms(question)))
        query = "SELECT rowid FROM t WHERE t MATCH ? ORDER BY rank LIMIT ?"
        return [row[0] for row in self._database.execute(query, (asked, MOST))] if asked else []


class Numpy:
    """Postings with their weights, in arrays."""

    def __init__(self, contexts: list[str], _directory: Path, to_terms: Callable[[str], list[str]] = terms) -> None:
        self._terms = to_terms
        postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        lengths = np.zeros(len(contexts), np.float32)
        for context_id, text in enumerate(contexts):
            counted = Counter(to_terms(text))
            lengths[context_id] = counted.total()
            for term, count in counted.items():
                postings[term].append((context_id, count))
        norm = K1 * (1 - B + B * lengths / lengths.mean())
        self._postings = {}
        for term, found in postings.items():
            ids, counts = np.array(found, np.int32).T
            idf = math.log(1 + (len(contexts) - len(ids) + 0.5) / (len(ids) + 0.5))
            self._postings[term] = ids, (idf * counts * (K1 + 1) / (counts + norm[ids])).astype(np.float32)
        self._count = len(contexts)

    def search(self, question: str) -> list[int]:
        """Returns the ids of the best contexts, best first."""
        scores = np.zeros(self._count, np.float32)
        for term in dict.fromkeys(self._terms(question)):
            if term in self._postings:
                ids, weights = self._postings[term]
                scores[ids] += weights
        most = min(MOST, self._count)
        best = np.argpartition(-scores, most - 1)[:most]
        return [int(i) for i in best[np.argsort(-scores[best], kind="stable")] if scores[i] > 0]


def mixed(real: list[str], count: int, rng: random.Random) -> Iterator[str]:
    """Yields `real` contexts, then others made of their sentences, up to `count`."""
    yield from real[:count]
    for _ in range(count - len(real)):
        sentences = []
        for text in rng.sample(real, 5):
            ends = [0, *sentence_ends(text), len(text)]
            at = rng.randrange(len(ends) - 1)
            sentences.append(text[ends[at] : ends[at + 1]])
        yield " ".join(sentences)


def engines(contexts: list[str], questions: list[tuple[str, int]]) -> None:
    """Prints a row for each engine: what the index costs, and how long a question takes."""
    for kind in (Tantivy, Fts5, Numpy):
        if kind is Numpy and len(contexts) > NUMPY_UP_TO:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            began = time.perf_counter()
            engine: Engine = kind(contexts, Path(scratch))
            built_s = time.perf_counter() - began
            size_bytes = sum(file.stat().st_size for file in Path(scratch).iterdir())
            for question, _ in questions[:20]:
                engine.search(question)
            taken = []
            for question, _ in questions:
                began = time.perf_counter()
                engine.search(question)
                taken.append((time.perf_counter() - began) * 1e3)
            p95 = heapq.nlargest(len(taken) // 20 + 1, taken)[-1]
            print(
                f"{len(contexts):>9} {kind.__name__.lower():<9}{median(taken):>9.3f}{p95:>9.3f}"
                f"{1e6 * built_s / len(contexts):>12.0f}{size_bytes / len(contexts):>12.0f}"
            )


def plain(text: str) -> list[str]:
    """Returns the words of a text, as split by white space and punctuation."""
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def recalls(contexts: list[str], questions: list[tuple[str, int]], rng: random.Random) -> None:
    """Prints in how many percent of the questions the right context is among the best, by kind of terms."""
    directory = Path()
    with tempfile.TemporaryDirectory() as scratch:
        misspelt = [(_misspelt(question, rng), right) for question, right in questions]
        rows: list[tuple[str, Engine, list[tuple[str, int]]]] = [
            ("plain words", Numpy(contexts, directory, plain), questions),
            ("without stop words, folded", Numpy(contexts, directory, words), questions),
            ("and stems: as edgeqa has them", Numpy(contexts, directory), questions),
            ("the same, by tantivy", Tantivy(contexts, Path(scratch)), questions),
        ]
        rows += [
            ("a word misspelt, not mended", rows[2][1], misspelt),
            ("a word misspelt, mended by edgeqa", rows[3][1], misspelt),
        ]
        print(f"\n{'recall at':<40}" + "".join(f"{most:>8}" for most in RECALL_AT))
        for name, engine, asked in rows:
            found = [(engine.search(question), right) for question, right in asked]
            shares = (100 * sum(right in ids[:most] for ids, right in found) / len(found) for most in RECALL_AT)
            print(f"{name:<40}" + "".join(f"{share:>8.1f}" for share in shares))


def _misspelt(question: str, rng: random.Random) -> str:
    """Returns the question with one slip in one of its longer words."""
    parts = question.split()
    places = [n for n, word in enumerate(parts) if len(word) > 4 and word.isalpha() and words(word)]
    if not places:
        return question
    place = rng.choice(places)
    word, at, letter = parts[place], rng.randrange(1, len(parts[place]) - 1), rng.choice(string.ascii_lowercase)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    slips = (word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :], swapped)
    parts[place] = rng.choice(slips)
    return " ".join(parts)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("-q", "--questions", type=int, default=1000)
    arguments = parser.parse_args()
    rng = random.Random(1)
    print(f"{os.uname().machine}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    files = [read_squad(file).questions for file in arguments.files]
    real = list(dict.fromkeys(q.context for q in itertools.chain.from_iterable(files)))
    own = list(dict.fromkeys(q.context for q in files[0]))
    numbers = {text: number for number, text in enumerate(own)}
    questions = [(q.question, numbers[q.context]) for q in sample(files[0], arguments.questions, 0)]
    print(f"{'contexts':>9} {'engine':<9}{'p50 ms':>9}{'p95 ms':>9}{'us to add':>12}{'bytes each':>12}")
    for size in arguments.sizes:
        engines(list(mixed(real, size, rng)), questions)
    recalls(own, questions, rng)


if __name__ == "__main__":
    main()

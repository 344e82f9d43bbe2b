"""Measures what adding costs, step by step: contexts a second, with and without encodings, and onnxruntime's share.

    python benchmarks/add.py squad-v1.1-dev-open.json -n 1000

FILE is anything that `edgeqa add` takes; of a SQuAD file the first `-n` contexts are added. Steps overlap, so that
their times add up to more than the whole. "onnxruntime" is the time inside its `run`, as a share of the whole from
the first file to the last commit; the model is loaded before.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgeqa
from edgeqa import collection, state
from edgeqa.models.session import Session

if TYPE_CHECKING:
    from edgeqa.collection.adding import Added

STEPS = ("read", "tokenise", "encode", "store", "commit")


class Inside:
    """Adds up the time inside onnxruntime, by wrapping every session's `run`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        run = Session.run

        def timed(session: Session, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever `run` takes
            began = time.perf_counter()
            try:
                return run(session, *arguments, **named)
            finally:
                self.seconds += time.perf_counter() - began

        Session.run = timed  # type: ignore[method-assign, assignment]


def first_contexts(file: Path, count: int, scratch: Path) -> Path:
    """Returns a file with the first so many contexts of a SQuAD file; any other file as it is."""
    if file.suffix != ".json":
        return file
    articles = json.loads(file.read_text(encoding="utf-8")).get("data", [])
    texts = [(a.get("title", ""), p["context"]) for a in articles for p in a["paragraphs"]][:count]
    taken = scratch / "contexts.jsonl"
    taken.write_text("".join(json.dumps({"title": title, "text": text}) + "\n" for title, text in texts), "utf-8")
    return taken


def show(name: str, report: Added, inside_s: float) -> None:
    """Prints one run."""
    total_s = report.timings_ms["total"] / 1e3
    print(f"{name}: {report.contexts} contexts in {total_s:.2f} s, {report.contexts / total_s:.0f} a second")
    for step in STEPS:
        print(f"  {step:<12}{report.timings_ms[step]:>10.0f} ms{report.timings_ms[step] / total_s / 10:>8.1f} %")
    print(f"  {'onnxruntime':<12}{1e3 * inside_s:>10.0f} ms{100 * inside_s / total_s:>8.1f} %")


def main() -> None:
    """Adds the same contexts with encodings and without."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("-n", type=int, default=1000, help="contexts of a SQuAD file")
    parser.add_argument("--threads", type=int, default=None)
    asked = parser.parse_args()
    inside = Inside()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ[state.HOME_VARIABLE] = f"{scratch}/home"
        file = first_contexts(asked.file, asked.n, Path(scratch))
        for name, budget_bytes in (("with encodings", 1 << 34), ("token ids alone", 0)):
            with edgeqa.open(
                reader="fast", persist="off", collection=name.replace(" ", "-"), threads=asked.threads
            ) as qa:
                qa.self_test()
                inside.seconds = 0.0
                report = qa.add(file, encodings_bytes=budget_bytes)
                show(name, report, inside.seconds)
                place = collection.directory(report.collection)
                on_disk = sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
                print(f"  {on_disk / report.contexts:.0f} bytes on disk a context")


if __name__ == "__main__":
    main()

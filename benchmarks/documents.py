"""Compares this edgeqa's answers on documents that people own with another version's, question by question.

    python benchmarks/documents.py --other /path/to/venv/bin/python
    python benchmarks/documents.py --only half=report --results benchmarks/results/documents.json
    python benchmarks/documents.py questions.jsonl --documents manuals --ask file

Each question is asked of its file and of a collection of all, as `edgeqa eval --documents` does, of each version in
turn: a process of its own, in the Python that is named. All answers are judged here, by the places that quotations have
in what this edgeqa reads. A table goes to the screen: the counts, and how many answers are right with one alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeqa.capabilities.probe import probe
from edgeqa.evaluation.documents import Documents, Judge, ask_all, read_questions, scores

if TYPE_CHECKING:
    from edgeqa.evaluation.documents import DocumentQuestion, Outcome

HERE = Path(__file__).parent
SET = HERE / "documents"
WAYS = {"file": "of its file", "collection": "of all"}
ROWS = {
    "right": "given and right",
    "wrong": "given and wrong",
    "refused": "refused",
    "screen_holds": "the screen holds the answer",
    "near_misses_answered": "near misses answered",
    "passages_read": "passages read a question",
    "ece": "calibration error",
}


@dataclass(frozen=True)
class Span:
    """The best span, as a version told it."""

    text: str
    start: int
    end: int
    context: str
    document: str
    source_start: int


@dataclass(frozen=True)
class Reply:
    """An answer, as a version told it."""

    text: str | None
    candidates: tuple[Span, ...]
    probability: float
    score: float
    contexts: int
    screen: str


class Version:
    """A version of edgeqa, in a process of its own."""

    def __init__(self, python: str, folder: Path, stack: ExitStack) -> None:
        """Starts it, and waits until it is ready."""
        script = str(HERE / "peers" / "documents_asked.py")
        self._process = subprocess.Popen(
            [python, script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        stack.callback(self._end)
        self._python = python
        self.about: dict[str, Any] = self._line()
        self.about["commit"] = _commit(Path(self.about.pop("package")))

    @property
    def name(self) -> str:
        """What it is called in a table."""
        return f"{self.about['edgeqa']} {self.about['commit'] or ''}".strip()

    def ask(self, question: str, document: str | None) -> Reply:
        """Returns what it answers, of a document or of all."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        self._process.stdin.write(json.dumps({"question": question, "document": document}) + "\n")
        self._process.stdin.flush()
        told = self._line()
        best = told.pop("best")
        return Reply(candidates=(Span(**best),) if best else (), **told)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"edgeqa in {self._python} ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def _end(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        self._process.stdin.close()
        self._process.wait(30)


def _commit(package: Path) -> str | None:
    """Returns the commit that a package stands at, with a + where it was changed since; None outside a repository."""
    git = ["git", "-C", str(package), "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(git, capture_output=True, text=True)  # outside a repository it fails
    return found.stdout.strip() or None


def run(
    versions: list[Version], questions: tuple[DocumentQuestion, ...], judge: Judge, ways: list[str]
) -> list[dict[str, list[Outcome]]]:
    """Returns what came of each question, for each version by way; the versions take turns from way to way."""
    outcomes: list[dict[str, list[Outcome]]] = [{} for _ in versions]
    for name in ways:
        for version, found in zip(versions, outcomes, strict=True):

            def ask(question: DocumentQuestion, version: Version = version, name: str = name) -> Reply:
                return version.ask(question.question, question.document if name == "file" else None)

            doing = f"{version.name}, asked {WAYS[name]}"
            found[name] = ask_all(questions, ask, judge, lambda reply: reply.screen, progress=_progress, doing=doing)
    return outcomes


def _progress(doing: str, done: int, total: int) -> None:
    if sys.stderr.isatty() or done == total:
        print(f"\r{doing}: {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def table(versions: list[Version], outcomes: list[dict[str, list[Outcome]]]) -> str:
    """Returns the counts of each version beside each other."""
    lines: list[str] = []
    for name in outcomes[0]:
        columns = [scores(found[name]).to_json() for found in outcomes]
        asked, near_misses = columns[0]["questions"], columns[0]["near_misses"]
        lines += ["", f"asked {WAYS[name]}: {asked} questions, {near_misses} near misses"]
        lines.append(f"{'':<29}" + "".join(f"{version.name:>20}" for version in versions))
        lines += [f"{called:<29}" + "".join(f"{column[row]:>20}" for column in columns) for row, called in ROWS.items()]
        if len(outcomes) == 2:
            mine, other = ({o.question.line for o in found[name] if o.is_given and o.is_right} for found in outcomes)
            lines.append(f"{'right with it alone':<29}{len(mine - other):>20}{len(other - mine):>20}")
        for group in (group for group in columns[0] if group.startswith("by_")):
            lines += ["", f"right and wrong, {group.replace('_', ' ')}"]
            for value, counts in columns[0][group].items():
                called = f"{value} ({counts['questions']})"
                cells = (f"{column[group][value]['right']} / {column[group][value]['wrong']}" for column in columns)
                lines.append(f"{called:<29}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines[1:])


def kept(path: Path, name: str, versions: list[Version], outcomes: list[dict[str, list[Outcome]]]) -> None:
    """Writes the figures, in the place of those of the same questions and commit."""
    found = json.loads(path.read_text("utf-8")) if path.exists() else []
    device = probe(providers=False)
    setting = {"device": device.board.value, "cores": device.cores.value, "python": platform.python_version()}
    rows = [
        {"set": name, **version.about, **setting, **{name: scores(one).to_json() for name, one in ways.items()}}
        for version, ways in zip(versions, outcomes, strict=True)
    ]
    new = {(row["set"], row["commit"]) for row in rows}
    rows = [*(row for row in found if (row["set"], row["commit"]) not in new), *rows]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", default=SET / "questions.jsonl")
    parser.add_argument("--documents", type=Path, default=SET / "docs", help="the folder that they are in")
    parser.add_argument("--other", metavar="PYTHON", help="a Python with another edgeqa")
    parser.add_argument("--alone", action="store_true", help="ask only the other one")
    parser.add_argument("--ask", choices=[*WAYS, "both"], default="both")
    parser.add_argument("--only", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--results", type=Path, help="keep the figures in this file")
    options = parser.parse_args()
    only = dict(pair.split("=", 1) for pair in options.only)
    folder = options.documents.resolve()
    questions = read_questions(options.file, only)
    judge = Judge(Documents(folder), questions, options.file)
    pythons = [python for python in (None if options.alone else sys.executable, options.other) if python]
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    with ExitStack() as stack:
        versions = [Version(python, folder, stack) for python in pythons]
        outcomes = run(versions, questions, judge, list(WAYS) if options.ask == "both" else [options.ask])
    print(table(versions, outcomes))
    if options.results:
        chosen = "".join(f", {name}={value}" for name, value in only.items())
        kept(options.results, options.file.resolve().parent.name + chosen, versions, outcomes)


if __name__ == "__main__":
    main()

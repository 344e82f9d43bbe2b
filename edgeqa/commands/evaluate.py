"""`edgeqa eval FILE`: it scores the whole runtime on a file of questions, in SQuAD's format or on documents.

The scores go to standard output as a table or as JSON; progress goes to standard error.
The scores are defined in `edgeqa.evaluation`.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from edgeqa import streams
from edgeqa.commands import bundle_option, json_option, reader_option, threads_option

if TYPE_CHECKING:
    from edgeqa.answer import Answer
    from edgeqa.capabilities import Reader
    from edgeqa.evaluation.documents import DocumentQuestion
    from edgeqa.evaluation.squad import CollectedScores, Scores
    from edgeqa.runtime import EdgeQA
    from edgeqa.timing import Progress

_ROWS = {
    "questions": "questions",
    "recall_at_1": "right passage first, %",
    "recall_at_5": "... among the 5 closest, %",
    "recall_at_20": "... among the 20 closest, %",
    "contexts_read": "passages read a question",
    "ask_ms": "a question, median ms",
    "em": "EM",
    "f1": "F1",
    "has_answer_f1": "F1, questions with an answer",
    "no_answer_accuracy": "accuracy, questions without",
    "best_f1": "F1 at the best threshold",
    "best_threshold": "best threshold",
    "ece": "calibration error",
}
_COUNTS = {
    "questions": "questions with an answer",
    "right": "given and right",
    "wrong": "given and wrong",
    "refused": "refused",
    "screen_holds": "the screen holds the answer",
    "near_misses": "near misses",
    "near_misses_answered": "near misses answered",
    "passages_read": "passages read a question",
    "ask_ms": "a question, median ms",
    "ece": "calibration error",
}
_SHORT = {
    "with answer": "questions",
    "right": "right",
    "wrong": "wrong",
    "refused": "refused",
    "on screen": "screen_holds",
    "near misses": "near_misses",
    "answered": "near_misses_answered",
}
_WAYS = {"file": "of its file", "collection": "of all"}


def _chosen(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, is_given, value in pairs:
        if not (name and is_given and value):
            message = f"{name!r} is not FIELD=VALUE, as in half=fit"
            raise click.BadParameter(message)
    return {name: value for name, _, value in pairs}


@click.command("eval", short_help="Score the answers to a file of questions.")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Ask only N of the questions.")
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="S", help="Which N: the same for the same seed."
)
@click.option("--open", "collected", is_flag=True, help="Ask each question of all passages of FILE at once.")
@click.option(
    "--documents",
    type=click.Path(path_type=Path, readable=False),
    metavar="FOLDER",
    help="FILE holds questions on the documents of FOLDER.",
)
@click.option(
    "--ask",
    "asked",
    type=click.Choice(("file", "collection", "both")),
    default="both",
    show_default=True,
    help="With --documents: ask of the right file, or of all documents at once.",
)
@click.option(
    "--only",
    multiple=True,
    callback=_chosen,
    metavar="FIELD=VALUE",
    help="With --documents: ask only the questions with this value. May be repeated.",
)
@click.option(
    "--each",
    type=click.File("w", encoding="utf-8", lazy=False),
    metavar="OUTPUT",
    help="With --documents: write the outcome of each question to OUTPUT, as JSON Lines.",
)
@json_option
@bundle_option
@reader_option
@threads_option
def command(
    *,
    file: Path,
    limit: int | None,
    seed: int,
    collected: bool,
    documents: Path | None,
    asked: str,
    only: dict[str, str],
    each: TextIO | None,
    as_json: bool,
    bundle: str | None,
    reader: Reader | None,
    threads: int | None,
) -> None:
    """Score the answers to the questions of FILE.

    FILE is in SQuAD format, 1.1 or 2.0. EM is the share of answers that are exactly right, F1 their overlap with the
    right ones, both in percent. For SQuAD 2.0, where questions may have no answer, EM and F1 are those of the answers
    that edgeqa decides to give. The best threshold is the limit of "no-answer logit minus answer logit", up to which an
    answer is given, if it were chosen for the best score on this file.

    With --open, the passages are added to a temporary collection, and each question is asked of all of them. The scores
    then include how often the right passage is the closest by routing, or among the 5 and 20 closest.

    With --documents, FILE holds questions on documents, one JSON object a line: "doc", a file in FOLDER; "question";
    "answers", the accepted variants, none for a near miss that no document answers; "anchors", quotations of the places
    that answer it, as [doc, text]; and if you like "kind", "style" and "half", by which the counts are grouped. Each
    question is asked of its file, and of a temporary collection of all files. An answer is right if it holds an
    accepted variant, at most 400 characters from such a place.

    The calibration error is the average distance of the best answer's probability from the share of right answers.

    \b
    edgeqa eval dev-v1.1.json
    edgeqa eval --open dev-v1.1.json --limit 500
    edgeqa eval dev-v2.0.json --limit 500 --seed 1
    edgeqa eval dev-v1.1.json --json > scores.json
    edgeqa eval questions.jsonl --documents manuals
    edgeqa eval questions.jsonl --documents manuals --ask file --only kind=table
    """
    if documents is None and (asked != "both" or only or each):
        message = "--ask, --only and --each are for questions on documents: name their folder with --documents"
        raise click.UsageError(message)
    if documents is not None and collected:
        message = "--open is for SQuAD files; of all documents at once is asked with --ask collection"
        raise click.UsageError(message)
    with ExitStack() as opened:
        progress = opened.enter_context(streams.ProgressBar())
        if documents is None:
            scores = _squad(file, limit, seed, bundle, reader, threads, opened, progress, collected=collected)
            streams.print_either(scores.to_json(), _table(scores), as_json=as_json)
            return
        ways = tuple(_WAYS) if asked == "both" else (asked,)
        report = _documents(file, documents, limit, seed, ways, only, each, bundle, reader, threads, opened, progress)
    streams.print_either(report, _counts(report), as_json=as_json)


def _squad(
    file: Path,
    limit: int | None,
    seed: int,
    bundle: str | None,
    reader: Reader | None,
    threads: int | None,
    opened: ExitStack,
    progress: Progress,
    *,
    collected: bool,
) -> Scores | CollectedScores:
    from edgeqa.evaluation.squad import evaluate, evaluate_collected, read_squad, sample

    squad = read_squad(file)
    questions = squad.questions if limit is None else sample(squad.questions, limit, seed)
    qa = _opened(bundle, reader, threads, opened)
    if collected:
        qa.add(file, format="json", progress=progress)
        return evaluate_collected(qa, questions, is_v2=squad.is_v2, progress=progress)
    no_answer_below = qa.decider.manifest.calibration.no_answer_below
    return evaluate(qa, questions, is_v2=squad.is_v2, no_answer_below=no_answer_below, progress=progress)


def _documents(
    file: Path,
    folder: Path,
    limit: int | None,
    seed: int,
    ways: tuple[str, ...],
    only: dict[str, str],
    each: TextIO | None,
    bundle: str | None,
    reader: Reader | None,
    threads: int | None,
    opened: ExitStack,
    progress: Progress,
) -> dict[str, Any]:
    from edgeqa.evaluation.documents import Documents, Judge, ask_all, read_questions, scores
    from edgeqa.evaluation.squad import sample

    questions = read_questions(file, only)
    documents = Documents(folder)
    judge = Judge(documents, questions, file)
    if limit is not None:
        questions = sample(questions, limit, seed)
    qa = _opened(bundle, reader, threads, opened)
    report: dict[str, Any] = {}
    for name in ways:
        if name == "collection":
            added = qa.add(documents.paths(), progress=progress)
            report["not_read"] = [documents.name_of(failed) for failed, _ in added.failed]

        def ask(question: DocumentQuestion, name: str = name) -> Answer:
            return qa.ask(question.question, documents.path(question.document) if name == "file" else None)

        outcomes = ask_all(questions, ask, judge, _screen, progress=progress, doing=f"asking {_WAYS[name]}")
        report[name] = scores(outcomes).to_json()
        if each is not None:
            each.writelines(json.dumps({"way": name, **outcome.to_json()}) + "\n" for outcome in outcomes)
    return report


def _opened(bundle: str | None, reader: Reader | None, threads: int | None, opened: ExitStack) -> EdgeQA:
    """Returns a runtime that remembers nothing, with a collection of its own."""
    import tempfile

    from edgeqa import runtime

    directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="edgeqa-eval-")))
    qa = runtime.open(bundle=bundle, reader=reader, threads=threads, persist="off", collection=directory / "eval")
    return opened.enter_context(qa)


def _screen(answer: Answer) -> str:
    """Returns the output of `edgeqa ask` without its time, a number that may equal an answer by chance."""
    import contextlib
    import io
    from dataclasses import replace

    from edgeqa.asked import show

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        show(replace(answer, timings_ms={}), top=1, quiet=False, as_json=False)
    return printed.getvalue()


def _table(scores: Scores | CollectedScores) -> str:
    found = scores.to_json()
    rows = ((called, found[name]) for name, called in _ROWS.items() if name in found)
    lines = [f"{called:<29}{'-' if value is None else value:>8}" for called, value in rows]
    return "\n".join([*lines, "", *_bins(found["bins"])])


def _counts(report: dict[str, Any]) -> str:
    ways = {name: report[name] for name in _WAYS if name in report}
    lines = [f"{'':<29}" + "".join(f"{_WAYS[name]:>12}" for name in ways)]
    lines += [
        f"{called:<29}" + "".join(f"{found[row]:>12}" for found in ways.values()) for row, called in _COUNTS.items()
    ]
    for name, found in ways.items():
        for group in ("kind", "style", "half"):
            counts = found.get(f"by_{group}", {})
            lines += (
                ["", f"asked {_WAYS[name]}, by {group}".ljust(29) + "".join(map("{:>12}".format, _SHORT))]
                if counts
                else []
            )
            lines += [
                f"{value:<29}" + "".join(f"{one[row]:>12}" for row in _SHORT.values()) for value, one in counts.items()
            ]
    for name, found in ways.items():
        lines += ["", f"asked {_WAYS[name]}", *_bins(found["bins"])]
    if report.get("not_read"):
        lines += ["", "could not be read for the collection: " + ", ".join(report["not_read"])]
    return "\n".join(lines)


def _bins(bins: list[dict[str, Any]]) -> list[str]:
    """Returns lines of a table: the share of right answers among those of about the same probability."""
    lines = [f"{'probability':<14}{'questions':>10}{'mean':>8}{'right':>8}"]
    for one in bins:
        mean, right = ("-" if one[name] is None else f"{one[name]:.2f}" for name in ("mean_probability", "share_right"))
        lines.append(f"{one['from']:.1f} to {one['to']:.1f}{one['questions']:>14}{mean:>8}{right:>8}")
    return lines

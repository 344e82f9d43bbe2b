"""`edgeqa eval FILE`: scores the whole runtime on a question file in SQuAD format.

The scores go to standard output as a table or as JSON; progress goes to standard error.
What a score is, is decided in `edgeqa.evaluation`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeqa.commands.options import bundle_option, json_option, threads_option

if TYPE_CHECKING:
    from edgeqa.evaluation.collected import CollectedScores
    from edgeqa.evaluation.run import Scores

_ROWS = {
    "questions": "questions",
    "recall_at_1": "right context first, %",
    "recall_at_5": "... among the 5 closest, %",
    "recall_at_20": "... among the 20 closest, %",
    "contexts_read": "contexts read a question",
    "ask_ms": "a question, median ms",
    "em": "EM",
    "f1": "F1",
    "has_answer_f1": "F1, questions with an answer",
    "no_answer_accuracy": "accuracy, questions without",
    "best_f1": "F1 at the best threshold",
    "best_threshold": "best threshold",
}


@click.command(
    "eval", short_help="Score the answers to a file of questions.", context_settings={"max_content_width": 100}
)
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Ask only N of the questions.")
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="S", help="Which N: the same for the same seed."
)
@click.option("--open", "collected", is_flag=True, help="Ask each question of all contexts of FILE at once.")
@json_option
@bundle_option
@threads_option
def command(
    *,
    file: Path,
    limit: int | None,
    seed: int,
    collected: bool,
    as_json: bool,
    bundle: str | None,
    threads: int | None,
) -> None:
    """Score the answers to the questions of FILE, by the official rules.

    FILE is in SQuAD format, 1.1 or 2.0. EM is the share of answers that are exactly right, F1 their overlap with the
    right ones, both in percent. For SQuAD 2.0, where questions may have no answer, EM and F1 are those of the answers
    that edgeqa decides to give; the best threshold is what "no-answer logit minus answer logit" must not exceed for an
    answer to be given, had it been chosen on this file.

    With --open, the contexts are added to a temporary collection, and each question is asked of all of them: scored too
    is how often the right context is the closest by routing, or among the 5 and 20 closest.

    \b
    edgeqa eval dev-v1.1.json
    edgeqa eval --open dev-v1.1.json --limit 500
    edgeqa eval dev-v2.0.json --limit 500 --seed 1
    edgeqa eval dev-v1.1.json --json > scores.json
    """
    import tempfile
    from contextlib import ExitStack

    from edgeqa import runtime
    from edgeqa.commands.progress import ProgressBar
    from edgeqa.evaluation.collected import evaluate_collected
    from edgeqa.evaluation.run import evaluate
    from edgeqa.evaluation.squad_file import read_squad, sample

    squad = read_squad(file)
    questions = squad.questions if limit is None else sample(squad.questions, limit, seed)
    scores: Scores | CollectedScores
    with ExitStack() as opened:
        progress = opened.enter_context(ProgressBar())
        if collected:
            directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="edgeqa-eval-")))
            qa = runtime.open(bundle=bundle, threads=threads, persist="off", collection=directory / "eval")
            opened.enter_context(qa)
            qa.add(file, format="json", progress=progress)
            scores = evaluate_collected(qa, questions, is_v2=squad.is_v2, progress=progress)
        else:
            qa = opened.enter_context(runtime.open(bundle=bundle, threads=threads, persist="off"))
            no_answer_below = qa.bundle.manifest.calibration.no_answer_below
            scores = evaluate(qa, questions, is_v2=squad.is_v2, no_answer_below=no_answer_below, progress=progress)
    click.echo(json.dumps(scores.to_json()) if as_json else _table(scores))


def _table(scores: Scores | CollectedScores) -> str:
    found = scores.to_json()
    rows = ((called, found[name]) for name, called in _ROWS.items() if name in found)
    return "\n".join(f"{called:<29}{'-' if value is None else value:>8}" for called, value in rows)

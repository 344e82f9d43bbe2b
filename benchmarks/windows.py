"""Scores answers by the greatest length of passages and windows, on SQuAD's paragraphs and on documents.

    python benchmarks/windows.py SQUAD_FILE [--questions 300] [--only half=fit] [--results FILE] [FILE]

A paragraph, an entry or a list is cut where it has more tokens than a window; texts of more than one window are cut as
everywhere else. For each length, the questions on documents are asked of their file, and those of SQuAD of their
paragraph and of its article, in one process. What is printed is what is kept: right, wrong, refused, near misses
answered, and F1 of the best span. The probabilities are those fitted at the usual length.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgeqa
from edgeqa.contexts import passages
from edgeqa.evaluation.documents import Documents, Judge, ask_all, read_questions, scores
from edgeqa.models.metrics import score_v1

if TYPE_CHECKING:
    from edgeqa.evaluation.documents import DocumentQuestion

SET = Path(__file__).parent / "documents"
LENGTHS = (128, 192, 256, 320)
CHARACTERS_PER_TOKEN = 4
NEAR = 12  # paragraphs before and behind one, that are its article here


def cut_at(tokens: int | None, usual: tuple[int, int]) -> None:
    """Has passages cut where they are longer than so many tokens; None as ever."""
    whole, part = usual
    if tokens is not None:
        whole, part = tokens * CHARACTERS_PER_TOKEN, round(tokens * CHARACTERS_PER_TOKEN * part / whole)
    passages.WHOLE_LENGTH, passages.PART_LENGTH = whole, part


def on_documents(
    questions: tuple[DocumentQuestion, ...], judge: Judge, held: Documents, tokens: int | None
) -> dict[str, Any]:
    """Returns what came of the questions on documents, each of its file."""
    with edgeqa.open(reader="fast", persist="off", window_tokens=tokens) as qa:

        def ask(question: DocumentQuestion) -> edgeqa.Answer:
            return qa.ask(question.question, held.path(question.document))

        outcomes = ask_all(questions, ask, judge, lambda _: "", progress=lambda *_: None, doing="")
    found = scores(outcomes).to_json()
    names = ("questions", "right", "wrong", "refused", "near_misses", "near_misses_answered", "passages_read", "ask_ms")
    best = sum(one.is_right for one in outcomes if not one.question.is_near_miss)
    return {**{name: found[name] for name in names}, "best_span_right": best}


def on_paragraphs(file: Path, number: int, tokens: int | None) -> dict[str, float]:
    """Returns F1 of the best span, in percent: of the right paragraph, and of it among its neighbours."""
    data = json.loads(file.read_text(encoding="utf-8"))["data"]
    every = [
        (article, at, asked["question"], [answer["text"] for answer in asked["answers"]])
        for article in data
        for at, paragraph in enumerate(article["paragraphs"])
        for asked in paragraph["qas"]
        if asked["answers"]
    ]
    sums = {"paragraph_f1": 0.0, "article_f1": 0.0}
    chosen = random.Random(0).sample(every, number)
    with edgeqa.open(reader="fast", persist="off", window_tokens=tokens) as qa:
        for article, at, question, golds in chosen:
            texts = [paragraph["context"] for paragraph in article["paragraphs"]]
            near = "\n\n".join(texts[max(0, at - NEAR) : at + NEAR])
            for name, text in (("paragraph_f1", texts[at]), ("article_f1", near)):
                best = qa.ask(question, text).candidates[0]
                sums[name] += score_v1(best.text, golds).f1
    return {name: round(100 * value / number, 2) for name, value in sums.items()}


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("squad", type=Path)
    parser.add_argument("file", type=Path, nargs="?", default=SET / "questions.jsonl")
    parser.add_argument("--documents", type=Path, default=SET / "docs")
    parser.add_argument("--only", action="append", default=[], metavar="FIELD=VALUE", help="half=fit, to choose by")
    parser.add_argument("--questions", type=int, default=300, help="of SQuAD")
    parser.add_argument("--results", type=Path, help="keep the figures in this file")
    options = parser.parse_args()
    held = Documents(options.documents.resolve())
    questions = read_questions(options.file, dict(pair.split("=", 1) for pair in options.only))
    judge = Judge(held, questions, options.file)
    usual = (passages.WHOLE_LENGTH, passages.PART_LENGTH)
    rows = []
    for tokens in (None, *LENGTHS):
        cut_at(tokens, usual)
        found = {
            **on_documents(questions, judge, held, tokens),
            **on_paragraphs(options.squad, options.questions, tokens),
        }
        rows.append({"window_tokens": tokens, **found})
        print(json.dumps(rows[-1]), flush=True)
        if options.results:
            options.results.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

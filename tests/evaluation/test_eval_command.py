"""Tests `edgeqa eval` from the file to the screen, with the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeqa.commands.evaluate import command
from edgeqa.errors import EvaluationFileError
from edgeqa.evaluation.documents import PlaceNotFound

DATA = Path(__file__).parent.parent / "data"


def run(*arguments: str) -> str:
    """Returns what the command printed; any error of it is raised."""
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_squad_1_as_json() -> None:
    scores = json.loads(run(str(DATA / "squad-v1.1.json"), "--json"))
    assert list(scores) == ["em", "f1", "questions", "ece", "bins"]
    assert sum(one["questions"] for one in scores["bins"]) == 30
    assert scores["questions"] == 30
    # The reader has F1 78 on the whole development set; a run that misplaces answers or contexts has next to none.
    assert 60 < scores["em"] <= scores["f1"] <= 100


def test_squad_2_as_json() -> None:
    scores = json.loads(run(str(DATA / "squad-v2.0.json"), "--json"))
    assert list(scores) == [
        "em",
        "f1",
        "questions",
        "has_answer_f1",
        "no_answer_accuracy",
        "best_f1",
        "best_threshold",
        "ece",
        "bins",
    ]
    # Never answering scores 14 of 30; the best threshold cannot be worse than that, nor than the runtime's own.
    assert scores["best_f1"] >= max(scores["f1"], 46.66)
    shares = (16 * scores["has_answer_f1"] + 14 * scores["no_answer_accuracy"]) / 30
    assert scores["f1"] == pytest.approx(shares, abs=0.01)


def test_a_drawn_part_as_a_table() -> None:
    arguments = (str(DATA / "squad-v2.0.json"), "--limit", "4", "--seed", "7")
    lines = run(*arguments).splitlines()
    assert lines[0].split() == ["questions", "4"]
    assert [line[:29].rstrip() for line in lines[1:8]] == [
        "EM",
        "F1",
        "F1, questions with an answer",
        "accuracy, questions without",
        "F1 at the best threshold",
        "best threshold",
        "calibration error",
    ]
    assert lines[8:10] == ["", "probability    questions    mean   right"]
    assert sum(int(line.split()[3]) for line in lines[10:]) == 4
    assert run(*arguments).splitlines() == lines
    assert run(*arguments[:-1], "8").splitlines() != lines


def test_a_file_of_another_kind_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(EvaluationFileError):
        run(str(path), "--bundle", str(tmp_path / "no-bundle"))


def test_help_shows_examples() -> None:
    shown = run("--help")
    assert "edgeqa eval dev-v2.0.json --limit 500 --seed 1\n" in shown


def test_of_all_contexts_at_once(home: Path) -> None:
    scores = json.loads(run(str(DATA / "squad-v1.1.json"), "--open", "--json"))
    assert list(scores)[:3] == ["em", "f1", "questions"]
    assert list(scores)[3:] == ["ece", "bins", "recall_at_1", "recall_at_5", "recall_at_20", "contexts_read", "ask_ms"]
    assert scores["questions"] == 30
    assert 60 < scores["recall_at_1"] <= scores["recall_at_5"] <= scores["recall_at_20"] == 100
    assert 50 < scores["em"] <= scores["f1"] <= 100
    assert 1 <= scores["contexts_read"] < 6
    assert not (home / "collections").exists()


def test_of_all_contexts_at_once_where_some_have_no_answer() -> None:
    lines = run(str(DATA / "squad-v2.0.json"), "--open", "--limit", "6").splitlines()
    assert lines[0].split() == ["questions", "6"]
    assert [line.split()[-1] for line in lines if line.startswith("... among the 20")] == ["100.0"]
    assert any(line.startswith("accuracy, questions without") for line in lines)


MANUAL = """The pump is made for clear water. It may be submerged to a depth of 7 metres. Empty it before frost.

The motor has a power of 550 watts. Its cable is 10 metres long.
"""
NOTES = "The bridge over the Tay was built in 1878 by Thomas Bouch. It fell in a storm in the year after.\n"
QUESTIONS = [
    ("manual.txt", "How deep may the pump be submerged?", ["7 metres"], "a depth of 7 metres"),
    ("manual.txt", "What is the power of the motor?", ["550 watts"], "a power of 550 watts"),
    ("notes.txt", "Who built the bridge over the Tay?", ["Thomas Bouch"], "by Thomas Bouch"),
    ("notes.txt", "What colour is the sky in Lisbon?", [], ""),
]


@pytest.fixture
def documents(tmp_path: Path) -> tuple[str, ...]:
    """Returns how a file of questions and the folder of their documents are named."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "manual.txt").write_text(MANUAL, "utf-8")
    (folder / "notes.txt").write_text(NOTES, "utf-8")
    lines = [
        {
            "doc": document,
            "question": question,
            "answers": answers,
            "kind": "prose" if answers else "unanswerable",
            "anchors": [[document, quotation]] if answers else [],
        }
        for document, question, answers, quotation in QUESTIONS
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return str(file), "--documents", str(folder)


COUNTS = ["questions", "right", "wrong", "refused", "screen_holds", "near_misses", "near_misses_answered"]


def test_questions_on_documents_are_asked_both_ways(documents: tuple[str, ...], home: Path, tmp_path: Path) -> None:
    each = tmp_path / "each.jsonl"
    report = json.loads(run(*documents, "--json", "--each", str(each)))
    assert list(report) == ["file", "not_read", "collection"]
    assert report["not_read"] == []
    for way in ("file", "collection"):
        found = report[way]
        assert list(found) == [*COUNTS, "passages_read", "ask_ms", "ece", "bins", "by_kind"]
        assert [found[name] for name in COUNTS] == [3, 3, 0, 0, 3, 1, 0]
        assert 0 < found["passages_read"] <= 1
        assert sum(one["questions"] for one in found["bins"]) == 4
        assert {kind: counts["questions"] for kind, counts in found["by_kind"].items()} == {
            "prose": 3,
            "unanswerable": 0,
        }
    outcomes = [json.loads(line) for line in each.read_text("utf-8").splitlines()]
    assert [(one["way"], one["line"]) for one in outcomes] == [
        (w, n) for w in ("file", "collection") for n in range(1, 5)
    ]
    assert outcomes[0]["answer"] == "7 metres"
    assert not (home / "collections").exists()


def test_questions_on_documents_as_a_table(documents: tuple[str, ...]) -> None:
    lines = run(*documents, "--ask", "file", "--only", "doc=manual.txt").splitlines()
    assert lines[0].split() == ["of", "its", "file"]
    assert [line.split()[-1] for line in lines[1:7]] == ["2", "2", "0", "0", "2", "0"]
    assert any(line.split() == ["prose", "2", "2", "0", "0", "2", "0", "0"] for line in lines)
    assert not any("of all" in line for line in lines)


def test_a_document_that_cannot_be_added_is_named(documents: tuple[str, ...]) -> None:
    (Path(documents[2]) / "scan.docx").write_bytes(b"no archive")
    arguments = (*documents, "--ask", "collection", "--limit", "1")
    assert json.loads(run(*arguments, "--json"))["not_read"] == ["scan.docx"]
    assert run(*arguments).splitlines()[-1] == "could not be read for the collection: scan.docx"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ask", "file"), "name their folder with --documents"),
        (("--only", "half=fit"), "name their folder with --documents"),
        (("--documents", "x", "--open"), "--ask collection"),
        (("--documents", "x", "--only", "half"), "'half' is not FIELD=VALUE"),
        (("--documents", "x", "--each", "none/each.jsonl"), "'none/each.jsonl': No such file or directory"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(command, [str(DATA / "squad-v1.1.json"), *arguments])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_a_quotation_that_is_not_there_is_told_before_the_model_is_loaded(documents: tuple[str, ...]) -> None:
    (Path(documents[2]) / "manual.txt").write_text("Nothing of the kind.", "utf-8")
    with pytest.raises(PlaceNotFound, match=r"line 1: in 'manual.txt' there is no 'a depth of 7 metres'"):
        run(*documents, "--bundle", "no-bundle")

"""`edgeqa eval` from the file to the screen, with the bundled model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeqa.commands.evaluate import command
from edgeqa.errors import EvaluationFileError

DATA = Path(__file__).parent.parent / "data"


def run(*arguments: str) -> str:
    """Returns what the command printed; any error of it is raised."""
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_squad_1_as_json() -> None:
    scores = json.loads(run(str(DATA / "squad-v1.1.json"), "--json"))
    assert list(scores) == ["em", "f1", "questions"]
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
    ]
    # Never answering scores 14 of 30; the best threshold cannot be worse than that, nor than the runtime's own.
    assert scores["best_f1"] >= max(scores["f1"], 46.66)
    shares = (16 * scores["has_answer_f1"] + 14 * scores["no_answer_accuracy"]) / 30
    assert scores["f1"] == pytest.approx(shares, abs=0.01)


def test_a_drawn_part_as_a_table() -> None:
    arguments = (str(DATA / "squad-v2.0.json"), "--limit", "4", "--seed", "7")
    lines = run(*arguments).splitlines()
    assert lines[0].split() == ["questions", "4"]
    assert [line[:29].rstrip() for line in lines[1:]] == [
        "EM",
        "F1",
        "F1, questions with an answer",
        "accuracy, questions without",
        "F1 at the best threshold",
        "best threshold",
    ]
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
    assert list(scores)[3:] == ["recall_at_1", "recall_at_5", "recall_at_20", "contexts_read", "ask_ms"]
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

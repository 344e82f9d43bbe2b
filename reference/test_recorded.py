"""Tests that the golden answers of the ordinary suite are still what transformers says, call by call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from record import golden

DATA = Path(__file__).parent.parent / "tests" / "compat" / "data"


@pytest.mark.filterwarnings("ignore")  # transformers warns of most forms of a call
def test_golden_answers_are_those_of_transformers() -> None:
    recorded = json.loads((DATA / "answers.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(golden(DATA))) == recorded

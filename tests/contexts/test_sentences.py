"""Tests that sentences and paragraphs end where a reader sees them end."""

from __future__ import annotations

from itertools import pairwise

import pytest

from edgeqa.contexts.passages import paragraph_ends, sentence_ends


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two is here. Three.", ["One.", "Two is here.", "Three."]),
        ("No end", ["No end"]),
        ('He said "stop." Then left.', ['He said "stop."', "Then left."]),
        ("A sentence on\ntwo lines. Next.", ["A sentence on\ntwo lines.", "Next."]),
        ("A heading\n\nA sentence\n", ["A heading", "A sentence"]),
        ("Led by Captain Fitz Roy, R. N., it sailed. Then", ["Led by Captain Fitz Roy, R. N., it sailed.", "Then"]),
        ("一つ。二つ。三つ。", ["一つ。", "二つ。", "三つ。"]),
    ],
)
def test_sentences_end_where_they_do(text: str, expected: list[str]) -> None:
    ends = sorted({0, *paragraph_ends(text), *sentence_ends(text), len(text)})
    assert [text[begin:end].strip() for begin, end in pairwise(ends)] == expected

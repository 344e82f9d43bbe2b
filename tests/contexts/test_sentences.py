from __future__ import annotations

import pytest

from edgeqa.contexts.borders import sentence_around


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("One. Two is here. Three.", "here", "Two is here."),
        ("No end", "end", "No end"),
        ('He said "stop." Then left.', "left", "Then left."),
        ("A sentence on\ntwo lines. Next.", "two", "A sentence on\ntwo lines."),
        ("A heading\n\nA sentence\n", "sentence", "A sentence"),
        ("Led by Captain Fitz Roy, R. N., it sailed. Then", "Fitz Roy", "Led by Captain Fitz Roy, R. N., it sailed."),
        ("Spans two. Sentences here. Not this.", "two. Sentences", "Spans two. Sentences here."),
        ("一つ。二つ。三つ。", "二つ", "二つ。"),
    ],
)
def test_the_sentence_around_an_answer(text: str, answer: str, expected: str) -> None:
    start = text.index(answer)
    begin, stop = sentence_around(text, start, start + len(answer))
    assert text[begin:stop] == expected

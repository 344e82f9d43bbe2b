"""What of a plan the reading keeps to."""

from __future__ import annotations

import pytest

from edgeqa import runtime

SENTENCE = "The gardens are open from nine in the morning, and the bridge was built by Dorman Long. "


@pytest.mark.parametrize(("window_tokens", "whole"), [(None, True), (448, True), (320, True), (128, False)])
def test_no_context_is_longer_than_a_plan_of_short_windows_counts_with(
    window_tokens: int | None, *, whole: bool
) -> None:
    text = SENTENCE * 15  # 300 tokens
    with runtime.open(window_tokens=window_tokens, persist="off") as qa:
        answer = qa.ask("Who built the bridge?", text)
    assert (answer.contexts == 1) is whole
    assert answer.text == "Dorman Long"


def test_an_answer_is_more_than_punctuation() -> None:
    with runtime.open(persist="off") as qa:
        answer = qa.ask("What ends it?", "“ ... ” !", force=True, top=5)
        assert (answer.text, answer.candidates, answer.contexts) == (None, (), 1)
        found = qa.ask("What ends a sentence?", "A stop ends it: .", force=True, top=20)
    assert all(any(character.isalnum() for character in c.text) for c in found.candidates)

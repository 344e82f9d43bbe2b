"""Tests that reading keeps to the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeqa import runtime
from edgeqa.contexts import Tokens
from edgeqa.contexts.windows import Window
from edgeqa.models.reading import PassageReader
from edgeqa.models.session import Session
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from edgeqa.models.bundle import Bundle

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


def test_the_same_text_with_other_tokens_has_spans_of_its_own() -> None:
    with runtime.open(persist="off", encoding_store_bytes=1 << 20) as qa:
        reading = qa._equipment.reading
        whole = reading.tokenize("The machine")
        pieces = Tokens(
            np.array([*whole.ids, *whole.ids], np.int64),
            np.array([[0, 1], [1, 3], [4, 8], [8, 11]], np.int32),
            np.array([0, 0, 1, 1], np.int32),
        )
        joined = Tokens(pieces.ids, pieces.offsets, np.array([0, 1, 2, 2], np.int32))
        tables = [reading._table(Window("The machine", 0, tokens)) for tokens in (whole, pieces, joined, whole)]
        assert [table.words for table in tables] == [[0, 1], [0, 0, 1, 1], [0, 1, 2, 2], [0, 1]]
        again = Tokens(whole.ids.copy(), whole.offsets.copy(), whole.words.copy())
        assert reading._table(Window("The machine", 0, again)) is tables[3]


def test_more_spans_come_only_where_one_of_the_best_may_be_no_answer() -> None:
    with runtime.open(persist="off", reader="fast") as qa:
        reading = qa._equipment.reading
        context = Window(SENTENCE, 0, reading.tokenize(SENTENCE))
        question = reading.question("Who built the bridge?")

        def found(more: int, *, wanted: bool) -> int:
            watch = Stopwatch()
            return len(
                reading.spans(question, context, None, top=1, watch=watch, more=more, wants_more=lambda _: wanted)
            )

        assert [found(2, wanted=False), found(0, wanted=True), found(2, wanted=True)] == [1, 1, 3]


@pytest.mark.parametrize("callers", [1, 3])
def test_only_where_many_may_come_are_the_graphs_told_of_callers(bundle: Bundle, callers: int) -> None:
    """They are loaded once more for many, which takes memory that a plan for one caller does not count."""
    with runtime.open(persist="off", reader="fast") as qa:
        plan, device = qa.plan, qa._equipment.device
    reading = PassageReader(bundle, replace(plan, callers=replace(plan.callers, value=callers)), device)
    sessions = [value for value in vars(reading._reader).values() if isinstance(value, Session)]
    told = None if callers == 1 else reading._callers
    assert [session._callers for session in sessions] == [told, told]


def test_a_question_of_any_length_is_read_by_its_beginning() -> None:
    text = "The bridge was built in 1932. " + "Nothing else is known of it. " * 2000
    question = "When was the bridge built?"
    with runtime.open(persist="off") as qa:
        for words in (100, 50_000):
            answer = qa.ask(question + " word" * words, text, most_contexts=2)
            assert (answer.text, answer.question_cut) == ("1932", True)
        assert not qa.ask(question, text, most_contexts=2).question_cut

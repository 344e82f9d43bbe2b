"""Tests that what is remembered is believed only where it fits what is asked now: these texts, all of its words."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from edgeqa import runtime
from edgeqa.runtime import AT_HAND_CHARACTERS, AT_HAND_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.runtime import EdgeQA

QUESTION = "Who designed the machine?"
TEXT = "The machine was designed by Charles Babbage. Ada Lovelace wrote its first program. Joseph Clement built a part."


def test_texts_are_told_apart_by_where_one_ends_and_the_next_begins(qa: EdgeQA) -> None:
    cut = [["The pump", " is red."], ["The pump is", " red."], ["The pump is red."], ["The pump is red.", "\n"]]
    keys = {qa.key("Is it red?", texts).canonical for texts in cut}
    assert len(keys) == len(cut)


def other_word(record: dict[str, Any]) -> None:
    record["spans"][-1][1] = "x" * len(record["spans"][-1][1])


def shorter_word(record: dict[str, Any]) -> None:
    record["spans"][-1][1] = record["spans"][-1][1][:-1]


def elsewhere(record: dict[str, Any]) -> None:
    record["spans"][-1][2] += 1
    record["spans"][-1][3] += 1


def other_context(record: dict[str, Any]) -> None:
    _, start, _, _, parts = record["passages"][record["spans"][-1][0]]
    record["passages"][record["spans"][-1][0]][4] = [parts[0] + 1, parts[1] - 1]
    assert start == 0


def no_such_text(record: dict[str, Any]) -> None:
    record["passages"][record["spans"][-1][0]][0] = 1


@pytest.mark.parametrize("damage", [other_word, shorter_word, elsewhere, other_context, no_such_text])
@pytest.mark.parametrize("top", [1, 3])
def test_an_answer_that_does_not_fit_its_text_word_for_word_is_read_again(
    top: int, damage: Callable[[dict[str, Any]], None]
) -> None:
    with runtime.open() as fresh:
        right = fresh.ask(QUESTION, TEXT, top=top, force=True)
        assert len(right.candidates) == top
        key, cache = fresh.key(QUESTION, TEXT, top=top, force=True), fresh._equipment.cache
        record = deepcopy(cache.get(key))
        damage(record)
        cache.put(key, record)
        again = fresh.ask(QUESTION, TEXT, top=top, force=True)
        assert (again.cached, again.candidates) == (False, right.candidates)
        assert fresh.ask(QUESTION, TEXT, top=top, force=True).cached


def test_what_is_to_be_remembered_in_memory_goes_to_no_cache_on_the_disk_that_is_there() -> None:
    with runtime.open() as first:
        first.ask(QUESTION, "The machine was designed by Ada.")
        assert first._equipment.cache.persist == "disk"
    with runtime.open(persist="memory") as second:
        assert not second.ask(QUESTION, TEXT).cached
        assert second.ask(QUESTION, TEXT).cached
        assert second._equipment.cache.persist == "memory"
    with runtime.open() as third:
        assert not third.ask(QUESTION, TEXT).cached


def test_of_a_long_text_nothing_is_kept_at_hand_and_of_short_ones_not_many(qa: EdgeQA) -> None:
    for number in range(AT_HAND_TEXTS + 3):
        qa.key(QUESTION, f"{TEXT} {number}")
        assert len(qa._texts) <= AT_HAND_TEXTS
    before = len(qa._texts)
    qa.key(QUESTION, "x" * (AT_HAND_CHARACTERS + 1))
    assert len(qa._texts) == before
    qa.key(QUESTION, "x" * AT_HAND_CHARACTERS)
    assert len(qa._texts) == before + 1

"""Tests turns: nobody's many keep another's one waiting, and nothing is lost or given twice."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edgeqa.serving.turns import Turns

OWNERS = st.sampled_from(["a", "b", "c"])


def test_owners_take_turns() -> None:
    turns: Turns[str] = Turns()
    for number in range(200):
        turns.put("many", f"many {number}")
    turns.put("one", "one")
    assert turns.ahead("one") == 3
    assert [turns.take() for _ in range(3)] == ["many 0", "one", "many 1"]


def test_what_several_wait_for_comes_in_the_turn_of_whoever_is_first() -> None:
    turns: Turns[str] = Turns()
    for thing in ("first", "shared"):
        turns.put("a", thing)
    turns.put("b", "shared")
    turns.put("b", "shared")
    assert len(turns) == 2
    assert [turns.take() for _ in range(3)] == ["first", "shared", None]


def test_who_has_most_gives_way_to_who_has_less_but_not_what_another_waits_for_too() -> None:
    turns: Turns[str] = Turns()
    for thing in ("1", "2", "3"):
        turns.put("many", thing)
    turns.put("other", "3")
    assert turns.to_give_way("one") == "2"
    assert turns.to_give_way("many") is None
    turns.drop("2")
    turns.drop("2")
    turns.put("one", "4")
    assert turns.to_give_way("one") is None  # it would only change places


@given(st.lists(st.tuples(OWNERS, st.integers(0, 30)), max_size=80), st.sets(st.integers(0, 30)))
def test_each_thing_is_given_once_in_an_order_that_is_fair(puts: list[tuple[str, int]], dropped: set[int]) -> None:
    turns: Turns[int] = Turns()
    for owner, thing in puts:
        turns.put(owner, thing)
    for thing in dropped:
        turns.drop(thing)
    wanted = {thing for _, thing in puts} - dropped
    assert len(turns) == len(wanted)
    taken = []
    while (next_one := turns.take()) is not None:
        taken.append(next_one)
    assert Counter(taken) == Counter(wanted)
    assert len(turns) == 0


@given(st.lists(st.tuples(OWNERS, st.integers(0, 99)), max_size=60, unique_by=lambda put: put[1]), OWNERS)
def test_no_more_comes_before_a_new_thing_than_was_said(puts: list[tuple[str, int]], owner: str) -> None:
    turns: Turns[int] = Turns()
    for other, thing in puts:
        turns.put(other, thing)
    expected = turns.ahead(owner)
    turns.put(owner, 100)
    before = 0
    while turns.take() != 100:
        before += 1
    assert before <= expected

"""Tests the table of encodings in memory: the least recently used goes first, and its limit holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.models.readers import Encoding
from edgeqa.models.reading import Encodings, LruTable

TOKENS, WIDTH = 5, 16
ONE_BYTES = TOKENS * (WIDTH + 4) + 8  # an encoding, and the id that it is kept under


def ids(number: int) -> np.ndarray:
    return np.array([number], np.int64)


class Encoder:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, of: np.ndarray) -> Encoding:
        self.asked.append(int(of[0]))
        return Encoding(np.full((TOKENS, WIDTH), of[0], np.int8), np.ones((TOKENS, 1), np.float32))


def test_the_least_recently_used_goes_first() -> None:
    encoder = Encoder()
    store = Encodings(encoder, 2 * ONE_BYTES)
    for number in (1, 2, 1, 3, 1, 2):
        assert store.of(ids(number)).hidden[0, 0] == number
    assert encoder.asked == [1, 2, 3, 2]  # 3 took the place of 2, which was used before 1


@pytest.mark.parametrize("budget_bytes", [0, ONE_BYTES - 1])
def test_without_room_nothing_is_made(budget_bytes: int) -> None:
    encoder = Encoder()
    store = Encodings(encoder, budget_bytes)
    for _ in range(3):
        store.of(ids(1))
    assert encoder.asked == [1, 1, 1]


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(0, 5), st.integers(0, ONE_BYTES - 1))
def test_it_holds_the_last_that_fit_and_no_more(order: list[int], fit: int, spare_bytes: int) -> None:
    encoder = Encoder()
    store = Encodings(encoder, fit * ONE_BYTES + spare_bytes)
    expected: list[int] = []
    held: list[int] = []
    for number in order:
        if number not in held:
            expected.append(number)
        held = ([n for n in held if n != number] + [number])[-fit:] if fit else []
        store.of(ids(number))
        kept_bytes = sum(encoding.nbytes + 8 for encoding, _ in store._made._held.values())
        assert kept_bytes == store._made.held_bytes == len(held) * ONE_BYTES
    assert encoder.asked == expected


def test_two_that_miss_the_same_context_at_once_keep_it_once() -> None:
    encode = Encoder()

    def meanwhile(of: np.ndarray) -> Encoding:
        if len(encode.asked) == 0:
            encode(of)
            store.of(of)  # the other one, between this one's miss and its encoding
        return encode(of)

    store = Encodings(meanwhile, 2 * ONE_BYTES)
    store.of(ids(1))
    assert store._made.held_bytes == ONE_BYTES


def test_one_thing_larger_than_all_the_room_puts_nothing_out() -> None:
    kept: LruTable[str] = LruTable(100)
    kept.put("a", "small", 60)
    kept.put("b", "large", 101)
    assert (kept.get("a"), kept.get("b"), kept.held_bytes) == ("small", None, 60)
    kept.put("c", "just fits", 100)
    assert (kept.get("a"), kept.get("c"), kept.held_bytes) == (None, "just fits", 100)

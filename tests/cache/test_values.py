"""Tests that an equal value of the same types comes back, and that what would not come back so is refused."""

from __future__ import annotations

import dataclasses
import enum
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.cache import values
from edgeqa.cache.values import ValueShape, decode, encode, is_immutable, unpack
from edgeqa.errors import CacheValueInvalid, LibraryMissing

atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
names = st.text() | st.integers(-(2**63), 2**64 - 1) | st.binary() | st.booleans() | st.none()
plain = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    text: str
    start: int
    score: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    spans: tuple[Span, ...]
    raw: bytes


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


@given(plain)
def test_values_come_back_equal_and_of_the_same_type(value: Any) -> None:  # noqa: ANN401 - any value
    assert typed(decode(encode(value))) == typed(value)


def typed(value: object) -> object:
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return {(type(name), name): typed(item) for name, item in value.items()}
    return (type(value), value)


@given(plain)
def test_the_small_reader_reads_what_msgspec_reads(value: Any) -> None:  # noqa: ANN401 - any value
    assert typed(unpack(encode(value))) == typed(values._decoder(None)(encode(value)))


@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65_535, 65_536])
def test_the_small_reader_reads_every_size(size: int) -> None:
    for value in (
        "x" * size,
        b"x" * size,
        [1] * size,
        {f"{number}": 1 for number in range(size)},
        -(2 ** (size % 3000)),
    ):
        assert unpack(encode(value)) == value


@given(plain | st.builds(Reply, st.tuples(st.builds(Span, st.text(), st.integers())), st.binary()))
def test_without_msgspec_the_bytes_are_the_same(value: Any) -> None:  # noqa: ANN401 - any value
    assert values.pack(value) == encode(value)


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_without_msgspec_every_size_has_the_same_bytes(size: int) -> None:
    for value in ("x" * size, b"x" * size, [1] * size, dict.fromkeys(map(str, range(size)), 1), size, -size, 2**size):
        assert values.pack(value) == encode(value)


def test_without_msgspec_values_come_back_and_those_of_a_named_type_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    monkeypatch.setattr(values, "decoders", {})
    monkeypatch.setattr(values, "_reads", iter(()))
    values._encoder.cache_clear()
    value = {"spans": [["a", 1, None, 2.5]], "big": -(2**80), "raw": b"\xff"}
    try:
        assert decode(encode(value)) == value
        for broken in (b"\xc1", b""):
            with pytest.raises(ValueShape):
                decode(broken)
        deep: list[object] = []
        for _ in range(100):
            deep = [deep]
        with pytest.raises(CacheValueInvalid, match="nested too deeply"):
            encode(deep)
        with pytest.raises(LibraryMissing, match="named type needs msgspec, which is not installed"):
            decode(encode(value), Reply)
    finally:
        values._encoder.cache_clear()


@given(st.binary(max_size=60))
def test_what_the_small_reader_reads_msgspec_reads_the_same(payload: bytes) -> None:
    try:
        found = unpack(payload)
    except ValueError:  # msgspec will be asked
        return
    assert repr(found) == repr(values._decoder(None)(payload))


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b"", r"not a value: \w"),
        (b"\x92\x01", r"not a value: \w"),
        (b"\xcb\x00", r"not a value: \w"),
        (b"\x81\x90\x01", r"not a value: \w"),
        (b"\xd4\x4d\x00", "unknown extension 77$"),
        (b"\xa2a", "cut short"),
        (b"\x01\x01", "more than one value"),
    ],
)
def test_the_small_reader_tells_what_is_wrong_with_what_is_no_value(payload: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        unpack(payload)


@pytest.mark.parametrize("payload", [b"\x91" * 600 + b"\xc0", b"\x91" * 5000])
def test_the_small_reader_refuses_deep_nesting(payload: bytes) -> None:
    with pytest.raises(ValueError, match="nested"):
        unpack(payload)


def test_what_the_small_reader_refuses_msgspec_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_reads", iter(range(2)))
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    assert decode(encode(deep)) == deep
    with pytest.raises(ValueShape):
        decode(b"\xc1")


def test_golden_bytes() -> None:
    assert encode({"a": [1, b"x", None, 2.5, True]}).hex() == "81a1619501c40178c0cb4004000000000000c3"
    assert encode(2**64).hex() == "c70901010000000000000000"


def test_a_dataclass_comes_back_as_itself_if_named_and_as_a_dict_if_not() -> None:
    reply = Reply((Span("x", 1, 0.5), Span("y", 2)), b"raw")
    assert decode(encode(reply), Reply) == reply
    assert decode(encode(reply)) == {
        "spans": [{"text": "x", "start": 1, "score": 0.5}, {"text": "y", "start": 2, "score": None}],
        "raw": b"raw",
    }


def test_a_dataclass_with_a_number_of_more_than_64_bits() -> None:
    assert decode(encode(Span("x", 2**70)))["start"] == 2**70


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1},
        Colour.RED,
        Text("x"),
        bytearray(b"x"),
        1j,
        {(1, 2): 3},
        {2**64: 1},
        [lambda: 0],
        "\ud800",
        Span,
        {"a": Colour.RED},
    ],
)
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(CacheValueInvalid):
        encode(value)


def test_a_list_that_holds_itself_is_refused() -> None:
    knot: list[object] = []
    knot.append(knot)
    with pytest.raises(CacheValueInvalid, match="nested"):
        encode(knot)


@pytest.mark.parametrize(
    "payload", [b"", b"\xc1", encode({"text": 1, "start": "x"}), encode(3), b"\xa1\xff", b"\xc7\x01\x09x"]
)
def test_bytes_of_another_shape_are_told(payload: bytes) -> None:
    with pytest.raises(ValueShape):
        decode(payload, Span)


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_told(payload: bytes) -> None:
    try:
        decode(payload)
    except ValueShape:
        return


def test_only_what_nobody_can_change_is_shared() -> None:
    assert is_immutable("x")
    assert is_immutable(Reply((Span("x", 1),), b""))
    assert not is_immutable([])
    assert not is_immutable({})
    assert not is_immutable(Reply(([],), b""))  # type: ignore[arg-type]  # what is tested
    assert not is_immutable(object())

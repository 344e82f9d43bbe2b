"""Tests that keys have their golden bytes, and that different inputs never have the same key."""

from __future__ import annotations

import dataclasses
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.cache.records import (
    encode_argument,
    join_fields,
    memo_key,
    name_key,
    split_fields,
)
from edgeqa.errors import CacheKeyInvalid

atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
arguments = st.recursive(
    atoms,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
    max_leaves=8,
)


@given(st.lists(st.binary(max_size=20), max_size=6), st.lists(st.binary(max_size=20), max_size=6))
def test_fields_cannot_run_into_each_other(first: list[bytes], second: list[bytes]) -> None:
    assert (join_fields(first) == join_fields(second)) == (first == second)
    assert split_fields(join_fields(first)) == first


@pytest.mark.parametrize("data", [b"", b"edgeqa-key-2", b"edgeqa-key-1\x05\0\0\0abc", b"edgeqa-key-1\x05"])
def test_bytes_that_are_no_key_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a canonical key"):
        split_fields(data)


@given(arguments, arguments)
def test_arguments_are_alike_only_if_type_and_value_are(first: object, second: object) -> None:
    assert (encode_argument(first) == encode_argument(second)) == (shape(first) == shape(second))


def shape(value: object) -> object:
    """Returns what is equal only if type and value are: not 1, 1.0 and True, nor 0.0 and -0.0."""
    if isinstance(value, float):
        return ("float", struct.pack("<d", value))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [shape(item) for item in value])
    if isinstance(value, dict):
        return ("dict", {name: shape(item) for name, item in value.items()})
    return (type(value).__name__, value)


def test_dataclasses_are_told_apart_by_type() -> None:
    @dataclasses.dataclass
    class One:
        x: int

    @dataclasses.dataclass
    class Two:
        x: int

    assert encode_argument(One(1)) != encode_argument(Two(1))
    assert encode_argument(One(1)) == encode_argument(One(1))


@pytest.mark.parametrize("value", [object(), {1, 2}, range(3), int, open, bytearray(b"x")])
def test_arguments_without_a_canonical_form_are_refused(value: object) -> None:
    with pytest.raises(CacheKeyInvalid):
        encode_argument([value])


def test_a_list_that_holds_itself_is_refused() -> None:
    knot: list[object] = []
    knot.append(knot)
    with pytest.raises(CacheKeyInvalid, match="nested"):
        encode_argument(knot)


def test_calls_are_told_apart_by_function_version_and_arguments() -> None:
    keys = [
        memo_key("k", b"f", "", (1, 2), {}),
        memo_key("k", b"g", "", (1, 2), {}),
        memo_key("k", b"f", "2", (1, 2), {}),
        memo_key("l", b"f", "", (1, 2), {}),
        memo_key("k", b"f", "", (1,), {"b": 2}),
        memo_key("k", b"f", "", (1, "b", 2), {}),
        memo_key("k", b"f", "", (1, [2]), {}),
    ]
    assert len({key.digest for key in keys}) == len(keys)
    assert memo_key("k", b"f", "", (), {"a": 1, "b": 2}) == memo_key("k", b"f", "", (), {"b": 2, "a": 1})


def test_names_are_keys_and_bytes_are_not_text() -> None:
    assert name_key("a").keyspace == "a"
    assert name_key("a").digest != name_key(b"a").digest
    with pytest.raises(CacheKeyInvalid):
        name_key(1)  # type: ignore[arg-type]  # what is tested

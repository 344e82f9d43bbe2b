"""Tests the walk through a graph's bytes against the onnx package, and that it says where bytes go wrong."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import networks
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from edgeqa.errors import ExportError
from edgeqa.models.exports.graph import Malformed, Message, graph_facts

if TYPE_CHECKING:
    from pathlib import Path


def fields(data: bytes) -> list[tuple[int, int, bytes]]:
    return [(f.number, f.value, data[f.begin : f.end]) for f in Message(data)]


def test_numbers_bytes_and_fixed_lengths_are_read_as_the_format_says() -> None:
    """The first two are the examples of the format's own documentation."""
    assert fields(b"\x08\x96\x01") == [(1, 150, b"")]
    assert fields(b"\x12\x07testing") == [(2, 0, b"testing")]
    assert fields(b"\x1d\x01\x02\x03\x04") == [(3, 0, b"\x01\x02\x03\x04")]
    assert fields(b"\x21" + bytes(8)) == [(4, 0, bytes(8))]
    assert fields(b"\xfa\x01\x00") == [(31, 0, b"")]
    assert fields(b"") == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x08", "the end in the middle of a number at byte 1"),
        (b"\x08\x80", "the end in the middle of a number at byte 2"),
        (b"\x08" + b"\xff" * 10, "more than 10 bytes"),
        (b"\x12\x05abc", "5 bytes announced, 3 there at byte 2"),
        (b"\x12\xff\xff\xff\xff\x7f", "bytes announced, 0 there"),
        (b"\x1d\x01\x02", "4 bytes announced, 2 there"),
        (b"\x0b", "a field of the unknown kind 3"),
        (b"\x0f", "a field of the unknown kind 7"),
        (b"\x00\x00", "a field of number 0"),
    ],
)
def test_what_is_not_in_the_format_is_said_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        fields(data)


def test_a_message_within_cannot_read_beyond_itself() -> None:
    data = b"\x12\x02\x08\x80\x01"  # the inner number would end outside
    outer = Message(data)
    inner = outer.within(next(iter(outer)))
    with pytest.raises(Malformed, match="middle of a number"):
        list(inner)


def test_fields_are_counted_across_all_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeqa.models.exports.graph.MAX_FIELDS", 10)
    outer = Message(b"\x08\x01" * 5 + b"\x12\x0e" + b"\x08\x01" * 7)
    with pytest.raises(Malformed, match="more than 10 fields"):
        [list(outer.within(field)) for field in outer]


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=5))
def test_packed_and_single_numbers_are_the_same(dims: list[int]) -> None:
    raw = TensorProto(dims=dims).SerializeToString()
    message = Message(raw)
    found = [number for field in message if field.number == 1 for number in message.numbers(field)]
    assert found == [number & ((1 << 64) - 1) for number in dims]


@given(st.binary(max_size=200))
def test_any_bytes_end_in_facts_or_in_one_error(data: bytes) -> None:
    message = Message(data)
    with contextlib.suppress(Malformed):
        for field in message:
            list(message.within(field))


def test_facts_are_those_that_the_graph_was_made_with(tmp_path: Path) -> None:
    sizes = networks.Sizes(vocabulary=321)
    model = networks.bert(sizes, networks.random_weights(sizes))
    file = tmp_path / "model.onnx"
    file.write_bytes(model.SerializeToString())
    facts = graph_facts(file)
    assert (facts.opset, facts.precision, facts.vocabulary) == (networks.OPSET, "float32", 321)
    assert (facts.files, facts.size_bytes) == ((file,), file.stat().st_size)


def test_graphs_within_graphs_end_somewhere(tmp_path: Path) -> None:
    graph = b""
    for _ in range(40):
        # Graph of one node with one attribute that holds the graph before.
        attribute = _field(6, graph)
        graph = _field(1, _field(4, b"If") + _field(5, attribute))
    file = tmp_path / "model.onnx"
    file.write_bytes(_field(7, graph))
    with pytest.raises(ExportError, match="graphs within graphs, more than 16 deep"):
        graph_facts(file)


def _field(number: int, data: bytes) -> bytes:
    length, size = b"", len(data)
    while size >= 0x80:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data

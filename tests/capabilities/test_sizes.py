"""Tests sizes in bytes as people write them, and as they are shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.capabilities import parse_bytes, show_bytes
from edgeqa.errors import OptionError


@pytest.mark.parametrize(
    ("text", "value_bytes"),
    [
        ("1", 1),
        ("1048576", 1 << 20),
        ("64K", 64 << 10),
        ("256M", 256 << 20),
        ("256m", 256 << 20),
        ("256MB", 256 << 20),
        ("256MiB", 256 << 20),
        (" 256 MiB ", 256 << 20),
        ("1.5G", 3 << 29),
        ("2T", 2 << 40),
        ("8388607T", 8388607 << 40),
        ("12B", 12),
    ],
)
def test_sizes_that_people_write(text: str, value_bytes: int) -> None:
    assert parse_bytes(text) == value_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M",
        "-1",
        "0",
        "0.1",
        "1X",
        "256 MMB",
        "1e9",
        "0x10",
        "١٢",
        "nan",
        "inf",
        "1,5G",
        "9" * 400 + "T",
        "1" + "0" * 400,
        "8388608T",
    ],
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match="--budget cannot be"):
        parse_bytes(text, "--budget")


@pytest.mark.parametrize(
    ("value_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (256 << 20, "256 MiB"), (5 << 29, "2.5 GiB")],
)
def test_sizes_are_shown_short(value_bytes: int, text: str) -> None:
    assert show_bytes(value_bytes) == text


@given(st.integers(1, 1 << 45))
def test_a_shown_size_reads_as_about_the_same(value_bytes: int) -> None:
    assert parse_bytes(show_bytes(value_bytes)) == pytest.approx(value_bytes, rel=0.06)

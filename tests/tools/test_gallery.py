"""Tests that the pictures of figures show the figures that are kept."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"
ROWS: list[dict[str, Any]] = [
    {"model": "a & b", "file": {"questions": 10, "right": 7, "refused": 2, "wrong": 1}},
]


@pytest.fixture
def gallery(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gallery")


def test_the_pictures_are_drawn_from_the_figures_that_are_kept(gallery: ModuleType) -> None:
    for name, picture in gallery.drawn().items():
        assert (gallery.IMAGES / name).read_text(encoding="utf-8") == picture, "python benchmarks/gallery.py"


def test_the_page_on_other_programs_has_the_figures_that_are_kept(gallery: ModuleType) -> None:
    compared = json.loads((gallery.RESULTS / "compare.json").read_text("utf-8"))
    figures = {(row["peer"], row["workload"]): row for row in compared["figures"]}
    page = (gallery.IMAGES.parent / "why.md").read_text("utf-8")
    workloads = ("sentence", "paragraph", "page")
    shown = [f"1 ({figures['edgeqa', workload]['median_ms']:.1f} ms)" for workload in workloads]
    assert f"| edgeqa, the text added before | {' | '.join(shown)} |" in page
    rows = re.findall(
        r"^\| (edgeqa, nothing stored|.*, transformers pipeline) \| (.*) \| (.*) \| (.*) \|$", page, re.MULTILINE
    )
    assert len(rows) == 5
    for peer, *cells in rows:
        times = [figures[peer.lower(), workload]["times_edgeqa"] for workload in workloads]
        assert cells == [f"{value:.{0 if value >= 100 else 1}f}" for value in times], peer


def test_a_bar_is_as_long_as_its_share(gallery: ModuleType) -> None:
    picture = gallery.answers(ROWS)
    ElementTree.fromstring(picture)  # noqa: S314 - our own picture
    widths = [float(width) for width in re.findall(r'width="(\d+\.\d)" height', picture)]
    assert widths == [0.7 * gallery.BAR_PX, 0.2 * gallery.BAR_PX, 0.1 * gallery.BAR_PX]
    assert "a &amp; b, of its file" in picture


def test_peers_are_drawn_by_workload_and_hits_by_themselves(gallery: ModuleType) -> None:
    rows = [("edgeqa", "sentence", 2.0), ("minilm, onnxruntime float32", "sentence", 7.0), ("edgeqa", "repeat", 0.0005)]
    compared = {
        "versions": {"edgeqa": "9.9"},
        "device": "a board",
        "cores": 4,
        "figures": [{"peer": peer, "workload": work, "median_ms": ms} for peer, work, ms in rows],
    }
    assert "9.9, a board, 4 cores" in gallery.peers(compared)
    assert "2.00 ms" in gallery.peers(compared)
    assert "7.00 ms" not in gallery.peers(compared)
    assert "a question asked before" in gallery.hits(compared)

"""Draws the pictures of figures in docs/images from the figures that are kept: `python benchmarks/gallery.py`.

In: results/documents.json, growth.json and compare.json, as `documents.py`, `collection_growth.py` and `compare.py`
leave them. Out: answers.svg has the right, unsure and wrong answers, by model and way of asking. growth.svg has the
time of a question by the size of the collection. peers.svg and hits.svg have the times of a question, new and asked
before, beside other programs. It measures nothing; tests/tools/test_gallery.py holds the pictures to the figures.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plot import STYLE, svg

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parent / "results"
IMAGES = Path(__file__).parent.parent / "docs" / "images"
WAYS = {"file": "of its file", "collection": "of all"}
PARTS = {"right": ("#0b6e4f", "#ffffff"), "refused": ("#d5dae0", "#222222"), "wrong": ("#b3402a", "#ffffff")}
NAMES = {"right": "right", "refused": "not sure", "wrong": "wrong"}
WORKLOADS = {"sentence": "on a sentence", "paragraph": "on a paragraph", "page": "on a page of five paragraphs"}
SET = "documents, half=report"  # the questions that nothing was fitted on
ROW_PX, NAMES_PX, BAR_PX, TOP_PX, MARGIN_PX = 26, 200, 480, 62, 12


def answers(rows: Sequence[dict[str, Any]]) -> str:
    """Returns shares of right, not sure and wrong answers as stacked bars, a row of figures and way each."""
    bars = [(f"{row['model']}, {said}", row[way]) for row in rows for way, said in WAYS.items() if way in row]
    height_px, width_px = TOP_PX + len(bars) * ROW_PX + MARGIN_PX, NAMES_PX + BAR_PX + MARGIN_PX
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height_px}" font-family="sans-serif" '
        'font-size="12" class="ink" role="img" '
        'aria-label="Answers right, not sure and wrong, on documents that people own">',
        STYLE,
        f'<rect width="{width_px}" height="{height_px}" class="paper"/>',
        f'<text x="{MARGIN_PX}" y="24" font-size="14">Questions on documents that people own, asked of one file, '
        "and of all</text>",
    ]
    for number, (name, (fill, _)) in enumerate(PARTS.items()):
        left = NAMES_PX + 90 * number
        drawn.append(f'<rect x="{left}" y="36" width="12" height="12" fill="{fill}"/>')
        drawn.append(f'<text x="{left + 17}" y="47">{NAMES[name]}</text>')
    for number, (called, counts) in enumerate(bars):
        y, x = TOP_PX + number * ROW_PX, float(NAMES_PX)
        drawn.append(f'<text x="{NAMES_PX - 8}" y="{y + 14}" text-anchor="end">{escape(called)}</text>')
        for name, (fill, ink) in PARTS.items():
            width = BAR_PX * counts[name] / counts["questions"]
            drawn.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW_PX - 6}" fill="{fill}"/>')
            drawn.append(
                f'<text x="{x + width / 2:.1f}" y="{y + 14}" text-anchor="middle" fill="{ink}">{counts[name]}</text>'
            )
            x += width
    return "\n".join([*drawn, "</svg>\n"])


def growth(figures: dict[str, Any]) -> str:
    """Returns what a question takes by the size of the collection, as bars."""
    panels = {
        said: {f"{row['contexts']:,} passages": row[name] for row in figures["rows"]}
        for name, said in (("ask_ms", "a question, read anew"), ("route_ms", "of it, the search of passages"))
    }
    about = f"Medians by size of the collection: {figures['device']}, {figures['cores']} cores, {figures['model']}"
    return svg(panels, about)


def peers(compared: dict[str, Any]) -> str:
    """Returns the times of a question that is new, beside other programs, as bars."""
    panels: dict[str, dict[str, float]] = {said: {} for said in WORKLOADS.values()}
    for row in compared["figures"]:
        if row["workload"] in WORKLOADS and not row["peer"].endswith("onnxruntime float32"):
            panels[WORKLOADS[row["workload"]]][row["peer"]] = row["median_ms"]
    return svg(
        {said: times for said, times in panels.items() if times},
        f"Median time of a new question: {_measured(compared)}",
    )


def hits(compared: dict[str, Any]) -> str:
    """Returns the times of a question that was asked before, beside caches that people use, as bars."""
    times = {row["peer"]: row["median_ms"] for row in compared["figures"] if row["workload"] == "repeat"}
    return svg({"a question asked before": times}, f"Median time of a hit: {_measured(compared)}")


def _measured(compared: dict[str, Any]) -> str:
    return f"edgeqa {compared['versions']['edgeqa']}, {compared['device']}, {compared['cores']} cores"


def drawn() -> dict[str, str]:
    """Returns the pictures, by the names of their files."""
    kept = (json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in ("documents", "growth", "compare"))
    documents, grown, compared = kept
    return {
        "answers.svg": answers([row for row in documents if row["set"] == SET]),
        "growth.svg": growth(grown),
        "peers.svg": peers(compared),
        "hits.svg": hits(compared),
    }


def main() -> None:
    """Writes the pictures."""
    for name, picture in drawn().items():
        (IMAGES / name).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()

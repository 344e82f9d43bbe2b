"""Draws medians as an SVG, from times by workload and peer: bars on a logarithmic scale, one panel a workload."""

from __future__ import annotations

import math
from html import escape

from edgeqa.bench import show

ROW, PANEL_GAP, NAMES, BARS, RIGHT, TOP = 17, 34, 225, 480, 75, 46
OURS, OTHERS = "#0b6e4f", "#9aa5b1"
STYLE = (
    "<style>.paper { fill: #ffffff } .ink { fill: #222222 } .grid { stroke: #e3e6ea } "
    "@media (prefers-color-scheme: dark) { .paper { fill: #161b22 } .ink { fill: #e6edf3 } .grid { stroke: #30363d } }"
    "</style>"
)


def svg(panels: dict[str, dict[str, float]], about: str) -> str:
    """Returns the plot; `panels` are median milliseconds by peer, by workload."""
    width = NAMES + BARS + RIGHT
    height = TOP + sum(len(times) * ROW + PANEL_GAP for times in panels.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" class="ink">',
        STYLE,
        f'<rect width="{width}" height="{height}" class="paper"/>',
        f'<text x="12" y="20" font-size="13">{escape(about)}</text>',
    ]
    top = TOP
    for name, times in panels.items():
        parts.append(f'<text x="12" y="{top}" font-size="12" font-weight="bold">{escape(name)}</text>')
        parts += _panel(times, top + 8)
        top += len(times) * ROW + PANEL_GAP
    return "\n".join([*parts, "</svg>\n"])


def _panel(times: dict[str, float], top: int) -> list[str]:
    low = math.floor(math.log10(min(times.values())))
    high = max(low + 1, math.ceil(math.log10(max(times.values()))))
    bottom = top + len(times) * ROW
    parts = []
    for power in range(low, high + 1):
        x = NAMES + BARS * (power - low) / (high - low)
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" class="grid"/>')
        parts.append(f'<text x="{x:.1f}" y="{top - 3}" text-anchor="middle" font-size="9">{_power(power)}</text>')
    for number, (peer, ms) in enumerate(times.items()):
        y, length = top + number * ROW + 3, max(1.0, BARS * (math.log10(ms) - low) / (high - low))
        color = OURS if peer.startswith("edgeqa") else OTHERS
        parts.append(f'<text x="{NAMES - 6}" y="{y + 9}" text-anchor="end">{escape(peer)}</text>')
        parts.append(f'<rect x="{NAMES}" y="{y}" width="{length:.1f}" height="{ROW - 6}" fill="{color}"/>')
        parts.append(f'<text x="{NAMES + length + 4:.1f}" y="{y + 9}">{show(ms)}</text>')
    return parts


def _power(power: int) -> str:
    """Returns 10 to that power of milliseconds, as 100 us or 1 s."""
    for least, unit in ((3, "s"), (0, "ms"), (-3, "us")):
        if power >= least:
            return f"{10 ** (power - least)} {unit}"
    return f"{10.0 ** (power + 6):g} ns"

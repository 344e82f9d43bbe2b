"""Draws docs/images/terminal.svg, a command as a terminal shows it: `python tools/terminal_picture.py`.

In: the output of a real run of edgeqa on a pseudo-terminal. Out: that text as SVG, with its bold and dim parts, in the
colours of the reader's screen, light or dark. The tool makes up nothing; tests/tools/test_pictures.py runs the command
again and compares.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
COMMAND = 'edgeqa ask "To what depth may the pump be submerged?" examples/pump-manual.txt'
CHARACTER_PX, LINE_PX, MARGIN_PX, COLUMNS = 8.4, 21, 24, 99
STYLE = {"1": "bold", "2": "dim"}
HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">
<style>
  rect {{ fill: #ffffff; stroke: #d0d7de }}
  text {{ font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1f2328; white-space: pre }}
  .bold {{ font-weight: 700; fill: #0a5d22 }}
  .dim {{ fill: #59636e }}
  @media (prefers-color-scheme: dark) {{
    rect {{ fill: #0d1117; stroke: #3d444d }}
    text {{ fill: #e6edf3 }}
    .bold {{ fill: #7ee787 }}
    .dim {{ fill: #9198a1 }}
  }}
</style>
<rect x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="10"/>
"""


def shown() -> str:
    """Returns what the command writes to a terminal, with what makes it bold or dim."""
    ours, theirs = pty.openpty()
    with tempfile.TemporaryDirectory() as home:
        environment = {"EDGEQA_READER": "fast", **os.environ, "EDGEQA_HOME": home, "TERM": "xterm"}
        command = [sys.executable, "-m", *shlex.split(COMMAND)]
        # The model is tested once on a device: the picture shows what every later question is like.
        subprocess.run([*command, "--no-cache"], cwd=ROOT, env=environment, capture_output=True, check=True)
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=theirs, stderr=subprocess.DEVNULL)
        os.close(theirs)
        written = b""
        try:
            while part := os.read(ours, 1 << 16):
                written += part
        except OSError:  # how the end of a pseudo-terminal looks on Linux
            pass
        finally:
            os.close(ours)
        if running.wait() != 0:
            raise SystemExit(f"{COMMAND}: exit code {running.returncode}")  # noqa: EM102 - a script's own words
    return written.decode("utf-8").replace("\r\n", "\n")


def drawn(written: str) -> Iterator[str]:
    """Yields the lines of the picture."""
    lines = [f"$ {COMMAND}", *written.rstrip("\n").split("\n")]
    width, height = round(COLUMNS * CHARACTER_PX) + 2 * MARGIN_PX, len(lines) * LINE_PX + 2 * MARGIN_PX
    label = escape(COMMAND, {'"': "&quot;"})
    yield HEAD.format(width=width, height=height, inner_width=width - 1, inner_height=height - 1, label=label)
    for number, line in enumerate(lines):
        y = MARGIN_PX + (number + 0.75) * LINE_PX
        yield f'<text x="{MARGIN_PX}" y="{y:g}">{"".join(_styled(line))}</text>\n'
    yield "</svg>\n"


def _styled(line: str) -> Iterator[str]:
    style = ""
    for part in re.split(r"(\x1b\[[\d;]*m)", line):
        if part.startswith("\x1b"):
            style = STYLE.get(part[2:-1], "")
        elif part:
            yield f'<tspan class="{style}">{escape(part)}</tspan>' if style else escape(part)


if __name__ == "__main__":
    PICTURE.write_text("".join(drawn(shown())), encoding="utf-8")

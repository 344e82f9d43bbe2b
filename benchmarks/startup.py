"""Counts what a start costs on any device: modules imported, files opened, bytes read and written.

    python benchmarks/startup.py          # a table, beside the last line of the history
    python benchmarks/startup.py --keep   # and one more line of it, in benchmarks/results/startup.jsonl

Times differ from device to device and from hour to hour; these counts do not. A hit, a miss and `add` of 6 KB of text,
each a process of its own, in a home of its own where the model was tested before. Files are those that Python opens, by
its audit events; bytes are what the kernel counts for the process (/proc/self/io), libraries that are mapped left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
HISTORY = Path(__file__).parent / "results" / "startup.jsonl"
QUESTION, OTHER = "To what depth may the pump be submerged?", "What is the pump not made for?"
COUNTS = ("modules", "files", "read_bytes", "written_bytes")
COUNTED = """
import os, sys
files, leave = set(), os._exit
sys.addaudithook(lambda name, given: files.add(str(given[0])) if name == "open" else None)
report = sys.argv.pop(1)
def counted(code):
    opened = len(files)
    io = dict(line.split(": ") for line in open("/proc/self/io").read().splitlines())
    with open(report, "w") as out:
        print(len(sys.modules), opened, io["rchar"], io["wchar"], file=out)
    leave(code)
os._exit = counted
from edgeqa.__main__ import main
main()
"""


def main() -> None:
    """Counts, prints, and keeps the counts if that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="add the counts to the history")
    options = parser.parse_args()
    pump = str(ROOT / "examples" / "pump-manual.txt")
    with tempfile.TemporaryDirectory() as home:
        text = Path(home) / "six-kb.txt"
        text.write_text((Path(pump).read_text(encoding="utf-8") * 9)[:6000], encoding="utf-8")
        count("ask", "-q", QUESTION, pump, home=home)  # tests the model, and makes the cache
        found = {
            "hit": count("ask", "-q", QUESTION, pump, home=home),
            "miss": count("ask", "-q", OTHER, pump, home=home),
            "add": count("add", str(text), home=home),
        }
    lines = HISTORY.read_text(encoding="utf-8").splitlines() if HISTORY.exists() else []
    before = json.loads(lines[-1])["counts"] if lines else {}
    print(f"{'':6}" + "".join(f"{name.replace('_', ' '):>24}" for name in COUNTS))
    for what, counts in found.items():
        cells = [f"{counts[name]} ({before.get(what, {}).get(name, 'new')})" for name in COUNTS]
        print(f"{what:6}" + "".join(f"{cell:>24}" for cell in cells))
    if options.keep:
        describe = ["git", "describe", "--always", "--dirty"]
        git = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=True)
        about = {"commit": git.stdout.strip(), "python": sys.version.split()[0], "onnxruntime": version("onnxruntime")}
        with HISTORY.open("a", encoding="utf-8") as out:
            print(json.dumps({**about, "counts": found}), file=out)


def count(*arguments: str, home: str) -> dict[str, int]:
    """Returns what one command took."""
    report = Path(home) / "counts"
    environment = {**os.environ, "EDGEQA_HOME": str(Path(home) / "home")}
    command = [sys.executable, "-c", COUNTED, str(report), *arguments]
    subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)
    return dict(zip(COUNTS, map(int, report.read_text(encoding="utf-8").split()), strict=True))


if __name__ == "__main__":
    main()

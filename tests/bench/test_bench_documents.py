"""Tests `benchmarks/documents.py` as a command: two versions are asked side by side, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "documents.py"


def test_two_versions_are_asked_and_the_figures_kept(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "notes.txt").write_text("The bridge over the Tay was built in 1878 by Thomas Bouch.\n", "utf-8")
    asked = {"doc": "notes.txt", "kind": "prose"}
    lines = [
        {
            **asked,
            "question": "Who built the bridge?",
            "answers": ["Thomas Bouch"],
            "anchors": [["notes.txt", "Bouch"]],
        },
        {**asked, "question": "Who painted the sky over Lisbon?", "answers": []},
    ]
    file, results = tmp_path / "questions.jsonl", tmp_path / "results.json"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    command = [sys.executable, str(SCRIPT), str(file), "--documents", str(folder), "--other", sys.executable]
    done = subprocess.run([*command, "--results", str(results)], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["asked", "of", "its", "file:", "1", "questions,", "1", "near", "misses"]
    assert rows.count(["given", "and", "right", "1", "1"]) == 2
    assert rows.count(["right", "with", "it", "alone", "0", "0"]) == 2
    kept = json.loads(results.read_text("utf-8"))
    assert [row["file"]["right"] for row in kept] == [1, 1]
    assert [row["collection"]["right"] for row in kept] == [1, 1]

"""What was seen on emulated processors: of this version, and within what the self-test allows."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

from edgeqa.models.selftest import MAX_ERROR

RESULTS = Path(__file__).parent.parent.parent / "benchmarks" / "results" / "aarch64.json"
F1_WITHIN = 2.0


def test_what_is_kept_of_other_processors_is_of_this_version_and_right() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert results
    for found in results.values():
        assert found["versions"]["edgeqa"].split(".")[:2] == version("edgeqa").split(".")[:2]
        assert found["largest_error"] <= MAX_ERROR["int8"]
        assert found["slices"]
        assert abs(found["f1"] - found["f1_here"]) <= F1_WITHIN
        assert found["imported"] == "12 metres"

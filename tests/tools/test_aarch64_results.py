"""Tests that what was seen on emulated processors is of this version and model, and how it is seen."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest
from aarch64 import CORE, CPUINFO, README, RESULTS, ROOT, WHOLE, copied, counted, model, parts_of

from edgeqa.models.selftest import MAX_ERROR

F1_WITHIN = 2.0
QUESTIONS_ASKED = 200
AT_LEAST = {"core": 1500, "by processor": 150}
checked_out = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout: git lists what is copied")


def test_what_is_kept_of_other_processors_is_of_this_version_and_model_and_right() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert set(results) == set(CPUINFO)
    for cpu, found in results.items():
        assert found["versions"]["edgeqa"].split(".")[:2] == version("edgeqa").split(".")[:2], cpu
        assert found["model"] == model(), f"make test-aarch64 CPU={cpu}"
        assert found["largest_error"] <= MAX_ERROR["int8"]
        assert found["slices"]
        assert abs(found["f1"] - found["f1_here"]) <= F1_WITHIN
        assert found["imported"] == "12 metres"
        assert found["questions"] == QUESTIONS_ASKED
        assert found["tests"]["passed"] >= AT_LEAST[found["tests"]["of"]], cpu
        assert (found["tests"]["failed"], found["tests"]["cut_short"]) == ([], [])
        assert all(found["tests"]["skipped"].values()), "each with its reason"


def test_the_page_on_devices_says_what_was_seen() -> None:
    page = " ".join((ROOT / "docs" / "device.md").read_text(encoding="utf-8").split())
    for found in json.loads(RESULTS.read_text(encoding="utf-8")).values():
        assert f"{found['equal_answers']} of {found['questions']}" in page


@checked_out
@pytest.mark.parametrize("cpu", CPUINFO)
def test_each_processor_passes_readme_and_the_files_that_compute_and_one_the_whole_core(cpu: str) -> None:
    page, *files = parts_of(cpu)
    path, _, name = page.partition("::")
    assert page == README
    assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(encoding="utf-8")
    assert {"tests/models/test_selftest.py", "tests/models/test_split_reader.py"} <= set(files)
    assert "tests/capabilities/test_hardware_processor.py" in files
    for part in CORE if cpu == WHOLE else ():
        there = {one.relative_to(ROOT).as_posix() for one in (ROOT / part).glob("test_*.py")}
        assert there
        assert there <= set(files)
    if cpu != WHOLE:
        assert "tests/capabilities/test_plan_properties.py" not in files, "pure logic is the same on each"
        assert set(files) < set(parts_of(WHOLE))


REPORTED = """
{"$report_type": "CollectReport", "nodeid": "", "outcome": "passed", "result": null}
{"$report_type": "CollectReport", "nodeid": "tests/a.py", "outcome": "passed", "result": null}
{"$report_type": "CollectReport", "nodeid": "tests/b.py", "outcome": "passed", "result": null}
{"$report_type": "CollectReport", "nodeid": "tests/c.py", "outcome": "failed", "result": null}
{"$report_type": "TestReport", "nodeid": "tests/a.py::x", "outcome": "passed", "when": "setup", "longrepr": null}
{"$report_type": "TestReport", "nodeid": "tests/a.py::x", "outcome": "passed", "when": "call", "longrepr": null}
{"$report_type": "TestReport", "nodeid": "tests/a.py::x", "outcome": "passed", "when": "teardown", "longrepr": null}
{"$report_type": "TestReport", "nodeid": "tests/a.py::y", "outcome": "passed", "when": "call", "longrepr": null}
{"$report_type": "TestReport", "nodeid": "tests/a.py::y", "outcome": "failed", "when": "teardown", "longrepr": "it"}
{"$report_type": "TestReport", "nodeid": "a.py", "outcome": "skipped", "when": "call", "longrepr": ["Skipped: no"]}
{"$report_type": "TestReport", "nodeid": "tests/b.py::x", "outc"""


def test_tests_are_counted_as_far_as_they_were_reported() -> None:
    found = counted(REPORTED.strip().splitlines())
    assert found.passed == 1
    assert found.failed == ["tests/c.py", "tests/a.py::y"]
    assert found.skipped == {"a.py": "no"}
    assert (found.files, found.begun) == (["tests/a.py", "tests/b.py"], ["tests/a.py", "a.py"])


@checked_out
def test_the_files_that_are_copied_hold_no_model() -> None:
    assert sum((ROOT / name).stat().st_size for name in copied()) < 64 << 20
    assert not any(name.startswith("edgeqa/") for name in copied())

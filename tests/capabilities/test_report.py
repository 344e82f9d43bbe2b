"""Tests the report on a device, letter by letter on the screen and field by field in JSON."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from machines import MIB, MINI, machine

from edgeqa.capabilities import Overrides
from edgeqa.capabilities.device import Capabilities, Reading, RecordedDevice, recorded_device
from edgeqa.capabilities.plan import Plan, make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.capabilities.report import WIDTH, SelfTestLine, describe, to_json
from edgeqa.errors import NotEnoughMemory

GOLDEN = Path(__file__).parent / "data" / "pi-zero-2w.txt"
NOT_RUN = SelfTestLine("another device", passed=None)


def refusal(device: Capabilities) -> NotEnoughMemory:
    with pytest.raises(NotEnoughMemory) as caught:
        make_plan(device, MINI, Overrides(budget_bytes=100 * MIB))
    return caught.value


def test_the_report_of_a_recorded_board_to_the_letter() -> None:
    device = probe(recorded_device("pi-zero-2w"))
    assert describe(device, make_plan(device, MINI), NOT_RUN) + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_a_refusal_is_in_the_place_of_the_plan() -> None:
    device = probe(machine())
    text = describe(device, refusal(device), NOT_RUN)
    assert "Test CPU" in text
    assert "bytes missing" in " ".join(text.split())
    assert "encoding store" not in text


@pytest.mark.parametrize(("passed", "shown"), [(True, "passed"), (False, "FAILED"), (None, "not run")])
def test_the_self_test_is_shown(*, passed: bool | None, shown: str) -> None:
    device = probe(machine())
    last = describe(device, make_plan(device, MINI), SelfTestLine("why", passed)).splitlines()[-1]
    assert last.split(maxsplit=1)[1].split() == [*shown.split(), "why"]


def test_what_is_unknown_is_shown_as_unknown() -> None:
    device = probe(RecordedDevice({}))
    lines = describe(device, make_plan(device, MINI), NOT_RUN).splitlines()
    named = {line[:18].strip(): line for line in lines if line.startswith("  ")}
    for name in ("board", "memory", "available", "cores", "int8 flags", "providers", "disk", "temperature"):
        assert "unknown" in named[name], name


def test_limited_address_space_has_a_row_of_its_own() -> None:
    free, limited = probe(machine()), probe(machine(address_space_limit_bytes=900 * MIB))
    assert "address space" not in describe(free, make_plan(free, MINI), NOT_RUN)
    assert "RLIMIT_AS 900 MiB" in describe(limited, make_plan(limited, MINI), NOT_RUN)


def test_long_reasons_are_folded_within_the_width() -> None:
    device = replace(probe(machine()), board=Reading("Test", "because " * 40))
    lines = describe(device, make_plan(device, MINI), NOT_RUN).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert sum("because" in line for line in lines) > 2


def test_the_json_has_every_fact_and_every_choice() -> None:
    device = probe(machine())
    plan = make_plan(device, MINI)
    report = json.loads(json.dumps(to_json(device, plan, SelfTestLine("fine", passed=True))))
    assert list(report) == ["device", "plan", "refusal", "self_test", "provider"]
    assert list(report["device"]) == [f.name for f in fields(Capabilities)]
    assert list(report["plan"]) == [f.name for f in fields(Plan)]
    assert report["refusal"] is None
    assert report["self_test"] == {"text": "fine", "passed": True, "fingerprint": None}
    assert report["device"]["cpu_flags"] == {"value": ["avx2", "avx512f", "avx512_vnni"], "reason": "/proc/cpuinfo"}
    assert report["plan"]["needed_bytes"] == plan.needed_bytes
    assert report["plan"]["threads"] == {"value": plan.threads.value, "reason": plan.threads.reason}


def test_the_json_of_a_refusal_has_the_figures() -> None:
    device = probe(machine())
    refused = refusal(device)
    report = to_json(device, refused, NOT_RUN)
    assert report["plan"] is None
    assert report["refusal"] == {
        "text": str(refused),
        "hint": refused.hint,
        "needed_bytes": refused.needed_bytes,
        "available_bytes": 100 * MIB,
        "missing_bytes": refused.needed_bytes - 100 * MIB,
    }

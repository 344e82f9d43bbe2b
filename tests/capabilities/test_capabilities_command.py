"""Tests `edgeqa capabilities` as a person uses it: table, JSON, budgets, recorded boards, refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from edgeqa.capabilities.device import Device, Finished, device_names
from edgeqa.cli import commands
from edgeqa.errors import BundleSelfTestFailed, DeviceUnknown, NotEnoughMemory, OptionError
from edgeqa.runtime import EdgeQA

if TYPE_CHECKING:
    from click.testing import Result


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["capabilities", *arguments], standalone_mode=False)


def report(*arguments: str) -> dict[str, Any]:
    result = invoke("--json", *arguments)
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def test_this_device_with_its_self_test() -> None:
    found = report()
    assert found["device"]["os"]["value"]
    assert found["plan"]["threads"]["value"] >= 1
    assert found["self_test"]["passed"] is True


def test_the_table_is_the_default() -> None:
    lines = invoke("--device", "pi-5").stdout.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == ["device", "plan", "model"]
    assert "Raspberry Pi 5 Model B Rev 1.0" in lines[1]


def test_a_recorded_board_is_not_self_tested_and_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "ask_providers", lambda _: pytest.fail("this device was asked"))
    assert report("--device", "pi-4")["self_test"] == {"text": "another device", "passed": None, "fingerprint": None}


def test_a_budget_shrinks_the_plan() -> None:
    plan = report("--device", "pi-4", "--budget", "200M")["plan"]
    assert plan["available_bytes"] == {"value": 200 << 20, "reason": "your budget"}
    assert plan["needed_bytes"] + plan["margin_bytes"] <= 200 << 20


def test_threads_may_be_given() -> None:
    assert report("--device", "pi-4", "--threads", "2")["plan"]["threads"]["value"] == 2


def test_a_budget_that_is_too_small_still_shows_the_device() -> None:
    result = invoke("--device", "pi-4", "--budget", "100M")
    assert isinstance(result.exception, NotEnoughMemory)
    assert result.exception.exit_code == 3
    assert "Raspberry Pi 4" in result.stdout
    assert "budget_bytes=104857600" in result.stdout
    found = report("--device", "pi-4", "--budget", "100M")
    assert found["plan"] is None
    assert found["refusal"]["missing_bytes"] > 0


def test_as_a_process_a_refusal_exits_with_3() -> None:
    command = [sys.executable, "-m", "edgeqa", "capabilities", "--budget", "100M", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    found = json.loads(done.stdout)["self_test"]
    assert found == {"text": "no plan to run it under", "passed": None, "fingerprint": None}
    assert "bytes missing" in done.stderr
    assert "hint:" in done.stderr


def test_an_unknown_board() -> None:
    assert isinstance(invoke("--device", "toaster").exception, DeviceUnknown)


def test_a_budget_that_is_no_size() -> None:
    assert isinstance(invoke("--budget", "lots").exception, OptionError)


def test_where_onnxruntime_cannot_be_imported_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "ask_providers", lambda _: Finished(-4, "", ""))
    monkeypatch.setattr(EdgeQA, "self_test", lambda _: pytest.fail("the self-test was run"))
    found = report()
    assert found["self_test"] == {"text": "onnxruntime cannot be imported", "passed": None, "fingerprint": None}
    assert "newer CPU" in found["device"]["providers"]["reason"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [('Finished(-4, "", "")', "illegal instruction"), ('Finished(1, "", "ImportError: libgomp.so.1")', "libgomp.so.1")],
)
def test_where_importing_it_would_kill_the_process_a_question_is_refused(asked: str, words: str) -> None:
    code = f"""
import sys
from edgeqa import cli
from edgeqa.capabilities.device import Device, Finished
Device.ask_providers = lambda _: {asked}
code = cli.run()
print("onnxruntime" in sys.modules)
sys.exit(code)
"""
    command = [sys.executable, "-c", code, "ask", "Who built it?", "--text", "Dorman Long built it."]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (3, "False\n")
    assert words in done.stderr
    assert "hint: install an onnxruntime" in done.stderr


def test_a_failed_self_test_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: EdgeQA) -> None:
        raise BundleSelfTestFailed("mini", "wrong")  # noqa: EM101 - a fact, the class writes the message

    monkeypatch.setattr(EdgeQA, "self_test", fail)
    found = report()
    assert found["self_test"]["passed"] is False
    assert "wrong" in found["self_test"]["text"]
    assert isinstance(invoke().exception, BundleSelfTestFailed)


def test_help_names_every_recorded_board() -> None:
    shown = CliRunner().invoke(commands, ["capabilities", "--help"]).output
    assert f"Boards: {', '.join(device_names())}." in shown

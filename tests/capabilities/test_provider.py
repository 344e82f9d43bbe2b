"""Tests which execution provider is chosen by what was tried: right answers count first, then time, then memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
from machines import MINI, machine

from edgeqa.capabilities import MIB, Overrides
from edgeqa.capabilities.footprint import PASSAGES, Tried
from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.precision import CPU, asked_as, of_graphs, short
from edgeqa.capabilities.probe import probe
from edgeqa.errors import OptionError, ProviderFailed
from edgeqa.models.providers import CLEARLY_PERCENT, best_of, choose

ROOMY = probe(machine())
OTHER = "OpenVINOExecutionProvider"
USUAL = Tried(CPU, "int8", ok=True, reason="right", ms=10.0, load_ms=50.0, mib=100.0, nodes_taken=84, nodes=84)
QUICK = Tried(OTHER, "float32", ok=True, reason="right", ms=5.0, load_ms=300.0, mib=240.0, nodes_taken=221, nodes=221)
NONE = Tried(
    OTHER, "int8", ok=False, reason="it takes none of 84 nodes: the CPU computes them", nodes_taken=0, nodes=84
)


def test_the_quickest_that_is_right_computes_and_the_reason_has_the_figures() -> None:
    found = choose("int8", [USUAL, NONE, QUICK])
    assert (found.value, found.precision, found.takes_bytes) == (OTHER, "float32", 140 * MIB)
    for figure in ("5.0 ms", "10.0 ms", "240 MiB", "100 MiB", "221 of 221 nodes"):
        assert figure in found.reason
    assert [one["name"] for one in found.to_json()["tried"]] == [CPU, OTHER, OTHER]


def test_wrong_answers_are_never_chosen_however_quick() -> None:
    wrong = replace(QUICK, ok=False, reason="case 2: another answer", ms=0.1)
    found = choose("int8", [USUAL, wrong])
    assert found.value == CPU
    assert "OpenVINO: in float32, case 2: another answer" in found.reason
    shown = found.to_json()["tried"][1]
    assert (shown["ok"], shown["ms"], shown["load_ms"], shown["mib"]) == (False, None, None, None)


def test_one_that_took_nothing_is_said() -> None:
    found = choose("int8", [USUAL, NONE])
    assert found.value == CPU
    assert "it takes none of 84 nodes" in found.reason
    assert found.to_json()["tried"][1]["nodes_taken"] == 0


def test_a_slower_one_is_shown_with_its_figures() -> None:
    found = choose("int8", [USUAL, replace(QUICK, ms=35.0)])
    assert (found.value, found.takes_bytes) == (CPU, 0)
    assert "OpenVINO: 35.0 ms and 240 MiB in float32" in found.reason


def test_what_takes_longer_to_load_must_make_up_for_it() -> None:
    even_ms = USUAL.cost_ms * CLEARLY_PERCENT / 100 - PASSAGES * QUICK.ms
    assert choose("int8", [USUAL, replace(QUICK, load_ms=even_ms - 1)]).value == OTHER
    found = choose("int8", [USUAL, replace(QUICK, load_ms=even_ms + 1)])
    assert found.value == CPU
    assert f"{even_ms + 1:.0f} ms to load instead of 50" in found.reason


def test_of_those_about_as_quick_the_smaller_one_computes() -> None:
    halves = replace(QUICK, precision="float16", ms=QUICK.ms * 1.05, mib=150.0)
    assert choose("int8", [USUAL, QUICK, halves]).precision == "float16"
    assert choose("int8", [USUAL, QUICK, replace(halves, ms=QUICK.ms * 1.5)]).precision == "float32"
    assert best_of([NONE]) is None


def test_where_others_kept_the_processor_busy_nothing_is_changed() -> None:
    for tried in ([replace(USUAL, is_busy=True), QUICK], [USUAL, replace(QUICK, is_busy=True)]):
        found = choose("int8", tried)
        assert found.value == CPU
        assert "busy" in found.reason


def test_where_the_cpu_is_wrong_another_computes_however_slow() -> None:
    found = choose("int8", [replace(USUAL, ok=False, reason="case 1"), replace(QUICK, ms=99.0)])
    assert (found.value, found.takes_bytes) == (OTHER, 0)


def test_what_is_asked_for_computes() -> None:
    slow = replace(QUICK, ms=99.0)
    for name in ("openvino", "OpenVINO", "openvinoexecutionprovider", OTHER):
        found = choose("int8", [USUAL, NONE, slow], name)
        assert (found.value, found.precision, found.asked_for) == (OTHER, "float32", name)
        assert found.reason.startswith("you asked for it: 99.0 ms")
    assert choose("int8", [USUAL, QUICK], "cpu").value == CPU
    with pytest.raises(ProviderFailed, match=r"openvino .* int8: it takes none of 84 nodes") as caught:
        choose("int8", [USUAL, NONE], "openvino")
    assert caught.value.exit_code == 3
    with pytest.raises(ProviderFailed, match="not tried"):
        choose("int8", [USUAL], "openvino")


def test_a_better_trial_of_the_same_counts_and_a_failure_does() -> None:
    busy = replace(USUAL, ms=30.0, load_ms=40.0, is_busy=True)
    assert busy.or_quicker(USUAL) == replace(USUAL, load_ms=40.0)
    assert USUAL.or_quicker(busy) == replace(USUAL, load_ms=40.0)
    failed = Tried(CPU, "int8", ok=False, reason="it died")
    assert USUAL.or_quicker(failed) is failed
    assert failed.or_quicker(USUAL) is failed


def test_the_plan_has_the_provider_its_memory_and_its_precision() -> None:
    usual = make_plan(ROOMY, MINI)
    assert (usual.provider.value, usual.precision.value) == (CPU, "int8")
    plan = make_plan(ROOMY, MINI, provider=choose("int8", [USUAL, QUICK]))
    assert (plan.provider.value, plan.precision.value) == (OTHER, f"float32@{OTHER}")
    assert plan.callers.value == 1
    assert plan.needed_bytes == usual.needed_bytes + 140 * MIB
    own = make_plan(ROOMY, MINI, provider=choose("int8", [USUAL, replace(QUICK, precision="int8")]))
    assert own.precision.value == f"int8@{OTHER}"
    assert (of_graphs(own.precision.value), of_graphs("int8-u8u8@X"), of_graphs("int8")) == ("int8",) * 3


def test_where_there_is_no_room_for_it_the_cpu_computes_unless_it_was_asked_for() -> None:
    budget = Overrides(budget_bytes=600 * MIB)
    chosen = choose("int8", [USUAL, replace(QUICK, mib=600.0)])
    plan = make_plan(ROOMY, MINI, budget, provider=chosen)
    assert (plan.provider.value, plan.precision.value) == (CPU, "int8")
    assert "missing for OpenVINO" in plan.provider.reason
    assert plan.needed_bytes == make_plan(ROOMY, MINI, budget).needed_bytes
    asked = choose("int8", [USUAL, replace(QUICK, mib=500.0)], "openvino")
    assert make_plan(ROOMY, MINI, budget, provider=asked).provider.value == OTHER


def test_what_a_self_test_is_remembered_under_is_the_same_however_a_provider_is_written() -> None:
    assert asked_as("int8", None) == "int8"
    assert {asked_as("int8", name) for name in ("openvino", "OpenVINO", OTHER)} == {"int8 with openvino"}
    assert short(OTHER) == "OpenVINO"


@pytest.mark.parametrize("wrong", ["", "a provider", "200", 3])
def test_what_no_provider_is_called_is_refused(wrong: str) -> None:
    with pytest.raises(OptionError, match="provider"):
        Overrides(provider=wrong)

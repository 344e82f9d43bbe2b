"""Tests what holds of every plan, whatever the device, the model and the wishes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from machines import GIB, MIB, machine

from edgeqa.capabilities import Overrides
from edgeqa.capabilities.device import Capabilities, Reading
from edgeqa.capabilities.footprint import ModelNeeds, Sizes, address_bytes, memory_bytes
from edgeqa.capabilities.plan import Plan, make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.errors import NotEnoughMemory

ROOMY = probe(machine())
memory = st.integers(1, 4 * GIB) | st.integers(100 * MIB, 700 * MIB)

models = st.builds(
    ModelNeeds,
    file_bytes=st.integers(MIB, 600 * MIB),
    tokenizer_bytes=st.integers(10_000, 20 * MIB),
    width=st.sampled_from([128, 384, 768]),
    max_context_tokens=st.integers(160, 512),
    precision=st.sampled_from(["int8", "float32", "float16"]),
    kind=st.sampled_from(["split", "joint"]),
    heads=st.sampled_from([2, 12]),
    question_tokens=st.integers(60, 70),
)

wishes = st.builds(
    Overrides,
    threads=st.none() | st.integers(1, 16),
    batch_contexts=st.none() | st.integers(1, 1000),
    window_tokens=st.none() | st.integers(128, 160),
    answer_cache_bytes=st.none() | st.integers(0, 3 * GIB),
    encoding_store_bytes=st.none() | st.integers(0, 3 * GIB),
)


@st.composite
def devices(draw: st.DrawFn) -> Capabilities:
    available = draw(memory)
    return replace(
        ROOMY,
        memory_total_bytes=Reading(available + draw(st.integers(0, 8 * GIB)), "total"),
        memory_available_bytes=Reading(available, "available"),
        address_space_bytes=Reading(draw(st.none() | memory), "address space"),
        cores=Reading(draw(st.none() | st.integers(1, 64)), "cores"),
    )


def sizes(plan: Plan) -> Sizes:
    return Sizes(
        plan.batch_contexts.value,
        plan.window_tokens.value,
        plan.answer_cache_bytes.value,
        plan.encoding_store_bytes.value,
    )


def planned(device: Capabilities, model: ModelNeeds, wanted: Overrides | None = None) -> Plan | NotEnoughMemory:
    try:
        return make_plan(device, model, wanted)
    except NotEnoughMemory as refused:
        return refused


def with_available(device: Capabilities, available_bytes: int) -> Capabilities:
    return replace(device, memory_available_bytes=Reading(available_bytes, "available"))


@given(devices(), models, wishes)
def test_a_plan_stays_within_memory_and_address_space_and_follows_wishes(
    device: Capabilities, model: ModelNeeds, wanted: Overrides
) -> None:
    plan = planned(device, model, wanted)
    if isinstance(plan, NotEnoughMemory):
        assert plan.missing_bytes > 0
        return
    assert plan.needed_bytes == memory_bytes(model, sizes(plan))
    assert plan.needed_bytes + plan.margin_bytes <= plan.available_bytes.value
    with_callers = replace(sizes(plan), callers=plan.callers.value)
    assert memory_bytes(model, with_callers) + plan.margin_bytes <= plan.available_bytes.value
    if device.address_space_bytes.value is not None:
        assert address_bytes(model, with_callers, plan.threads.value) <= device.address_space_bytes.value
    for name, value in wanted.given().items():
        assert getattr(plan, name).value == value
    assert 1 <= plan.window_tokens.value <= model.max_context_tokens


@given(devices(), models, wishes)
def test_a_refusal_states_the_exact_deficit(device: Capabilities, model: ModelNeeds, wanted: Overrides) -> None:
    """With the missing bytes there is a plan; with one byte less there is none."""
    device = replace(device, address_space_bytes=Reading(None, "no limit"))
    refused = planned(device, model, wanted)
    assume(isinstance(refused, NotEnoughMemory))
    assert isinstance(refused, NotEnoughMemory)
    enough = (device.memory_available_bytes.value or 0) + refused.missing_bytes
    assert enough == refused.needed_bytes
    assert isinstance(planned(with_available(device, enough), model, wanted), Plan)
    again = planned(with_available(device, enough - 1), model, wanted)
    assert isinstance(again, NotEnoughMemory)
    assert again.missing_bytes == 1


@given(devices(), models, wishes)
def test_the_exact_deficit_of_address_space(device: Capabilities, model: ModelNeeds, wanted: Overrides) -> None:
    device = with_available(device, 16 * GIB)
    refused = planned(device, model, wanted)
    assume(isinstance(refused, NotEnoughMemory))
    assert isinstance(refused, NotEnoughMemory)
    enough = refused.needed_bytes
    assert isinstance(planned(replace(device, address_space_bytes=Reading(enough, "enough")), model, wanted), Plan)
    again = planned(replace(device, address_space_bytes=Reading(enough - 1, "less")), model, wanted)
    assert isinstance(again, NotEnoughMemory)
    assert again.missing_bytes == 1


@given(devices(), models, st.integers(1, GIB))
def test_more_memory_never_gives_less(device: Capabilities, model: ModelNeeds, more_bytes: int) -> None:
    device = replace(device, address_space_bytes=Reading(None, "no limit"))
    available = device.memory_available_bytes.value or 0
    richer = replace(device, memory_available_bytes=Reading(available + more_bytes, "more"))
    small, large = planned(device, model), planned(richer, model)
    assume(isinstance(small, Plan))
    assert isinstance(small, Plan)
    assert isinstance(large, Plan)
    for name in ("batch_contexts", "window_tokens", "answer_cache_bytes", "encoding_store_bytes"):
        assert getattr(small, name).value <= getattr(large, name).value, name


@given(models, st.integers(200 * MIB, 2 * GIB), st.integers(0, 4 * GIB))
def test_a_larger_budget_never_shortens_windows(model: ModelNeeds, budget_bytes: int, more_bytes: int) -> None:
    small = planned(ROOMY, model, Overrides(budget_bytes=budget_bytes))
    large = planned(ROOMY, model, Overrides(budget_bytes=budget_bytes + more_bytes))
    assume(isinstance(small, Plan))
    assert isinstance(small, Plan)
    assert isinstance(large, Plan)
    assert small.window_tokens.value <= large.window_tokens.value


@given(models, st.integers(1, 16))
def test_every_size_costs_something(model: ModelNeeds, threads: int) -> None:
    base = Sizes(1, 64, 0, 0)
    for larger in (
        replace(base, batch_contexts=2),
        replace(base, window_tokens=65),
        replace(base, answer_cache_bytes=1),
        replace(base, encoding_store_bytes=1),
        replace(base, callers=2),
    ):
        assert memory_bytes(model, larger) > memory_bytes(model, base)
        assert address_bytes(model, larger, threads) > address_bytes(model, base, threads)
    assert address_bytes(model, base, threads + 1) > address_bytes(model, base, threads) > memory_bytes(model, base)

"""`edgeqa capabilities` shows what this device has and what fits it; `edgeqa bench` measures how fast it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgeqa import state, streams
from edgeqa.commands import (
    budget_option,
    bundle_option,
    json_option,
    provider_option,
    reader_option,
    threads_option,
)
from edgeqa.errors import BundleError, NotEnoughMemory

if TYPE_CHECKING:
    from edgeqa.capabilities import Overrides, Reader
    from edgeqa.capabilities.device import Capabilities
    from edgeqa.capabilities.plan import Plan, Provider
    from edgeqa.capabilities.report import SelfTestLine
    from edgeqa.models.bundle import Bundle
    from edgeqa.runtime import EdgeQA


@click.command("capabilities", short_help="Show this device, and what fits it.")
@click.option("--device", "device_name", metavar="NAME", help="Show a recorded board, not this device.")
@json_option
@bundle_option
@reader_option
@provider_option
@threads_option
@budget_option
def capabilities(
    *,
    device_name: str | None,
    as_json: bool,
    bundle: str | None,
    reader: Reader | None,
    provider: str | None,
    threads: int | None,
    budget_bytes: int | None,
) -> None:
    """Show what this device has, and what edgeqa will do with it, with the reasons.

    \b
    edgeqa capabilities
    edgeqa capabilities --budget 256M
    edgeqa capabilities --device pi-zero-2w
    edgeqa capabilities --provider openvino
    edgeqa capabilities --json

    The careful reader, if it is installed, is timed once on each device. The providers that onnxruntime offers besides
    the CPU are tried once, too: whether their answers are right, how fast they are, how much memory they take, and how
    much of the graphs they compute. From then on, the quickest right one computes; --provider NAME overrides that.

    Boards: android-phone, jetson-nano, laptop, pi-4, pi-5, pi-zero-2w.

    Exit codes: 0 the plan fits, 2 wrong usage, 3 it does not fit, or the model is broken.
    """
    from edgeqa.asking.equipment import CarefulReader
    from edgeqa.capabilities import Overrides
    from edgeqa.capabilities.device import recorded_device
    from edgeqa.capabilities.plan import make_plan
    from edgeqa.capabilities.probe import probe
    from edgeqa.capabilities.report import describe, to_json
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.shelf import find_bundle
    from edgeqa.runtime import EdgeQA, wanted_reader

    wanted = Overrides(
        threads=threads,
        budget_bytes=budget_bytes,
        reader=wanted_reader(reader),
        provider=provider,
        mmap=state.maps_files(),
    )
    device = probe(None if device_name is None else recorded_device(device_name))
    model = Bundle.load(find_bundle(bundle))
    careful = CarefulReader(model.manifest.name, wanted)
    chosen: Provider | None = None

    def planned() -> Plan | NotEnoughMemory:
        try:
            return make_plan(device, model.needs(), wanted, careful.known(device), chosen)
        except NotEnoughMemory as refused:
            return refused

    with EdgeQA(model, wanted) as qa:
        plan = planned()
        if device_name is None and device.providers.value is not None and not isinstance(plan, NotEnoughMemory):
            chosen = _provider(model, device, wanted)
            plan = planned()
        self_test, fault = _self_test(qa, device, plan, live=device_name is None)
        if self_test.passed and not isinstance(plan, NotEnoughMemory) and plan.reader.value == "careful":
            _ = qa.decider  # this times the careful reader
            plan = planned()
    streams.print_either(to_json(device, plan, self_test), describe(device, plan, self_test), as_json=as_json)
    if isinstance(plan, NotEnoughMemory):
        raise plan
    if fault is not None:
        raise fault


def _provider(model: Bundle, device: Capabilities, wanted: Overrides) -> Provider:
    """Returns the provider that computes, after a trial now or before."""
    from edgeqa.capabilities.plan import Provider
    from edgeqa.capabilities.precision import CPU
    from edgeqa.models import providers

    with streams.ProgressBar() as progress:
        tried = providers.try_providers(model, device, wanted, progress=progress)
    if not tried and wanted.provider is None:
        return Provider(CPU, "onnxruntime offers no other", model.manifest.precision)
    chosen = providers.choose(model.manifest.precision, tried, wanted.provider)
    if wanted.provider is None:
        providers.settle(model, device, chosen)
    return chosen


def _self_test(
    qa: EdgeQA, device: Capabilities, plan: Plan | NotEnoughMemory, *, live: bool
) -> tuple[SelfTestLine, BundleError | None]:
    from edgeqa.capabilities.report import SelfTestLine

    if not live:
        return SelfTestLine("another device", passed=None), None
    if isinstance(plan, NotEnoughMemory):
        return SelfTestLine("no plan to run it under", passed=None), None
    if device.providers.value is None:
        # The subprocess that asked onnxruntime for its providers was killed; this process would be killed, too.
        return SelfTestLine("onnxruntime cannot be imported", passed=None), None
    try:
        verdict = qa.self_test()
    except BundleError as fault:
        return SelfTestLine(str(fault), passed=False), fault
    return SelfTestLine(verdict.detail, passed=True, fingerprint=verdict.fingerprint), None


@click.command("bench", short_help="Measure how fast this device answers.")
@click.option("--quick", is_flag=True, help="Take a few seconds instead of half a minute; less sure.")
@json_option
@bundle_option
@reader_option
@provider_option
@threads_option
@budget_option
def bench(
    *,
    quick: bool,
    as_json: bool,
    bundle: str | None,
    reader: Reader | None,
    provider: str | None,
    threads: int | None,
    budget_bytes: int | None,
) -> None:
    """Measure how fast this device answers, from the question to the answer.

    Questions of 8 and 12 tokens are asked of texts of 32, 160, 320 and five times 160 tokens. The texts were seen
    before, as in a collection, and no question is asked twice. Then a question is asked again (repeat). The table also
    has the times on new texts, and of the network's matrix products alone, which are the limit of this processor, and
    how many questions a second many callers get answered. The last line is made to be pasted into a chat.

    \b
    edgeqa bench
    edgeqa bench --quick --threads 1
    edgeqa bench --json > figures.json

    The fast reader is measured, unless --reader says careful, or auto.

    Other programs on the device make the figures worse. Answers are remembered in memory only.
    """
    from edgeqa import runtime
    from edgeqa.bench import QUICK, USUAL, measure

    opened = runtime.open(
        bundle=bundle,
        threads=threads,
        budget_bytes=budget_bytes,
        persist="memory",
        reader=reader or "fast",
        provider=provider,
    )
    with opened as qa, streams.ProgressBar() as progress:
        figures = measure(qa, QUICK if quick else USUAL, progress)
    streams.print_either(figures.to_json(), figures.table(), as_json=as_json)

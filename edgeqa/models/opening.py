"""The one place that opens a model: a bundle in, a tested reader out.

The device is probed, the plan made, the model loaded and tested, in this order. Nothing large is imported or loaded
before the plan has shown that it fits. A bundle is tested before its first answer on a device (`selftest` remembers
that); if it fails, other kernels are tried before it is refused. An export is no bundle yet: `exports` tries it out,
and then runs the same test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgeqa import state
from edgeqa.capabilities import Overrides
from edgeqa.capabilities.plan import Choice, Provider, make_plan, precision_on
from edgeqa.capabilities.precision import AT, CPU, asked_as, of_graphs, other_paths, precision, short
from edgeqa.capabilities.probe import assure_onnxruntime, probe
from edgeqa.errors import (
    BundleError,
    BundleNotFound,
    BundleSelfTestFailed,
    BundleTokensWrong,
    EdgeQAError,
    NotEnoughMemory,
    ProviderFailed,
)
from edgeqa.models import selftest
from edgeqa.models.bundle import Bundle
from edgeqa.models.readers import open_reader
from edgeqa.models.session import SessionOptions
from edgeqa.models.shelf import find_bundle, graphs_made_of, made_name, model_names, models_home

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.capabilities.device import Capabilities
    from edgeqa.capabilities.footprint import Tried
    from edgeqa.capabilities.plan import Plan
    from edgeqa.models.readers import Reader
    from edgeqa.models.selftest import Verdict
    from edgeqa.models.session import Callers
    from edgeqa.models.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A bundle's graphs in memory, on a plan."""

    plan: Plan
    """The plan, with the precision path on which the self-test was passed."""
    reader: Reader
    verdict: Verdict
    """The verdict of its self-test, run now or before."""


def open_model(
    bundle: Bundle,
    overrides: Overrides | None = None,
    *,
    device: Capabilities | None = None,
    plan: Plan | None = None,
    tokenizer: Tokenizer | None = None,
    reader: Reader | None = None,
    callers: Callers | None = None,
    anew: bool = False,
) -> OpenModel:
    """Returns the model, loaded and tested.

    Args:
        bundle: the bundle.
        overrides: what the user wants instead of the plan's choices.
        device: what the device has, where it was probed already.
        plan: where it was made already.
        tokenizer: the bundle's, where it was loaded already.
        reader: the bundle's, where its graphs were loaded already.
        callers: those who are told apart, one who is alone and many, if they may take the memory for that.
        anew: run the self-test even where its verdict is remembered.

    Raises:
        CapabilityError: if it does not fit, or onnxruntime cannot be imported on this device.
        BundleError: if it cannot be loaded, or fails its self-test.
    """
    device = device or probe(providers=False)
    plan = plan or make_plan(device, bundle.needs(), overrides)
    # No verdict can be remembered for an unknown processor: the next one may be another.
    anew = anew or device.processor_digest.value is None
    usual = precision(bundle.manifest.precision, device.machine.value, device.cpu_flags.value)[0]
    wanted, asked_for = plan.precision.value, plan.provider.asked_for
    kept_as = asked_as(usual, asked_for)
    known = None if anew else selftest.recall(bundle, device.kernels, kept_as)
    if known is not None and _provider(known.path) != _provider(wanted):
        if plan.provider.tried and not any(_is_of(one, known.path) for one in plan.provider.tried):
            selftest.forget(bundle, device.kernels, kept_as)  # the chosen provider is gone
            known = None
        else:  # there is no room for it now, or the caller does not choose
            kept_as = asked_as(usual, short(plan.provider.value))
            known = selftest.recall(bundle, device.kernels, kept_as)
    try:
        if known is None:
            return _tested(bundle, device, plan, tokenizer, reader, callers, None if anew else kept_as)
        on_it = _on_path(plan, known.path)
        if reader is None or known.path != wanted:
            reader = _loaded(bundle, on_it, callers)
        return OpenModel(on_it, reader, known)
    except BundleTokensWrong:  # the provider is not at fault
        raise
    except BundleError as fault:
        if AT not in wanted:
            raise
        if asked_for is not None:
            raise ProviderFailed(asked_for, str(fault)) from fault
        # It was right when it was tried. Until it is tried again, the CPU is asked.
        selftest.forget(bundle, device.kernels, kept_as)
        on_cpu = Provider(CPU, f"{short(plan.provider.value)} has failed: {fault}", bundle.manifest.precision)
        plan = replace(plan, provider=on_cpu, precision=precision_on(on_cpu, device, bundle.manifest.precision))
        return open_model(bundle, device=device, plan=plan, tokenizer=tokenizer, callers=callers, anew=anew)


def _tested(
    bundle: Bundle,
    device: Capabilities,
    plan: Plan,
    tokenizer: Tokenizer | None,
    reader: Reader | None,
    callers: Callers | None,
    kept_as: str | None,
) -> OpenModel:
    """Returns the model, loaded and tested now, on the first path that is right; remembered under `kept_as`."""
    assure_onnxruntime(device.kernels)
    wanted = plan.precision.value
    failed: list[BundleSelfTestFailed] = []
    others = () if AT in wanted else other_paths(wanted, device.machine.value)
    for path in (wanted, *others):
        on_it = _on_path(plan, path)
        reader = reader or _loaded(bundle, on_it, callers)
        try:
            verdict = selftest.run(bundle, tokenizer, reader, path)
        except BundleTokensWrong:  # the kernels are not at fault
            raise
        except BundleSelfTestFailed as fault:
            failed.append(fault)
            reader = None  # its memory is freed before another is loaded
            continue
        if path != wanted:
            verdict = replace(verdict, detail=f"{verdict.detail}, computed as {path}: {wanted} gives wrong ones")
        if kept_as is not None:
            selftest.remember(bundle, device.kernels, kept_as, verdict)
        return OpenModel(on_it, reader, verdict)
    raise failed[0]


def _loaded(bundle: Bundle, plan: Plan, callers: Callers | None) -> Reader:
    """Returns the bundle's reader, on its own graphs, or on those that were made of them, as the plan's path says."""
    graphs = bundle
    if (precision := _made_in(bundle, plan.precision.value)) is not None:
        made = [one for one in graphs_made_of(bundle) if one.manifest.precision == precision]
        if not made:
            raise BundleNotFound(models_home() / made_name(bundle, precision))
        graphs = made[0]
    return open_reader(graphs, SessionOptions.of(plan), callers)


def _made_in(bundle: Bundle, path: str) -> str | None:
    """Returns the precision of graphs that were made of the bundle's, where a path is of such; else None."""
    return of_graphs(path) if AT in path and of_graphs(path) != bundle.manifest.precision else None


def _is_of(tried: Tried, path: str) -> bool:
    """Tells whether a trial was of what this path says."""
    return (tried.name, tried.precision) == (_provider(path), of_graphs(path))


def _provider(path: str) -> str:
    return path.partition(AT)[2]


def _on_path(plan: Plan, path: str) -> Plan:
    """Returns the plan with another precision path."""
    if path == plan.precision.value:
        return plan
    return replace(plan, precision=Choice(path, f"{plan.precision.value} fails the self-test here"))


@dataclass(frozen=True, slots=True)
class ShownModel:
    """A model, and whether it fits this device."""

    bundle: Bundle
    needed_bytes: int
    """Memory that it takes at its peak."""
    missing_bytes: int
    """0 where it fits."""

    def to_json(self) -> dict[str, Any]:
        """Returns the fields of `edgeqa models show --json`."""
        facts = {**self.bundle.to_json(), "needed_bytes": self.needed_bytes, "fits": not self.missing_bytes}
        return {**facts, "missing_bytes": self.missing_bytes} if self.missing_bytes else facts


def show_model(name: str | Path) -> ShownModel:
    """Returns the facts of a model, and whether it fits this device.

    Args:
        name: a model's name, or the directory of one.

    Raises:
        BundleError: if there is no such model, or it is damaged.
    """
    bundle = Bundle.load(find_bundle(name))
    try:
        return ShownModel(bundle, make_plan(probe(providers=False), bundle.needs()).needed_bytes, 0)
    except NotEnoughMemory as refused:
        return ShownModel(bundle, refused.needed_bytes, refused.missing_bytes)


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """The result of reading every byte of a model, and of its self-test on this device."""

    name: str
    passed: bool
    text: str
    """The details of the self-test, or the fault."""
    hint: str = ""
    """The remedy for the fault."""

    def to_json(self) -> dict[str, Any]:
        """Returns the fields of `edgeqa models check --json`."""
        found = {"name": self.name, "passed": self.passed, "text": self.text}
        return found if self.passed else {**found, "hint": self.hint}


def check_models(
    *names: str | Path, threads: int | None = None, budget_bytes: int | None = None
) -> tuple[CheckedModel, ...]:
    """Reads every byte of models, and tests each on this device; what is wrong is in what it returns.

    Args:
        *names: names or directories of models; without any, all models are checked.
        threads: cores to use.
        budget_bytes: memory that may be used.
    """
    overrides = Overrides(threads=threads, budget_bytes=budget_bytes, mmap=state.maps_files())

    def check(name: str | Path) -> CheckedModel:
        try:
            opened = open_model(Bundle.load(find_bundle(name), anew=True), overrides, anew=True)
        except EdgeQAError as fault:
            return CheckedModel(str(name), passed=False, text=str(fault), hint=fault.hint)
        return CheckedModel(str(name), passed=True, text=opened.verdict.detail)

    return tuple(map(check, names or model_names()))

"""The choice of an execution provider of onnxruntime: trials in, the choice with its reason out. Pure.

Every trial is compared with the CPU on the graphs that the model comes with. Another provider, or graphs that were made
for it, must give right answers, compute a part of the graphs itself, and be clearly quicker, the time to load it
included. Of several that are about as quick, the one that takes least memory is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.capabilities import MIB
from edgeqa.capabilities.plan import Provider
from edgeqa.capabilities.precision import CPU, short
from edgeqa.errors import ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeqa.capabilities.footprint import Tried

CLEARLY_PERCENT = 90  # trials of the same differ by less than the rest
ASKED = "you asked for it"


def is_called(name: str, wanted: str) -> bool:
    """Tells whether a provider is the one that is meant: its name, or what people say, in any case of letters."""
    return wanted.lower() in (name.lower(), short(name).lower())


def choose(own: str, tried: Sequence[Tried] = (), wanted: str | None = None) -> Provider:
    """Returns the provider that computes.

    Args:
        own: the precision of the model's own graphs.
        tried: how those that were tried did, the CPU on the model's own graphs first.
        wanted: the one that was asked for.

    Raises:
        ProviderFailed: if that one gives wrong answers, or cannot be used.
    """
    if wanted is not None and is_called(CPU, wanted):
        return Provider(CPU, ASKED, own, tuple(tried), asked_for=wanted)
    usual = next((one for one in tried if one.name == CPU and one.precision == own), None)
    if wanted is not None:
        meant = [one for one in tried if is_called(one.name, wanted)]
        if (best := best_of(meant)) is None:
            said = "; ".join(f"{one.precision}: {one.reason}" for one in meant)
            raise ProviderFailed(wanted, said or "it was not tried")
        return _chosen(best, usual, tried, wanted)
    if usual is None:
        return Provider(CPU, "no other was tried here: edgeqa capabilities does", own, tuple(tried))
    best = best_of(tried)
    is_quicker = not usual.ok or (best is not None and best.cost_ms * 100 < usual.cost_ms * CLEARLY_PERCENT)
    why = _why_cpu(usual, [one for one in tried if one is not usual])
    if best is not None and best is not usual and is_quicker:
        if not usual.ok or not (usual.is_busy or best.is_busy):
            return _chosen(best, usual, tried)
        why = f"others kept the processor busy when it was tried, and edgeqa capabilities tries it again: {why}"
    return Provider(CPU, why, own, tuple(tried))


def best_of(tried: Sequence[Tried]) -> Tried | None:
    """Returns the quickest that is right, and of those that are about as quick, the smallest; None of none."""
    right = [one for one in tried if one.ok]
    least_ms = min((one.cost_ms for one in right), default=0.0)
    about = [one for one in right if one.cost_ms * CLEARLY_PERCENT <= least_ms * 100]
    return min(about, key=lambda one: one.mib, default=None)


def _chosen(best: Tried, usual: Tried | None, tried: Sequence[Tried], wanted: str | None = None) -> Provider:
    facts = f"{'quicker' if wanted is None else ASKED}: {best.ms:.1f} ms for a passage and {best.mib:.0f} MiB"
    more_mib = 0.0
    if usual is not None and usual.ok:
        facts += f", where the CPU takes {usual.ms:.1f} ms and {usual.mib:.0f} MiB"
        more_mib = max(0.0, best.mib - usual.mib)
    facts += f"; it takes {best.nodes_taken} of {best.nodes} nodes"
    return Provider(best.name, facts, best.precision, tuple(tried), int(more_mib * MIB), wanted)


def _why_cpu(usual: Tried, others: Sequence[Tried]) -> str:
    """Returns why it is the CPU: what each other provider came to."""
    if not others:
        return "onnxruntime offers no other"
    said = [f"{usual.ms:.1f} ms for a passage and {usual.mib:.0f} MiB" if usual.ok else usual.reason]
    for name in dict.fromkeys(one.name for one in others):
        graphs = [one for one in others if one.name == name]
        if (best := best_of(graphs)) is None:
            said.append(f"{short(name)}: {'; '.join(f'in {one.precision}, {one.reason}' for one in graphs)}")
            continue
        loaded = f", {best.load_ms:.0f} ms to load instead of {usual.load_ms:.0f}" if best.ms < usual.ms else ""
        said.append(f"{short(name)}: {best.ms:.1f} ms and {best.mib:.0f} MiB in {best.precision}{loaded}")
    return "; ".join(said)

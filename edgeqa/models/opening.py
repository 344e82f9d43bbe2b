"""The one place that opens a model: a bundle in; probed, planned, loaded and tested, in this order, out.

Nothing large is imported or loaded before the plan has shown that it fits. A bundle is tested before its first answer
on a device (`selftest` remembers that). An export is no bundle yet: `importing` tries it out, and then tests it alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.models import selftest
from edgeqa.models.readers import open_reader
from edgeqa.models.session import SessionOptions

if TYPE_CHECKING:
    from edgeqa.capabilities.plan import Plan
    from edgeqa.capabilities.readings import Capabilities
    from edgeqa.capabilities.settings import Overrides
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.callers import Callers
    from edgeqa.models.readers import Reader
    from edgeqa.models.selftest import Verdict
    from edgeqa.models.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A bundle's graphs in memory, on a plan."""

    plan: Plan
    reader: Reader
    verdict: Verdict
    """How its self-test went, now or before."""


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
        NotEnoughMemory: if it does not fit.
        BundleError: if it cannot be loaded, or fails its self-test.
    """
    device = device or probe(providers=False)
    plan = plan or make_plan(device, bundle.needs(), overrides)
    reader = reader or open_reader(bundle, SessionOptions.of(plan), callers)
    if anew:
        return OpenModel(plan, reader, selftest.run(bundle, tokenizer, reader))
    return OpenModel(plan, reader, selftest.assure(bundle, device.int8_flags, plan.precision.value, tokenizer, reader))

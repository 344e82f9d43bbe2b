"""Checks a model that is there: a name in, the verdict of its self-test, run now, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.capabilities.plan import make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.models import selftest
from edgeqa.models.bundle import Bundle, chosen
from edgeqa.models.readers import open_reader, session_options
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from edgeqa.capabilities.settings import Overrides
    from edgeqa.models.selftest import Verdict


def check(name: str, overrides: Overrides | None = None) -> Verdict:
    """Returns how the model's golden cases come out on this device, after every byte of it was read.

    Raises:
        BundleError: if a byte is wrong, or a golden case.
        NotEnoughMemory: if it does not fit this device.
    """
    bundle = Bundle.load(chosen(name), anew=True)
    plan = make_plan(probe(providers=False), bundle.needs(), overrides)
    reader = open_reader(bundle, session_options(plan))
    return selftest.run(bundle, Tokenizer(bundle.file("tokenizer.json")), reader)

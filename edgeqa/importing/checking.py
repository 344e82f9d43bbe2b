"""Checks a model that is there: a name in, the verdict of its self-test, run now, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.models.bundle import Bundle, chosen
from edgeqa.models.opening import open_model

if TYPE_CHECKING:
    from edgeqa.capabilities.settings import Overrides
    from edgeqa.models.selftest import Verdict


def check(name: str, overrides: Overrides | None = None) -> Verdict:
    """Returns how the model's golden cases come out on this device, after every byte of it was read.

    Raises:
        BundleError: if a byte is wrong, or a golden case.
        NotEnoughMemory: if it does not fit this device.
    """
    return open_model(Bundle.load(chosen(name), anew=True), overrides, anew=True).verdict

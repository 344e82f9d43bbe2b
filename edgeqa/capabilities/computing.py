"""How this device computes, as far as answers depend on it: the precision path, and onnxruntime's version. No probe.

Both are part of every key, so that each start waits for them: nothing is imported that a remembered answer could do
without, and onnxruntime least of all.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from edgeqa.capabilities.precision import flags_in, precision


def precision_path(of_bundle: str) -> str:
    """Returns what the plan's precision will be for a bundle of this precision."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            flags = flags_in(file.read())
        return precision(of_bundle, os.uname().machine, flags)[0]
    except (OSError, AttributeError):  # no Linux, or one that hides its processor
        from edgeqa.capabilities.device import Device
        from edgeqa.capabilities.processor import cpu_flags

        device = Device()
        try:
            flags = cpu_flags(device, device.system()).value
        except OSError:
            flags = None
        return precision(of_bundle, device.machine() or None, flags)[0]


@cache
def onnxruntime_version() -> str | None:
    """Returns the version of the module onnxruntime, whichever distribution it is of, without importing it.

    None if there is no such module. Vendors of boards and accelerators have distributions of their own names.
    """
    for entry in sys.path:
        try:  # importlib.metadata would take as long as all else that a remembered answer needs
            text = Path(entry, "onnxruntime", "__init__.py").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        _, _, after = text.partition('\n__version__ = "')
        if after:
            return after.partition('"')[0]
        break
    from importlib.metadata import packages_distributions, version

    names = packages_distributions().get("onnxruntime")
    return version(names[0]) if names else None

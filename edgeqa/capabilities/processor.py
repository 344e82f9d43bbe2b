"""What the processor can do for int8: a `Source` in, readings of its flags and of the board's name out.

Unknown stays unknown (None), and is then taken for the worst; an empty tuple means that none of the flags is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.capabilities.precision import FLAGS, flags_in
from edgeqa.capabilities.readings import Reading

if TYPE_CHECKING:
    from edgeqa.capabilities.source import Source

_CPUINFO = "/proc/cpuinfo"
# macOS: the line of `sysctl` that holds a flag, and the word in it (its own line if it is "1").
_DARWIN = {
    "avx2": ("hw.optional.avx2_0", "1"),
    "avx512f": ("hw.optional.avx512f", "1"),
    "avx512_vnni": ("machdep.cpu.leaf7_features", "AVX512VNNI"),
    "asimddp": ("hw.optional.arm.FEAT_DotProd", "1"),
    "i8mm": ("hw.optional.arm.FEAT_I8MM", "1"),
}


def cpu_flags(source: Source, system: str | None) -> Reading[tuple[str, ...]]:
    """Returns the reading of those of `FLAGS` that every processor has."""
    if system == "Darwin":
        lines = _pairs(source.sysctl())
        found = {flag for flag, (name, word) in _DARWIN.items() if word in dict(lines).get(name, "").split()}
        return Reading(tuple(flag for flag in FLAGS if flag in found), "sysctl")
    flags = flags_in(source.read(_CPUINFO))
    return Reading(flags, _CPUINFO if flags is not None else f"{_CPUINFO} lists no flags")


def board(source: Source, system: str | None) -> Reading[str]:
    """Returns the reading of what the device calls itself."""
    if system == "Darwin":
        return Reading(dict(_pairs(source.sysctl()))["machdep.cpu.brand_string"], "sysctl")
    tree = "/proc/device-tree/model"
    try:
        return Reading(source.read(tree).strip("\0\n "), tree)
    except OSError:
        named = dict(_pairs(source.read(_CPUINFO)))
        for key in ("model name", "Model", "Hardware"):
            if named.get(key):
                return Reading(named[key], _CPUINFO)
    return Reading(None, f"{_CPUINFO} names none")


def _pairs(text: str) -> list[tuple[str, str]]:
    split = (line.partition(":") for line in text.splitlines())
    return [(name.strip(), value.strip()) for name, _, value in split]

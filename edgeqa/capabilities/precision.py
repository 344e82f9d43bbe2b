"""Which kernels int8 products take on a processor: its architecture and flags in, the precision path out. Pure.

The path is part of what an answer is remembered under, so that it is asked for at every start, before there is a plan:
this module imports nothing that a remembered answer could do without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
X86 = frozenset({"x86_64", "amd64", "i386", "i486", "i586", "i686"})


def flags_in(cpuinfo: str) -> tuple[str, ...] | None:
    """Returns those of `FLAGS` that every processor of Linux's /proc/cpuinfo has; None if it lists no flags."""
    common: set[str] | None = None
    for line in set(cpuinfo.splitlines()):  # processors are alike, mostly
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            common = set(value.split()) if common is None else common & set(value.split())
    return None if common is None else tuple(flag for flag in FLAGS if flag in common)


def is_x86(machine: str | None) -> bool:
    """Returns whether the processor is, or for all we know may be, an x86."""
    return machine is None or machine.lower() in X86


def precision(of_bundle: str, machine: str | None, flags: Collection[str] | None) -> tuple[str, str]:
    """Returns the precision path and the reason for it.

    The path is "int8", "int8-u8u8" (int8 with exact products on x86 without VNNI), or what else the bundle has.

    Args:
        of_bundle: the precision of the bundle.
        machine: the architecture; None if it is unknown.
        flags: what the processor has; None if it is unknown.
    """
    if of_bundle != "int8":
        return of_bundle, "the bundle's"
    if not is_x86(machine):
        return "int8", "exact on this architecture"
    if flags is None:
        return "int8-u8u8", "flags unknown: without VNNI, plain int8 products would overflow"
    if vnni := [flag for flag in flags if flag.endswith("vnni")]:
        return "int8", f"exact with {vnni[0]}"
    return "int8-u8u8", "x86 without VNNI: plain int8 products would overflow"

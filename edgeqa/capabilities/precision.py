"""Which kernels int8 products take on a processor: its architecture and flags in, the precision path out. Pure.

The path is part of what an answer is remembered under, so that it has to be known before there is a plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.capabilities.choice import Choice

if TYPE_CHECKING:
    from collections.abc import Collection

X86 = frozenset({"x86_64", "amd64", "i386", "i486", "i586", "i686"})


def is_x86(machine: str | None) -> bool:
    """Returns whether the processor is, or for all we know may be, an x86."""
    return machine is None or machine.lower() in X86


def precision(of_bundle: str, machine: str | None, flags: Collection[str] | None) -> Choice[str]:
    """Returns "int8", "int8-u8u8" (int8 with exact products on x86 without VNNI), or what else the bundle has.

    Args:
        of_bundle: the precision of the bundle.
        machine: the architecture; None if it is unknown.
        flags: what the processor has; None if it is unknown.
    """
    if of_bundle != "int8":
        return Choice(of_bundle, "the bundle's")
    if not is_x86(machine):
        return Choice("int8", "exact on this architecture")
    if flags is None:
        return Choice("int8-u8u8", "flags unknown: without VNNI, plain int8 products would overflow")
    if vnni := [flag for flag in flags if flag.endswith("vnni")]:
        return Choice("int8", f"exact with {vnni[0]}")
    return Choice("int8-u8u8", "x86 without VNNI: plain int8 products would overflow")

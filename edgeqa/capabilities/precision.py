"""The precision path of a processor: its architecture and flags in, the kernels of its products out. Pure.

Every start asks for the path and the processor's digest before there is a plan, because the key of an answer holds
both. This module therefore imports nothing that a remembered answer does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.digests import blake2b

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
X86 = frozenset({"x86_64", "amd64", "i386", "i486", "i586", "i686"})
EXACT_X86 = "int8-u8u8"
CPU, _PROVIDER = "CPUExecutionProvider", "ExecutionProvider"
AT = "@"  # between precision and execution provider in a path, where that is not the CPU with the model's own graphs
WITHOUT_KLEIDIAI = "-no-kleidiai"
# What /proc/cpuinfo says of a processor's make and abilities, on any architecture.
_MAKE = {"vendor_id", "cpu family", "model", "stepping", "flags", "Features"}
_MAKE |= {f"CPU {part}" for part in ("implementer", "architecture", "variant", "part", "revision")}


def flags_in(cpuinfo: str) -> tuple[str, ...] | None:
    """Returns those of `FLAGS` that every processor of Linux's /proc/cpuinfo has; None if it lists no flags."""
    common: set[str] | None = None
    for line in set(cpuinfo.splitlines()):  # processors are alike, mostly
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            common = set(value.split()) if common is None else common & set(value.split())
    return None if common is None else tuple(flag for flag in FLAGS if flag in common)


def digest_in(cpuinfo: str) -> str | None:
    """Returns the digest of all that Linux's /proc/cpuinfo says of make and flags; None if it says nothing of them."""
    lines = {line.partition(":") for line in set(cpuinfo.splitlines())}
    return make_digest((name.strip(), value.strip()) for name, _, value in lines if name.strip() in _MAKE)


def make_digest(facts: Iterable[tuple[str, str]]) -> str | None:
    """Returns the digest of what is said of a processor's make, names and values in any order; None without any."""
    found = sorted(set(facts))
    return blake2b(repr(found).encode(), digest_size=16).hexdigest() if found else None


def is_x86(machine: str | None) -> bool:
    """Returns whether the processor is, or for all we know may be, an x86."""
    return machine is None or machine.lower() in X86


def precision(of_bundle: str, machine: str | None, flags: Collection[str] | None) -> tuple[str, str]:
    """Returns the precision path and the reason for it.

    The path is "int8", "int8-u8u8" (int8 with exact products on x86 without VNNI), or what else the bundle has. A path
    that fails the self-test has others (`other_paths`).

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
        return EXACT_X86, "flags unknown: without VNNI, plain int8 products would overflow"
    if vnni := [flag for flag in flags if flag.endswith("vnni")]:
        return "int8", f"exact with {vnni[0]}"
    return EXACT_X86, "x86 without VNNI: plain int8 products would overflow"


def asked_as(path: str, provider: str | None) -> str:
    """Returns the name that a self-test is remembered under: the CPU's path, and the provider if one was asked for."""
    return path if provider is None else f"{path} with {provider.lower().removesuffix(_PROVIDER.lower())}"


def short(provider: str) -> str:
    """Returns an execution provider's name as people say it."""
    return provider.removesuffix(_PROVIDER)


def of_graphs(path: str) -> str:
    """Returns the precision of the graphs that are computed on a path."""
    return path.partition(AT)[0].partition("-")[0]


def other_paths(path: str, machine: str | None) -> tuple[str, ...]:
    """Returns the paths that may be right where this one gives wrong numbers, the fastest first.

    On x86, products of bytes that cannot overflow; elsewhere, onnxruntime's own kernels without those of KleidiAI,
    which were seen to be wrong on processors with SME (by emulation).
    """
    if is_x86(machine):
        return (EXACT_X86,) if path == "int8" else ()
    return (path + WITHOUT_KLEIDIAI,)

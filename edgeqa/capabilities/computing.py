"""Computing: the facts of this device on which answers depend: precision path, processor, onnxruntime's version.

The key of an answer holds these facts, so each start waits for them. This module therefore imports nothing that a
remembered answer does not need, and never onnxruntime. `unsupported` names the platforms that cannot compute at all; it
needs nothing but Python, because it is asked before anything is installed.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from edgeqa import state
from edgeqa.capabilities.precision import asked_as, digest_in, flags_in, precision

SELF_TESTS = "self-tests"
"""The name that verdicts of self-tests are remembered under (`models.selftest` says what one is)."""


MACHINES = {"x86_64", "amd64", "aarch64", "arm64"}
OLDEST_GLIBC = (2, 28)
OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 14)


class Computing(NamedTuple):
    """The way in which this device computes with a bundle."""

    precision: str
    """The precision that the plan will have on the CPU, and the provider, if one was asked for."""
    kernels: str | None
    """The processor as `Capabilities.kernels` has it; None of one that hides."""


class Tested(NamedTuple):
    """The part of a self-test's result that the key of an answer holds."""

    fingerprint: str
    """Digest of the logits that the golden cases have on this device (`Verdict.fingerprint`)."""
    path: str
    """The precision path that they were computed on."""


def computing(of_bundle: str, provider: str | None = None) -> Computing:
    """Returns the way this device computes with a bundle of a precision, by the provider asked for, if any."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            cpuinfo = file.read()
        machine, flags, digest = os.uname().machine, flags_in(cpuinfo), digest_in(cpuinfo)
    except (OSError, AttributeError):  # no Linux, or one that hides its processor
        from edgeqa.capabilities.device import Device
        from edgeqa.capabilities.hardware import cpu_flags, processor_digest

        device, flags, digest = Device(), None, None
        machine = device.machine()
        try:
            flags = cpu_flags(device, device.system()).value
            digest = processor_digest(device, device.system()).value
        except OSError:
            pass
    path = precision(of_bundle, machine or None, flags)[0]
    path = asked_as(path, provider)
    return Computing(path, None if digest is None else f"{machine or 'unknown'}: {digest}")


def remembered_test(bundle_digest: str, how: Computing) -> Tested | None:
    """Returns the result of the bundle's self-test under the same conditions; None if it was not run."""
    if how.kernels is None:
        return None
    match state.recall(SELF_TESTS, self_test_key(bundle_digest, how.kernels, how.precision)):
        case {"fingerprint": str(found), "path": str(path)} if found:
            return Tested(found, path)
    return None


def self_test_key(bundle_digest: str, kernels: str, path: str) -> str:
    """Returns the conditions that the verdict of a self-test holds for."""
    return f"{bundle_digest}|{kernels}|{path}|{onnxruntime_build()}"


class Platform(NamedTuple):
    """A platform that wheels are made for."""

    system: str
    """As `sys.platform` has it."""
    machine: str
    """The machine's name, as the kernel has it."""
    bits: int
    """The number of bits of this Python."""
    libc: str
    """As "glibc 2.36"; "" for any other."""
    python: tuple[int, int]


def this_platform() -> Platform:
    """Returns the platform that wheels have to be made for to be installed here."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):  # macOS, musl, Android
        libc = ""
    on_android = "ANDROID_ROOT" in os.environ  # Python before 3.13 takes it for Linux
    bits = sys.maxsize.bit_length() + 1
    return Platform("android" if on_android else sys.platform, os.uname().machine, bits, libc, sys.version_info[:2])


def unsupported(on: Platform) -> str:
    """Returns in one sentence why onnxruntime, which computes answers, has no wheel for this; "" if it has one."""
    if not OLDEST_PYTHON <= on.python <= NEWEST_PYTHON:
        oldest, newest = (".".join(map(str, version)) for version in (OLDEST_PYTHON, NEWEST_PYTHON))
        return f"edgeqa needs Python {oldest} to {newest}, and this is {'.'.join(map(str, on.python))}"
    if on.system == "android":
        return "there is no onnxruntime by pip for Android: in Termux, `pkg install python-onnxruntime` brings it"
    if on.bits == 32:
        return "there is no onnxruntime for 32 bits: install a 64-bit system, which the same board may well run"
    if on.machine.lower() not in MACHINES:
        return f"there is no onnxruntime by pip for {on.machine}: edgeqa runs on x86-64 and aarch64"
    if on.system == "linux" and not on.libc.startswith("glibc"):
        return "there is no onnxruntime by pip for musl (Alpine): use a system with glibc, such as Debian"
    if on.system == "linux" and _numbers(on.libc) < OLDEST_GLIBC:
        return f"onnxruntime needs glibc {'.'.join(map(str, OLDEST_GLIBC))} or newer, and this system has {on.libc[6:]}"
    return ""


def _numbers(libc: str) -> tuple[int, ...]:
    return tuple(int(part) for part in libc[6:].split(".") if part.isdigit())


def onnxruntime_build() -> str:
    """Returns the distribution of onnxruntime with its version: "onnxruntime-openvino 1.24.1".

    Those of one version offer other providers, and were built in other ways, so that nothing seen with one holds for
    another. Without importing it.
    """
    return f"{_distribution()} {onnxruntime_version()}"


@cache
def _distribution() -> str:
    for entry in sys.path:
        module = Path(entry, "onnxruntime")
        # A folder of that name alone is no module. pathlib's raises where it may not look.
        if os.path.isfile(module / "__init__.py"):  # noqa: PTH113
            try:
                text = (module / "capi" / "build_and_package_info.py").read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                break
            return text.partition("package_name = '")[2].partition("'")[0] or "onnxruntime"
    return "onnxruntime"


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

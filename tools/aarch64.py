"""Runs the suite's core on aarch64, emulated by qemu from Debian's packages: `make test-aarch64`.

In: the checkout, and a processor that qemu knows. Out: what passed, failed and was skipped, and how the answers compare
with this machine's, in `benchmarks/results/aarch64.json`. It makes a root directory of Debian for arm64 with Python and
the wheels of edgeqa's dependencies once, in `build/aarch64`; that takes root's rights, `qemu-user-static` and
`debootstrap`, and the network. Emulated, everything takes 10 to 30 times as long; times are not measured.

qemu shows the host's /proc/cpuinfo: one of the emulated processor is put over it, as verdicts of self-tests depend on
it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import requires, version
from pathlib import Path
from statistics import fmean
from xml.etree import ElementTree

from edgeqa.models.metrics import score_v1

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "aarch64"
RESULTS = ROOT / "benchmarks" / "results" / "aarch64.json"
SUITE = ("Debian", "bookworm", "3.11")
PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in (17, 26, 27, 28)] + ["manylinux2014_aarch64"]
TEST_LIBRARIES = ("hypothesis", "onnx", "pypdfium2", "pytest", "safetensors")
CORE = ("tests/models", "tests/capabilities", "tests/cache", "tests/collection", "tests/test_readme.py")
# Of each processor: what Linux says of it on a board.
CPUINFO = {
    "cortex-a53": ("fp asimd evtstrm crc32 cpuid", "0xd03", "4"),
    "cortex-a72": ("fp asimd evtstrm crc32 cpuid", "0xd08", "3"),
    "cortex-a76": (
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        "0xd0b",
        "1",
    ),
}
# What fails by the emulator alone: it keeps no limit on address space, and has no control groups of its own.
BY_EMULATOR = ("address_space", "control_group", "rlimit", "real_limits")
ANSWERS = """
import json, sys
from pathlib import Path
import edgeqa
from edgeqa.evaluation.squad import read_squad
with edgeqa.open(threads=1) as qa:
    verdict = qa.self_test()
    asked = [(q, qa.ask(q.question, q.context, force=True)) for q in read_squad(Path(sys.argv[1])).questions]
    imported = None
    if len(sys.argv) > 2:
        edgeqa.import_collection(Path(sys.argv[2]), name="carried")
        imported = qa.with_collection("carried").ask("To what depth may the pump be submerged?").text
print(json.dumps({
    "fingerprint": verdict.fingerprint, "largest_error": verdict.largest_error, "imported": imported,
    "answers": [a.text for _, a in asked], "slices": all(a.context[a.start:a.end] == a.text for _, a in asked),
    "gold": [list(q.answers) for q, _ in asked],
}))
"""


def main() -> None:
    """Runs it; ends with 1 where a test failed that the emulator is not to blame for, or an answer is no slice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cpu", choices=CPUINFO)
    parser.add_argument("tests", nargs="*", default=CORE, help=f"what of the suite; by default {' '.join(CORE)}")
    parser.add_argument("--timeout", type=int, default=2400, help="seconds for the tests")
    parser.add_argument("--answers-only", action="store_true", help="run no tests, only compare answers")
    options = parser.parse_args()
    root = _root_directory()
    _install(root)
    _mount(root, options.cpu)
    print(f"answers on {options.cpu} ...", flush=True)
    found = _compared(root, options.cpu)
    print(json.dumps(found), flush=True)
    found["tests"] = "not run"
    _keep(options.cpu, found)
    if not options.answers_only:
        found["tests"] = tested = _tested(root, options.cpu, options.tests, options.timeout)
        _keep(options.cpu, found)
        sys.exit(bool(tested["failed"]) or not found["slices"])
    sys.exit(not found["slices"])


def _keep(cpu: str, found: dict[str, object]) -> None:
    """Writes what was found on a processor beside what was found on others."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    versions = {name: version(name) for name in ("edgeqa", "onnxruntime", "tokenizers", "numpy")}
    known[cpu] = {"commit": commit.stdout.strip(), "qemu": _qemu_version(), "versions": versions, **found}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _root_directory() -> Path:
    """Returns Debian's root directory for arm64, made if there is none."""
    root = BUILD / "root"
    if (root / "usr" / "bin" / "python3").exists():
        return root
    _, release, _ = SUITE
    root.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", "--include=python3", release, str(root)]
    subprocess.run(command, check=True)
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):  # unpacking is all that is needed
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    return root


def _install(root: Path) -> None:
    """Puts the wheels of this checkout and of what it needs into the root directory."""
    wheels, library = BUILD / "wheels", root / "opt" / "lib"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    if not wheels.exists():
        for_arm = [f"--platform={platform}" for platform in PLATFORMS]
        needed = [one for one in requires("edgeqa") or () if "extra" not in one]
        command = [*pip, "download", "--dest", str(wheels), *for_arm, "--python-version", SUITE[2]]
        subprocess.run([*command, "--only-binary=:all:", *needed, *TEST_LIBRARIES], check=True)
    own = BUILD / "own"
    for stale in (own, library, root / "work"):
        shutil.rmtree(stale, ignore_errors=True)
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(own), str(ROOT)], check=True)
    for wheel in [*wheels.glob("*.whl"), *own.glob("*.whl")]:
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(library)
    for name in ("tests", "tools", "examples", "pyproject.toml", "README.md"):
        source, place = ROOT / name, root / "work" / name
        place.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place)


def _mount(root: Path, cpu: str) -> None:
    """Mounts what a system has, and puts the processor's description in its place."""
    for kind, name in (("proc", "proc"), ("sysfs", "sys"), ("devtmpfs", "dev")):
        place = root / name
        if not place.is_mount():
            subprocess.run(["mount", "-t", kind, kind, str(place)], check=True)
    features, part, revision = CPUINFO[cpu]
    said = {"processor": "0", "Features": features, "CPU implementer": "0x41", "CPU architecture": "8"}
    said |= {"CPU variant": "0x0", "CPU part": part, "CPU revision": revision}
    file = BUILD / f"cpuinfo-{cpu}"
    file.write_text("".join(f"{name}\t: {value}\n" for name, value in said.items()), encoding="utf-8")
    subprocess.run(["umount", "-q", str(root / "proc/cpuinfo")], check=False)
    subprocess.run(["mount", "--bind", str(file), str(root / "proc/cpuinfo")], check=True)


def _emulated(root: Path, cpu: str, *arguments: str, timeout_s: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the emulated Python; qemu is found by the kernel (binfmt_misc), for all that it starts, too."""
    environment = {"QEMU_CPU": cpu, "PYTHONPATH": "/opt/lib", "HOME": "/tmp", "PATH": "/usr/bin:/bin"}  # noqa: S108
    command = ["/usr/sbin/chroot", str(root), "/usr/bin/env", "-C", "/work", "/usr/bin/python3", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=timeout_s)


def _compared(root: Path, cpu: str) -> dict[str, object]:
    """Returns how the answers of the emulated processor compare with those of this one."""
    file, home = "tests/data/squad-v1.1.json", BUILD / "home"
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(root / "tmp" / ".cache", ignore_errors=True)
    shutil.rmtree(root / "tmp" / ".local", ignore_errors=True)
    here = {**os.environ, "EDGEQA_HOME": str(home)}
    exported = root / "work" / "carried.zip"
    for command in (["add", "examples"], ["collections", "export", "default", str(exported)]):
        subprocess.run([sys.executable, "-m", "edgeqa", *command], env=here, cwd=ROOT, check=True, capture_output=True)
    own = subprocess.run(
        [sys.executable, "-c", ANSWERS, file], env=here, cwd=ROOT, capture_output=True, text=True, check=True
    )
    there = _emulated(root, cpu, "-c", ANSWERS, file, "carried.zip")
    if there.returncode:
        sys.exit(there.stderr)
    ours, theirs = (json.loads(done.stdout.splitlines()[-1]) for done in (own, there))
    f1 = {
        name: round(100 * fmean(score_v1(*pair).f1 for pair in zip(said["answers"], ours["gold"], strict=True)), 2)
        for name, said in (("f1_here", ours), ("f1", theirs))
    }
    equal = sum(one == other for one, other in zip(ours["answers"], theirs["answers"], strict=True))
    kept = {name: theirs[name] for name in ("fingerprint", "largest_error", "slices", "imported")}
    same = {"questions": len(ours["answers"]), "equal_answers": equal, "fingerprint_here": ours["fingerprint"]}
    return {**kept, **same, **f1}


def _tested(root: Path, cpu: str, tests: list[str], timeout_s: int) -> dict[str, object]:
    """Returns which tests passed, failed and were skipped."""
    report = root / "work" / "report.xml"
    left_out = [f"not {name}" for name in BY_EMULATOR]
    arguments = ["-m", "pytest", "-q", "-k", " and ".join(left_out), "--junitxml=report.xml", *tests]
    done = _emulated(root, cpu, *arguments, timeout_s=timeout_s)
    print(done.stdout[-3000:])
    failed, skipped, passed = [], {}, 0
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - of our own making
        name = f"{case.get('classname')}::{case.get('name')}"
        reason = case.find("skipped")
        if reason is not None:
            skipped[name] = reason.get("message")
        elif case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        else:
            passed += 1
    left = f"names with {', '.join(BY_EMULATOR)}: by the emulator"
    return {"of": list(tests), "passed": passed, "failed": failed, "skipped": skipped, "left_out": left}


def _qemu_version() -> str:
    said = subprocess.run(["qemu-aarch64-static", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


if __name__ == "__main__":
    main()

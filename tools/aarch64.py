"""Runs the suite's core on aarch64, emulated by qemu from Debian's packages: `make test-aarch64`.

In: the checkout, and a processor that qemu knows. Out: what passed, failed and was skipped, and how the answers compare
with this machine's, in `benchmarks/results/aarch64.json`. It makes a root directory of Debian for arm64 with Python and
the wheels of edgeqa's dependencies once, in `build/aarch64`; that takes root's rights, `qemu-user-static` and
`debootstrap`, and the network. Emulated, everything takes 10 to 30 times as long; times are not measured.

Each part of the core has an equal share of the time, and what it leaves goes to the next one. pytest writes what became
of a test when it ends, so that nothing is lost where the time is up: the files that were not reached are named.

qemu shows the host's /proc/cpuinfo: one of the emulated processor is put over it, as verdicts of self-tests depend on
it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import ExitStack, contextmanager
from importlib.metadata import requires, version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.models.metrics import score_v1

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "aarch64"
RESULTS = ROOT / "benchmarks" / "results" / "aarch64.json"
QUESTIONS = ROOT / "tests" / "data" / "squad-v1.1.json"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
PROGRAMS = ("python3", "make")  # the documentation's tests ask make whether a target is there
SUITE = ("Debian", "bookworm", "3.11")
PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in (17, 26, 27, 28)] + ["manylinux2014_aarch64"]
TEST_LIBRARIES = ("hypothesis", "onnx", "pypdfium2", "pytest", "pytest-reportlog", "pytest-timeout", "safetensors")
CORE = (
    "tests/test_documentation.py::test_a_page_is_typed_from_top_to_bottom[README.md]",
    "tests/capabilities",
    "tests/models",
    "tests/cache",
    "tests/collection",
)
TEST_LIMIT_S = 600  # for one test: one that hangs is not to take the time of all others
# The package is the wheel's, and a model of 112 MB is asked by no test of these.
NOT_COPIED = ("edgeqa/", "models/")
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
with edgeqa.open(threads=1, reader="fast") as qa:  # a careful one may be here, and is not there
    verdict = qa.self_test()
    questions = read_squad(Path(sys.argv[1])).questions[: int(sys.argv[2])]
    asked = [(q, qa.ask(q.question, q.context, force=True)) for q in questions]
    imported = None
    if len(sys.argv) > 3:
        edgeqa.import_collection(Path(sys.argv[3]), name="carried")
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
    parser.add_argument("--questions", type=Path, default=QUESTIONS, help="a file in SQuAD's format that is asked")
    parser.add_argument("--most", type=int, default=200, help="how many of its questions")
    options = parser.parse_args()
    _assure_emulator()
    root = _root_directory()
    _install(root)
    with _mounted(root, options.cpu):
        print(f"answers on {options.cpu} ...", flush=True)
        found = _compared(root, options.cpu, options.questions, options.most)
        print(json.dumps(found), flush=True)
        found["tests"] = "not run"
        _keep(options.cpu, found)
        failed = not found["slices"]
        if not options.answers_only:
            found["tests"] = tested = _tested(root, options.cpu, options.tests, options.timeout)
            _keep(options.cpu, found)
            print(json.dumps({**tested, "skipped": len(tested["skipped"])}, indent=1))
            failed |= bool(tested["failed"])
    sys.exit(failed)


def _keep(cpu: str, found: dict[str, Any]) -> None:
    """Writes what was found on a processor beside what was found on others."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    versions = {name: version(name) for name in ("edgeqa", "onnxruntime", "tokenizers", "numpy")}
    about = {"commit": commit.stdout.strip(), "qemu": _qemu_version(), "model": model()}
    known[cpu] = {**about, "versions": versions, **found}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def model() -> str:
    """Returns the name and version of the bundled model, which answers on every processor."""
    manifest = Bundle.load(DEFAULT_BUNDLE).manifest
    return f"{manifest.name} {manifest.version}"


def _assure_emulator() -> None:
    """Has the kernel start programs for aarch64 by qemu, as its package describes, where it does not yet."""
    if (BINFMT / "qemu-aarch64").exists():
        return
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)], check=True)
    described = Path("/usr/lib/binfmt.d/qemu-aarch64.conf").read_text(encoding="utf-8").strip()
    (BINFMT / "register").write_text(described, encoding="utf-8")


def _root_directory() -> Path:
    """Returns Debian's root directory for arm64, made if there is none."""
    root = BUILD / "root"
    if all((root / "usr" / "bin" / name).exists() for name in PROGRAMS):
        return root
    _, release, _ = SUITE
    root.mkdir(parents=True, exist_ok=True)
    included = f"--include={','.join(PROGRAMS)}"
    command = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", included, release, str(root)]
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
    program = root / "usr" / "bin" / "edgeqa"
    program.write_text("#!/usr/bin/python3\nfrom edgeqa.__main__ import main\n\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    for name in copied():
        place = root / "work" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place)


def copied() -> list[str]:
    """Returns the files of the checkout that are copied: whatever git knows, so that no list is to be kept."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.split("\0")
    return [name for name in names if (ROOT / name).is_file() and not name.startswith(NOT_COPIED)]


@contextmanager
def _mounted(root: Path, cpu: str) -> Iterator[None]:
    """Mounts what a system has, with the processor's description in its place, until it is left.

    What stays mounted would be removed with `build/`: the devices are this machine's own.
    """
    features, part, revision = CPUINFO[cpu]
    said = {"processor": "0", "Features": features, "CPU implementer": "0x41", "CPU architecture": "8"}
    said |= {"CPU variant": "0x0", "CPU part": part, "CPU revision": revision}
    file = BUILD / f"cpuinfo-{cpu}"
    file.write_text("".join(f"{name}\t: {value}\n" for name, value in said.items()), encoding="utf-8")
    mounts = [
        ["-t", kind, kind, str(root / name)] for kind, name in (("proc", "proc"), ("sysfs", "sys"), ("devtmpfs", "dev"))
    ]
    with ExitStack() as mounted:
        for what in [*mounts, ["--bind", str(file), str(root / "proc" / "cpuinfo")]]:
            subprocess.run(["mount", *what], check=True)
            mounted.callback(subprocess.run, ["umount", "--lazy", what[-1]], check=True)
        yield


def _emulated(root: Path, cpu: str, *arguments: str) -> subprocess.Popen[str]:
    """Starts the emulated Python; qemu is found by the kernel (binfmt_misc), for all that it starts, too."""
    environment = {"QEMU_CPU": cpu, "PYTHONPATH": "/opt/lib", "HOME": "/tmp", "PATH": "/usr/bin:/bin"}  # noqa: S108
    command = ["/usr/sbin/chroot", str(root), "/usr/bin/env", "-C", "/work", "/usr/bin/python3", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def _compared(root: Path, cpu: str, questions: Path, most: int) -> dict[str, Any]:
    """Returns how the answers of the emulated processor compare with those of this one."""
    home = BUILD / "home"
    shutil.copy(questions, root / "work" / "questions.json")
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(root / "tmp" / ".cache", ignore_errors=True)
    shutil.rmtree(root / "tmp" / ".local", ignore_errors=True)
    here = {**os.environ, "EDGEQA_HOME": str(home)}
    exported = root / "work" / "carried.zip"
    for command in (["add", "examples"], ["collections", "export", "default", str(exported)]):
        subprocess.run([sys.executable, "-m", "edgeqa", *command], env=here, cwd=ROOT, check=True, capture_output=True)
    command = [sys.executable, "-c", ANSWERS, str(questions), str(most)]
    own = subprocess.run(command, env=here, cwd=ROOT, capture_output=True, text=True, check=True)
    there = _emulated(root, cpu, "-c", ANSWERS, "questions.json", str(most), "carried.zip")
    printed, complained = there.communicate()
    if there.returncode:
        sys.exit(complained)
    ours, theirs = (json.loads(said.splitlines()[-1]) for said in (own.stdout, printed))
    f1 = {
        name: round(100 * fmean(score_v1(*pair).f1 for pair in zip(said["answers"], ours["gold"], strict=True)), 2)
        for name, said in (("f1_here", ours), ("f1", theirs))
    }
    equal = sum(one == other for one, other in zip(ours["answers"], theirs["answers"], strict=True))
    kept = {name: theirs[name] for name in ("fingerprint", "largest_error", "slices", "imported")}
    same = {
        "of": questions.name,
        "questions": len(ours["answers"]),
        "equal_answers": equal,
        "fingerprint_here": ours["fingerprint"],
    }
    return {**kept, **same, **f1}


class Counts(NamedTuple):
    """What became of the tests of a part of the suite."""

    passed: int
    failed: list[str]
    skipped: dict[str, str]
    """The tests that were skipped, each with its reason."""
    files: list[str]
    """The files that have tests, in the order in which they are run."""
    begun: list[str]
    """The files of which at least one test ended."""


def counted(report: Iterable[str]) -> Counts:
    """Returns what pytest had reported, line by line, until it ended or was ended: the last line may be cut short."""
    outcomes: dict[str, str] = {}
    found = Counts(0, [], {}, [], [])
    for line in report:
        try:
            said = json.loads(line)
        except ValueError:
            break
        name = said.get("nodeid", "")
        if said["$report_type"] == "CollectReport" and said["outcome"] == "failed":
            outcomes[name] = "failed"
        elif said["$report_type"] == "CollectReport" and name.endswith(".py"):
            found.files.append(name)
        elif said["$report_type"] == "TestReport":
            found.begun.append(name.partition("::")[0])
            if said["outcome"] == "skipped":
                found.skipped[name] = said["longrepr"][-1].removeprefix("Skipped: ")
            if said["outcome"] != "passed" or said["when"] == "call":
                outcomes[name] = "failed" if outcomes.get(name) == "failed" else said["outcome"]
    passed = sum(outcome == "passed" for outcome in outcomes.values())
    failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
    return found._replace(passed=passed, failed=failed, begun=list(dict.fromkeys(found.begun)))


def _tested(root: Path, cpu: str, tests: Sequence[str], timeout_s: int) -> dict[str, Any]:
    """Returns which tests passed, failed and were skipped, and which files the time did not suffice for."""
    until_s = time.monotonic() + timeout_s
    report = root / "work" / "report.jsonl"
    left_out = " and ".join(f"not {name}" for name in BY_EMULATOR)
    options = ["-q", "-k", left_out, f"--timeout={TEST_LIMIT_S}", f"--report-log={report.name}"]
    tested: dict[str, Any] = {"of": list(tests), "passed": 0, "failed": [], "skipped": {}, "cut_short": []}
    for number, part in enumerate(tests):
        report.unlink(missing_ok=True)
        began_s = time.monotonic()
        running = _emulated(root, cpu, "-m", "pytest", *options, part)
        try:
            printed, complained = running.communicate(timeout=(until_s - began_s) / (len(tests) - number))
            was_cut = False
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            printed, complained = running.communicate()
            was_cut = True
        (BUILD / f"log-{cpu}-{number}.txt").write_text(printed + complained, encoding="utf-8")
        found = counted(report.read_text(encoding="utf-8").splitlines() if report.exists() else ())
        tested["passed"] += found.passed
        tested["failed"] += found.failed or ([part] if running.returncode not in {0, 5} and not was_cut else [])
        tested["skipped"] |= found.skipped
        if was_cut:  # the file that was under way is not whole, either
            tested["cut_short"] += found.files[max(0, len(found.begun) - 1) :] or [part]
        print(
            f"{part}: {found.passed} passed, {len(found.failed)} failed in {time.monotonic() - began_s:.0f} s",
            flush=True,
        )
    tested["left_out"] = f"names with {', '.join(BY_EMULATOR)}: by the emulator"
    return {**tested, "timeout_s": timeout_s}


def _qemu_version() -> str:
    said = subprocess.run(["qemu-aarch64-static", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


if __name__ == "__main__":
    main()

"""Runs the suite's core on aarch64, emulated by qemu from Debian's packages: `make test-aarch64`.

In: the checkout, and processors that qemu knows. Out: what passed, failed and was skipped, and how the answers compare
with this machine's, in `benchmarks/results/aarch64.json`. It makes a root directory of Debian for arm64 with Python and
the wheels of edgeqa's dependencies once, in `build/aarch64`; that takes root's rights, `qemu-user-static` and
`debootstrap`, and the network. Emulated, everything takes 10 to 30 times as long; times are not measured.

What does not depend on the processor is the same on all three, and would take most of the time: the whole core is run
on the last of them alone, and on each other one README and the files that compute or read the processor
(`by_processor`). The questions and two halves of the tests are run side by side. pytest writes what became of a test
when it ends, so that nothing is lost where the time is up: the files that were not reached are named.

qemu shows the host's /proc/cpuinfo: one of the emulated processor is put over it, as verdicts of self-tests depend on
it.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import re
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
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Running = subprocess.Popen[bytes]
    Emulated = Callable[..., Running]
    """Starts Python with these arguments; what it prints goes to a file."""

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "aarch64"
RESULTS = ROOT / "benchmarks" / "results" / "aarch64.json"
QUESTIONS = ROOT / "tests" / "data" / "squad-v1.1-200.json"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
PROGRAMS = ("python3", "make")  # the documentation's tests ask make whether a target is there
SUITE = ("Debian", "bookworm", "3.11")
PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in (17, 26, 27, 28)] + ["manylinux2014_aarch64"]
TEST_LIBRARIES = ("hypothesis", "onnx", "pypdfium2", "pytest", "pytest-reportlog", "pytest-timeout", "safetensors")
README = "tests/test_documentation.py::test_a_page_is_typed_from_top_to_bottom[README.md]"
CORE = ("tests/capabilities", "tests/models", "tests/cache", "tests/collection")
WHOLE = "cortex-a72"  # a Raspberry Pi 4's: the whole core is run on it
# A test file that computes by itself, with what is compiled for the processor, or reads what the processor says.
_COMPUTES = re.compile(
    r"^ *(import|from) (numpy|onnxruntime|tokenizers|edgeqa\.models\.tokenizer|edgeqa\.capabilities\.hardware)\b", re.M
)
HALVES = 2
EXAMPLES = "emulated"  # the profile of hypothesis, in tests/conftest.py
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
# What fails by the emulator alone: it keeps no limit on address space, and has no control groups of its own; golden
# cases in float32 take longer there than the 180 s that a provider has for its trial; and it has no set_robust_list, so
# that nobody who lives gets the lock that a process died with.
BY_EMULATOR = (
    "address_space",
    "control_group",
    "rlimit",
    "real_limits",
    "test_providers",
    "death_of_another_in_a_commit",
)
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
    parser.add_argument("tests", nargs="*", help="what of the suite; by default what the processor is to pass")
    parser.add_argument("--cpu", action="append", choices=CPUINFO, help="only this processor; may be repeated")
    parser.add_argument("--timeout", type=int, default=2400, help="seconds for all of it")
    parser.add_argument("--answers-only", action="store_true", help="run no tests, only compare answers")
    parser.add_argument("--questions", type=Path, default=QUESTIONS, help="a file in SQuAD's format that is asked")
    parser.add_argument("--most", type=int, default=200, help="how many of its questions")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is mounted is unmounted
    _assure_emulator()
    root = _root_directory()
    commit = _installed(root)
    until_s = time.monotonic() + options.timeout
    asked = _asked(root, options.questions, options.most)
    failed = False
    for cpu in sorted(
        options.cpu or CPUINFO, key=lambda cpu: cpu == WHOLE
    ):  # the whole core last: it may take what is left
        tests = [] if options.answers_only else options.tests or parts_of(cpu)
        shutil.rmtree(root / "tmp")  # the home of the processor before, with its verdict
        (root / "tmp").mkdir()
        with _mounted(root, cpu) as emulated:
            print(f"{cpu}: {options.most} questions, and {len(tests)} parts of the suite ...", flush=True)
            printed = BUILD / f"answers-{cpu}.txt"
            answering = emulated(printed, "-c", ANSWERS, *asked.arguments)
            tested = _tested(root, cpu, tests, emulated, until_s) if tests else None
            found = _compared(answering, printed, asked, until_s)
            found["tests"] = "not run" if tested is None else tested
            _keep(cpu, commit, found)
            print(json.dumps(found, indent=1), flush=True)
        failed |= not found["slices"] or bool(tested and tested["failed"])
    sys.exit(failed)


def by_processor(test_file: str) -> bool:
    """Tells whether what a test file of the core sees may differ from one aarch64 processor to the next."""
    here = test_file.startswith(("tests/models/", "tests/capabilities/"))
    return here and _COMPUTES.search((ROOT / test_file).read_text(encoding="utf-8")) is not None


def parts_of(cpu: str) -> list[str]:
    """Returns what of the suite a processor is to pass: README's page, and files."""
    core = [name for name in copied() if name.startswith(tuple(f"{part}/test_" for part in CORE))]
    return [README, *(core if cpu == WHOLE else filter(by_processor, core))]


def _keep(cpu: str, commit: str, found: dict[str, Any]) -> None:
    """Writes what was found on a processor beside what was found on others."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    versions = {name: version(name) for name in ("edgeqa", "onnxruntime", "tokenizers", "numpy")}
    about = {"commit": commit, "qemu": _qemu_version(), "model": model()}
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


def _installed(root: Path) -> str:
    """Puts the wheels of this checkout and of what it needs into the root directory; returns the commit."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
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
    if sys.version_info[:2] == tuple(map(int, SUITE[2].split("."))):  # the same bytecode: seconds here, minutes there
        compileall.compile_dir(library, stripdir=str(root), prependdir="/", quiet=2, workers=0)
    program = root / "usr" / "bin" / "edgeqa"
    program.write_text("#!/usr/bin/python3\nfrom edgeqa.__main__ import main\n\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    for name in copied():
        place = root / "work" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place)
    return git.stdout.strip()


def copied() -> list[str]:
    """Returns the files of the checkout that are copied: whatever git knows, so that no list is to be kept."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.split("\0")
    return [name for name in names if (ROOT / name).is_file() and not name.startswith(NOT_COPIED)]


@contextmanager
def _mounted(root: Path, cpu: str) -> Iterator[Emulated]:
    """Mounts what a system has, with the processor's description in its place; gives what starts Python there.

    When it is left, what still runs is killed, and nothing stays mounted: it would be removed with `build/`, and the
    devices are this machine's own.
    """
    features, part, revision = CPUINFO[cpu]
    said = {"processor": "0", "Features": features, "CPU implementer": "0x41", "CPU architecture": "8"}
    said |= {"CPU variant": "0x0", "CPU part": part, "CPU revision": revision}
    file = BUILD / f"cpuinfo-{cpu}"
    file.write_text("".join(f"{name}\t: {value}\n" for name, value in said.items()), encoding="utf-8")
    mounts = [
        ["-t", kind, kind, str(root / name)]
        for kind, name in (("proc", "proc"), ("sysfs", "sys"), ("devtmpfs", "dev"), ("tmpfs", "dev/shm"))
    ]
    with ExitStack() as mounted:
        for what in [*mounts, ["--bind", str(file), str(root / "proc" / "cpuinfo")]]:
            subprocess.run(["mount", *what], check=True)
            mounted.callback(subprocess.run, ["umount", "--lazy", what[-1]], check=True)

        def emulated(output: Path, *arguments: str) -> Running:
            environment = {"QEMU_CPU": cpu, "PYTHONPATH": "/opt/lib", "HOME": "/tmp", "PATH": "/usr/bin:/bin"}  # noqa: S108
            command = ["/usr/sbin/chroot", str(root), "/usr/bin/env", "-C", "/work", "/usr/bin/python3", *arguments]
            with output.open("wb") as out:
                process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)
            mounted.callback(_ended, process, until_s=0)
            return process

        yield emulated


def _ended(running: Running, until_s: float) -> bool:
    """Waits until a process ends; kills it, with all that it has started, and returns False where the time is up."""
    try:
        running.wait(max(0.0, until_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        return False
    return True


class Asked(NamedTuple):
    """What each processor is asked, and what this machine has said to it."""

    of: str
    arguments: list[str]
    here: dict[str, Any]


def _asked(root: Path, questions: Path, most: int) -> Asked:
    """Puts questions and a collection of this machine where the emulated one finds them, and asks them here."""
    home = BUILD / "home"
    shutil.copy(questions, root / "work" / "questions.json")
    shutil.rmtree(home, ignore_errors=True)
    here = {**os.environ, "EDGEQA_HOME": str(home)}
    exported = root / "work" / "carried.zip"
    for command in (["add", "examples"], ["collections", "export", "default", str(exported)]):
        subprocess.run([sys.executable, "-m", "edgeqa", *command], env=here, cwd=ROOT, check=True, capture_output=True)
    command = [sys.executable, "-c", ANSWERS, str(questions), str(most)]
    own = subprocess.run(command, env=here, cwd=ROOT, capture_output=True, text=True, check=True)
    arguments = ["questions.json", str(most), "carried.zip"]
    return Asked(questions.name, arguments, json.loads(own.stdout.splitlines()[-1]))


def _compared(answering: Running, printed: Path, asked: Asked, until_s: float) -> dict[str, Any]:
    """Returns how the answers of the emulated processor compare with those of this one."""
    if not _ended(answering, until_s):
        sys.exit("the time was up before the questions were answered: give more by --timeout")
    said = printed.read_text(encoding="utf-8")
    if answering.returncode:
        sys.exit(said)
    ours, theirs = asked.here, json.loads(said.splitlines()[-1])
    f1 = {
        name: round(100 * fmean(score_v1(*pair).f1 for pair in zip(said["answers"], ours["gold"], strict=True)), 2)
        for name, said in (("f1_here", ours), ("f1", theirs))
    }
    equal = sum(one == other for one, other in zip(ours["answers"], theirs["answers"], strict=True))
    kept = {name: theirs[name] for name in ("fingerprint", "largest_error", "slices", "imported")}
    same = {
        "of": asked.of,
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


def _tested(root: Path, cpu: str, tests: Sequence[str], emulated: Emulated, until_s: float) -> dict[str, Any]:
    """Returns which tests passed, failed and were skipped, and which files the time did not suffice for."""
    left_out = " and ".join(f"not {name}" for name in BY_EMULATOR)
    options = ["-q", "-k", left_out, f"--timeout={TEST_LIMIT_S}", f"--hypothesis-profile={EXAMPLES}"]
    tested: dict[str, Any] = {"of": "core" if cpu == WHOLE else "by processor", "files": len(tests)}
    tested |= {"passed": 0, "failed": [], "skipped": {}, "cut_short": []}
    running = []
    for number in range(HALVES):
        half, report = tests[number::HALVES], root / "work" / f"report-{number}.jsonl"
        report.unlink(missing_ok=True)
        log = BUILD / f"log-{cpu}-{number}.txt"
        arguments = ["-m", "pytest", *options, f"--report-log={report.name}", *half]
        running.append((half, report, emulated(log, *arguments)))
    for half, report, process in running:
        was_cut = not _ended(process, until_s)
        found = counted(report.read_text(encoding="utf-8").splitlines() if report.exists() else ())
        tested["passed"] += found.passed
        tested["failed"] += found.failed or ([*half] if process.returncode not in {0, 5} and not was_cut else [])
        tested["skipped"] |= found.skipped
        if was_cut:  # the file that was under way is not whole, either
            tested["cut_short"] += found.files[max(0, len(found.begun) - 1) :] or half
    return {**tested, "left_out": f"names with {', '.join(BY_EMULATOR)}: by the emulator"}


def _qemu_version() -> str:
    said = subprocess.run(["qemu-aarch64-static", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


if __name__ == "__main__":
    main()

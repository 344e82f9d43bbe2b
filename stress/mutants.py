"""Changes the code a little, at random, and runs its tests: one of them must fail for each such mutant.

    python stress/mutants.py -n 200 --seed 1 --log benchmarks/results/mutants.log
    python stress/mutants.py -n 20 --only edgeqa/cache/front.py
    python stress/mutants.py -n 200 --seed 1 --log benchmarks/results/mutants.log --again
    python stress/mutants.py -n 200 --seed 1 --log benchmarks/results/mutants.log --part 1/2

The core is mutated: cache, collection, asking, spans, and the runtime. All is done in a copy of the tree,
with its tests, so that the tree may change meanwhile. Which tests of the core's rooms run a line is measured once
(`--map` says where that is kept), and carried over to later states of the code. A mutant is tried with the tests that
run its line, quick ones first, until one fails or they have taken as long as `--most-s` says, in a fork of a process
that has imported already what takes long; one on a line that runs when its module is imported, with all tests of its
room. One that hangs is killed.

What the log holds is not tried again, so that a run goes on where it was interrupted; `--again` tries what lives once
more. Two processes may go on with one log, each with its own `--part`, once the map is there; the exit code is not 0
before all were tried. A mutant is known by the text of its line and what is changed in it, so that most stay the same
where the code around them moves. Every mutant that lives is a test that is missing, unless it changes nothing that
anybody can see: which of the two is for a person to say, in the log, in a line `harmless  ID  WHY`.
"""

from __future__ import annotations

import argparse
import ast
import bisect
import collections
import contextlib
import difflib
import hashlib
import importlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import pytest
from mutating import Mutant, is_another, mutants

if TYPE_CHECKING:
    from collections.abc import Iterator

TREE = Path(__file__).resolve().parents[1]
TARGETS = (
    "edgeqa/cache/*.py",
    "edgeqa/collection/*.py",
    "edgeqa/asking/*.py",
    "edgeqa/models/spans.py",
    "edgeqa/models/reading.py",
    "edgeqa/runtime.py",
)
COPIED = ("edgeqa", "tests", "stress", "examples", "tools", "README.md", "pyproject.toml", "benchmarks", "reference")
TESTED = {
    "cache": ("tests/cache",),
    "collection": ("tests/collection",),
    "asking": ("tests/asking", "tests/runtime", "tests/formats/test_asking_files.py"),
    "models": tuple(f"tests/models/test_{name}.py" for name in ("spans", "reading", "encodings", "signs", "words")),
}
# What forks, kills and interrupts for minutes: left out, but for what lives (`--slow`).
SLOW = (
    "tests/cache/test_cache_seams.py",
    "tests/cache/test_guard.py",
    "tests/cache/test_stress.py",
    "tests/collection/test_add_kill.py",
    "tests/collection/test_upgrading.py",
    "tests/runtime/test_forks.py",
    "tests/runtime/test_upgrading_the_model.py",
)
# Of rooms that are tested elsewhere, too.
ROOMS = {"asking": ("asking", "collection", "runtime", "formats"), "edgeqa": ("runtime", "collection")}
# How long a test may say nothing: so many times as long as it took when it was measured, and so long at least.
SLOWER, STALLED_S = 8.0, 30.0
# Tests that take up to so long come before those that take longer.
_QUICK_S = (0.05, 0.2, 1.0, 5.0)
_NOT_RUN = 99
_TIMES = "EDGEQA_TEST_TIMES"
_OPTIONS = ("-q", "--no-header", "-p", "no:cacheprovider", "--color=no", "-o", "addopts=")
_PYTEST = ("-m", "pytest", *_OPTIONS)
_IMPORTED = (
    "hypothesis",
    "numpy",
    "onnxruntime",
    "tokenizers",
    "lmdb",
    "tantivy",
    "click.testing",
    "asyncio",
    "sqlite3",
)
_FORKED = "ignore::pytest.PytestAssertRewriteWarning"  # some of it is imported already
_later = itertools.count(10, 10)
# Coverage of lines alone, and of what is mutated alone: half as much work as the suite's.
_COVERAGE = """
[run]
parallel = true
include = {targets}
data_file = {data}
context = ${{PYTEST_CURRENT_TEST-main}}
patch = fork, _exit
sigterm = true
disable_warnings = no-data-collected
"""


# --- which tests run what ---------------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """Which tests of a room run which lines, and how long they take."""

    sources: dict[str, str]
    """The text of each file."""
    lines: dict[str, dict[str, list[int]]]
    """The numbers of the tests that run a line, by file, then by line."""
    tests: list[str]
    seconds: dict[str, float]
    failed: list[str]
    """The tests that fail without a mutant, too, and therefore tell nothing."""


@dataclass(frozen=True, slots=True)
class Map:
    """Which tests run which lines, of the code and the tests as they are now."""

    lines: dict[str, dict[int, set[str]]]
    """The tests that run a line, by file, then by line."""
    imported: dict[str, set[int]]
    """The lines of each file that run when it is imported, which is no test's doing."""
    seconds: dict[str, float]
    """The time that each test takes; a new test is taken to run every line of its room."""
    new: set[str]

    def of(self, file: str, line: int) -> list[str]:
        """Returns the tests that run a line of a file; of a statement of several lines, its first line."""
        if line in self.imported[file]:
            return [test for test in self.seconds if _is_of(test, file)]
        known = self.lines.get(file, {})
        at = bisect.bisect_right(begins := sorted(known), line) - 1
        measured = known[begins[at]] if at >= 0 else set()
        return [test for test in self.seconds if test in measured or (test in self.new and _is_of(test, file))]


def pytest_configure() -> None:
    """Has the processes that tests start measured, where this file is a plugin of pytest's (see `measured`)."""
    if times := os.environ.get(_TIMES):
        os.environ["COVERAGE_PROCESS_START"] = str(Path(times).with_name("coverage.cfg"))


def pytest_runtest_protocol(item: Any) -> None:  # noqa: ANN401 - a test of pytest's
    """Has what runs from now on known as this test's."""
    from coverage import Coverage

    if (measuring := Coverage.current()) is not None:
        measuring.switch_context(item.nodeid)


def pytest_runtest_logreport(report: Any) -> None:  # noqa: ANN401 - a report of pytest's
    """Notes how long a test takes."""
    if times := os.environ.get(_TIMES):
        with Path(times).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([report.nodeid, report.duration, report.outcome]) + "\n")


def measured(copy: Path, tests: tuple[str, ...]) -> Measured:
    """Runs some tests of a copy once, and returns which of those that pass run which lines."""
    from coverage import CoverageData

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        times, config = place / "times", place / "coverage.cfg"
        targets = "\n  ".join(str(copy / target) for target in TARGETS)
        config.write_text(_COVERAGE.format(data=place / ".coverage", targets=targets), encoding="utf-8")
        environment = {**_environment(copy), _TIMES: str(times)}
        environment["PYTHONPATH"] += os.pathsep + str(TREE / "stress")
        command = [sys.executable, "-m", "coverage", "run", f"--rcfile={config}", *_PYTEST, "-p", "mutants", *tests]
        command += [f"--ignore={slow}" for slow in SLOW]
        subprocess.run(command, cwd=copy, env=environment, check=False)
        combine = [sys.executable, "-m", "coverage", "combine", "--quiet", f"--rcfile={config}"]
        subprocess.run(combine, cwd=copy, check=False)
        seconds: dict[str, float] = collections.defaultdict(float)
        failed = set()
        for line in times.read_text(encoding="utf-8").splitlines():
            name, spent_s, ended = json.loads(line)
            seconds[name] += spent_s
            if ended == "failed":
                failed.add(name)
        data = CoverageData(str(place / ".coverage"))
        data.read()
        numbers = {name: number for number, name in enumerate(seconds)}
        sources, lines = {}, {}
        for path in data.measured_files():
            file = str(Path(path).relative_to(copy))
            sources[file] = (copy / file).read_text(encoding="utf-8")
            lines[file] = {
                str(line): sorted({numbers[name] for name in map(_test_of, contexts) if name in numbers})
                for line, contexts in data.contexts_by_lineno(path).items()
            }
        return Measured(sources, lines, list(seconds), dict(seconds), sorted(failed))


def _test_of(context: str) -> str:
    """Returns the test that coverage's context belongs to, here or in a process that the test has started."""
    last = context.rpartition("main|")[2]
    return re.sub(r" \((setup|call|teardown)\)$", "", last)


def _rooms(file: str) -> tuple[str, ...]:
    """Returns the folders of tests that a module's are in, the nearest first."""
    folder = Path(file).parent.name
    return ROOMS.get(folder, (folder,))


def _is_of(test: str, file: str) -> bool:
    return test.split("/")[1] in _rooms(file)


def read_map(place: Path, copy: Path, files: set[str], *, anew: bool, slow: bool) -> Map:
    """Returns what is kept from an earlier state of the code, carried over to the one in the copy; or measures it.

    Args:
        place: the folder that it is kept in, one file a room.
        copy: the tree.
        files: what is to be tested; other rooms are left out.
        anew: whether all is measured anew.
        slow: whether tests that take minutes are there, too; they are taken to run every line of their room.
    """
    tested = {room: tests for room, tests in TESTED.items() if any(_is_of(tests[0], file) for file in files)}
    listed = subprocess.run(
        [sys.executable, *_PYTEST, "--collect-only", *itertools.chain(*tested.values())],
        cwd=copy,
        env=_environment(copy),
        capture_output=True,
    )
    there = [line for line in listed.stdout.decode().splitlines() if "::" in line]
    if not slow:
        there = [test for test in there if test.partition("::")[0] not in SLOW]
    lines: dict[str, dict[int, set[str]]] = {}
    seconds: dict[str, float] = {}
    failed: set[str] = set()
    for room, tests in tested.items():
        file = place / f"{room}.json"
        if anew or not file.exists():
            print(f"measuring which tests run what: {room}", file=sys.stderr, flush=True)
            place.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(measured(copy, tests)), encoding="utf-8")
        kept = Measured(*json.loads(file.read_text(encoding="utf-8")))
        seconds.update(kept.seconds)
        failed.update(kept.failed)
        for name, source in kept.sources.items():
            if (copy / name).exists():
                of_file = lines.setdefault(name, {})
                now = (copy / name).read_text(encoding="utf-8")
                for line, numbers in _carried(kept.lines[name], source, now).items():
                    of_file.setdefault(line, set()).update(kept.tests[number] for number in numbers)
    sources = (path for pattern in TARGETS for path in copy.glob(pattern))
    imported = {str(path.relative_to(copy)): _imported(path.read_text(encoding="utf-8")) for path in sources}
    for name in sorted(failed):
        print(f"fails without a mutant, and is left out: {name}", file=sys.stderr, flush=True)
    known = {test: seconds.get(test, 0.0) for test in there if test not in failed}
    return Map(lines, imported, known, known.keys() - seconds)


def _imported(source: str) -> set[int]:
    """Returns the lines of a module that are in no function's body."""
    lines = set(range(1, source.count("\n") + 2))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines -= set(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
    return lines


def _carried(lines: dict[str, list[int]], before: str, now: str) -> dict[int, list[int]]:
    """Returns which tests run which lines, of a file that was edited meanwhile: what stayed keeps its tests."""
    found = {}
    matcher = difflib.SequenceMatcher(None, before.splitlines(), now.splitlines(), autojunk=False)
    for block in matcher.get_matching_blocks():
        for at in range(block.size):
            if (tests := lines.get(str(block.a + at + 1))) is not None:
                found[block.b + at + 1] = tests
    return found


def ordered(tests: list[str], file: str, known: Map) -> list[str]:
    """Returns tests, quick ones first; of those that are as quick, those of the module's name, then of its room.

    Tests of one file stay together, so that what they share is made once.
    """
    room, name = _rooms(file)[0], Path(file).stem

    def telling(test: str) -> tuple[object, ...]:
        path = test.partition("::")[0]
        slow = bisect.bisect_left(_QUICK_S, known.seconds[test])
        return slow, name not in Path(path).stem, Path(path).parent.name != room, path

    return sorted(tests, key=telling)


# --- mutants ----------------------------------------------------------------------------------------------------------


class Site(NamedTuple):
    """A mutant, the file that it is of, and what it is known by."""

    id: str
    file: str
    mutant: Mutant
    shown: str

    def __str__(self) -> str:
        return f"{self.id}  {self.file}:{self.mutant.line}  {self.shown}"


def chosen(copy: Path, only: str, count: int, seed: int) -> list[Site]:
    """Returns different mutants: of each line that is drawn, one, until there are enough, and no line twice.

    What is drawn depends on the texts of lines alone, so that the same are where the code has moved.
    """
    drawn: list[tuple[str, str, str]] = []
    of_lines: dict[str, list[Mutant]] = collections.defaultdict(list)
    sources: dict[str, str] = {}
    again: collections.Counter[str] = collections.Counter()
    for path in sorted(path for pattern in TARGETS for path in copy.glob(pattern)):
        file = str(path.relative_to(copy))
        sources[file] = source = path.read_text(encoding="utf-8")
        numbers: dict[int, str] = {}
        lines = source.splitlines()
        those = mutants(source) if path.name != "errors.py" else []  # words for people
        for mutant in sorted(those, key=lambda mutant: mutant.line):
            if mutant.line not in numbers:
                text = lines[mutant.line - 1].strip()
                again[text] += 1
                numbers[mutant.line] = f"{text} {again[text]}"
            of_lines[numbers[mutant.line]].append(mutant)
        drawn += [(_drawn(seed, line), file, line) for line in numbers.values() if only in file]
    sites = (_of_line(of_lines[line], sources[file], file, line, seed) for _, file, line in sorted(drawn))
    return list(itertools.islice(filter(lambda site: _changes(site, sources[site.file]), sites), count))


def _changes(site: Site, source: str) -> bool:
    return is_another(source, site.mutant.applied(source))


def _of_line(those: list[Mutant], source: str, file: str, line: str, seed: int) -> Site:
    """Returns one of a line's mutants: a kind of them at random, then one of that kind."""
    sites = [Site(_drawn(0, f"{line} {m.kind} {m.shown(source)}")[:8], file, m, m.shown(source)) for m in those]
    kind = min((site.mutant.kind for site in sites), key=lambda kind: _drawn(seed, f"{line} {kind}"))
    return min((site for site in sites if site.mutant.kind == kind), key=lambda site: _drawn(seed, site.id))


def _drawn(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed} {text}".encode()).hexdigest()


def outcome(site: Site, copy: Path, known: Map, most_s: float) -> tuple[str, str]:
    """Runs a mutant's tests in the copy, those that take so long together; returns "killed" or "LIVES", and how."""
    tests = known.of(site.file, site.mutant.line)
    if not tests:  # run in a process that is killed, or not at all
        tests = [test for test in known.seconds if _is_of(test, site.file)]
    reaching, tests = len(tests), list(_in_time(ordered(tests, site.file, known), known, most_s))
    stalled_s = STALLED_S + SLOWER * max((known.seconds[test] for test in tests), default=0)
    path = copy / site.file
    source, former = path.read_text(encoding="utf-8"), path.stat()
    path.write_text(site.mutant.applied(source), encoding="utf-8")
    # Compiled files are known by the second and the length: no two mutants may have both alike.
    os.utime(path, (former.st_mtime, time.time() + next(_later)))
    try:
        with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as place:
            arguments = Path(place) / "tests"
            arguments.write_text("\n".join(tests), encoding="utf-8")
            options = [*_OPTIONS, "-W", _FORKED, "-x", f"--basetemp={place}/t", f"@{arguments}"]
            code, said = _run(options, copy, Path(place) / "said", stalled_s)
            if (
                code == pytest.ExitCode.USAGE_ERROR and "no match" in said
            ):  # a case of another name: try all of its file
                arguments.write_text(
                    "\n".join(dict.fromkeys(test.partition("::")[0] for test in tests)), encoding="utf-8"
                )
                code, said = _run(options, copy, Path(place) / "said again", stalled_s)
    finally:
        path.write_text(source, encoding="utf-8")
        os.utime(path, ns=(former.st_atime_ns, former.st_mtime_ns))
    if code is None:
        return "killed", f"a test took longer than {stalled_s:.0f} s"
    if code == _NOT_RUN:
        raise SystemExit(said)
    if code < 0:
        return "killed", signal.Signals(-code).name
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    if code == 0:
        return "LIVES", f"{len(tests)} of {reaching} tests"
    return "killed", failed[1] if failed else f"exit code {code}: {said.strip().splitlines()[-1] if said else ''}"


def _in_time(tests: list[str], known: Map, most_s: float) -> Iterator[str]:
    spent_s = 0.0
    for test in tests:
        if spent_s > most_s:
            return
        yield test
        spent_s += known.seconds[test]


def _run(options: list[str], copy: Path, output: Path, stalled_s: float) -> tuple[int | None, str]:
    """Returns exit code and output of pytest; no code if it said nothing for too long, and was killed.

    It is a fork of this process, which has imported already what takes long to.
    """
    output.touch()
    if not (pid := os.fork()):
        _pytest(options, copy, output)
    said_bytes, since_s = 0, time.monotonic()
    try:
        while time.monotonic() - since_s < stalled_s:
            time.sleep(0.02)
            if (ended := os.waitpid(pid, os.WNOHANG))[0]:
                return os.waitstatus_to_exitcode(ended[1]), output.read_text(encoding="utf-8", errors="replace")
            if output.stat().st_size > said_bytes:
                said_bytes, since_s = output.stat().st_size, time.monotonic()
        return None, ""
    finally:
        with contextlib.suppress(ProcessLookupError):  # and all that it has started
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _pytest(options: list[str], copy: Path, output: Path) -> NoReturn:
    """Is the child: runs pytest in the copy, and ends."""
    code = _NOT_RUN
    try:
        os.setsid()
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        os.environ.update(_environment(copy))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream in (1, 2):
            os.dup2(os.open(output, os.O_WRONLY | os.O_APPEND), stream)
        code = int(pytest.main(options))
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _environment(copy: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(copy)}


def copied(place: Path) -> Path:
    """Returns a copy of the tree, of which nothing is compiled."""
    for name in COPIED:
        source = TREE / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__", ".venv"))
        elif source.exists():
            shutil.copy2(source, place / name)
    return place


@dataclass(frozen=True, slots=True)
class Log:
    """What was tried already, and what a person has said about it."""

    how: dict[str, str]
    """What became of each mutant: "killed" or "LIVES"."""
    harmless: set[str]

    def __str__(self) -> str:
        tally = collections.Counter(self.how.values())
        lives = {name for name, how in self.how.items() if how == "LIVES"}
        return f"{tally['killed']} killed, {tally['LIVES']} live, of which {len(lives & self.harmless)} harmless"


def read_log(file: Path | None, sites: list[Site]) -> Log:
    """Returns what a log says of some mutants; the last word counts."""
    lines = file.read_text(encoding="utf-8").splitlines() if file is not None and file.exists() else []
    ids = {site.id for site in sites}
    tried = [m for line in lines if (m := re.match(r"(killed|LIVES) +[\d.]+ s  (\w{8})  ", line)) and m[2] in ids]
    said = [m for line in lines if (m := re.match(r"harmless  (\w{8})  ", line))]
    return Log({m[2]: m[1] for m in tried}, {m[1] for m in said})


def tried(sites: list[Site], copy: Path, known: Map, log: Log, most_s: float) -> Iterator[str]:
    """Yields a line for each mutant."""
    for site in sites:
        began = time.monotonic()
        how, by = outcome(site, copy, known, most_s)
        log.how[site.id] = how
        yield f"{how:6}  {time.monotonic() - began:5.1f} s  {site}  [{by}]"


def main() -> int:
    """Runs from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=200, help="mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="FILE", help="mutate files with this in their path")
    parser.add_argument("--log", type=Path, help="where the lines are written to, besides standard output")
    parser.add_argument("--again", action="store_true", help="try what lives once more")
    parser.add_argument("--slow", action="store_true", help="run the tests that take minutes, too")
    parser.add_argument("--map", type=Path, default=TREE / "build" / "mutants", help="which tests run what")
    parser.add_argument("--most-s", type=float, default=120.0, help="how long a mutant's tests may take, as measured")
    parser.add_argument("--measure", action="store_true", help="measure anew which tests run what")
    parser.add_argument("--part", type=part, default=(1, 1), metavar="K/N", help="the Kth of N mutants, and each Nth")
    parser.add_argument("--allowed", type=int, default=5, help="how many may live")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as place:
        copy = copied(Path(place).resolve())
        for name in _IMPORTED:
            importlib.import_module(name)
        sites = chosen(copy, options.only, options.n, options.seed)
        log = read_log(options.log, sites)
        known = read_map(options.map, copy, {site.file for site in sites}, anew=options.measure, slow=options.slow)
        first, each = options.part
        own = sites[first - 1 :: each]
        wanted = [site for site in own if log.how.get(site.id) in ({"LIVES", None} if options.again else {None})]
        lines = tried(wanted, copy, known, log, options.most_s)
        for line in itertools.chain(lines, summed(options.log, options.seed, sites, log)):
            print(line, flush=True)
            if options.log is not None:
                with options.log.open("a", encoding="utf-8") as stream:
                    stream.write(line + "\n")
    return exit_code(sites, log, options.allowed)


def exit_code(sites: list[Site], log: Log, allowed: int) -> int:
    """Returns 0 once all mutants were tried, and of those that live none is a missing test, and no more are allowed."""
    lives = [name for name, how in log.how.items() if how == "LIVES"]
    return 1 if untried(sites, log) or len(lives) > allowed or not log.harmless.issuperset(lives) else 0


def untried(sites: list[Site], log: Log) -> int:
    """Returns how many mutants the log says nothing of."""
    return sum(site.id not in log.how for site in sites)


def part(text: str) -> tuple[int, int]:
    """Returns K and N of `K/N`."""
    matched = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    if matched is None or not 1 <= (number := int(matched[1])) <= (of := int(matched[2])):
        message = f"{text!r} is not K/N with 1 <= K <= N, such as 1/2"
        raise argparse.ArgumentTypeError(message)
    return number, of


def summed(file: Path | None, seed: int, sites: list[Site], log: Log) -> Iterator[str]:
    """Yields what has become of all mutants, those included that other processes have written to the log."""
    if file is not None:
        read = read_log(file, sites)
        log.how.update(read.how)
        log.harmless.update(read.harmless)
    left = untried(sites, log)
    yield f"seed {seed}: {len(sites)} mutants, {log}{f'; {left} not tried yet' if left else ''}"


if __name__ == "__main__":
    sys.exit(main())

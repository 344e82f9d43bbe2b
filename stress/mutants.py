"""Mutants: the code is changed by a little, at random, and its tests are run: one of them must fail.

    python stress/mutants.py -n 200 --seed 1 --log benchmarks/results/mutants.log
    python stress/mutants.py -n 20 --only edgeqa/cache/front.py
    python stress/mutants.py -n 200 --seed 1 --log benchmarks/results/mutants.log --resume

The core is mutated: cache, collection, asking, spans, and the runtime. All is done in a copy of the tree,
with its tests, so that the tree may change meanwhile. Which tests run a line is measured once (it takes twice as long
as the suite; `--map` says where that is kept) and carried over to later states of the code: a mutant is tried with
the tests that run its line, those of its file's name and of its room first, until one fails (or they have taken as
long as `--most-s` says); one on a line that no test runs, with all tests of its room. One that hangs is killed. What
was begun goes on with `--resume`: what the log holds is not tried again. Every mutant that lives is a test that is
missing, unless it changes nothing that anybody can see: which of the two is for a person to say.
"""

from __future__ import annotations

import argparse
import bisect
import collections
import contextlib
import difflib
import importlib
import itertools
import json
import os
import random
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
# Of rooms that are tested elsewhere, too.
ROOMS = {"asking": ("asking", "collection", "runtime"), "edgeqa": ("runtime", "collection")}
STALLED_S = 90.0
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
_COVERAGE = """
[run]
branch = true
parallel = true
source_pkgs = edgeqa
data_file = {data}
context = ${{PYTEST_CURRENT_TEST-main}}
patch = fork, _exit
sigterm = true
"""


# --- which tests run what ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Map:
    """Which tests run which lines, and how long they take."""

    lines: dict[str, dict[str, list[int]]]
    """By file, then line: numbers of tests."""
    tests: list[str]
    """What was measured."""
    seconds: dict[str, float]
    """Of the tests that are there now; those that are new are taken to run every line of their room."""

    def of(self, file: str, line: int) -> list[str]:
        """Returns the tests that run a line of a file; of a statement of several lines, its first line."""
        known = self.lines.get(file, {})
        at = bisect.bisect_right(begins := sorted(map(int, known)), line) - 1
        measured = [self.tests[number] for number in known[str(begins[at])]] if at >= 0 else []
        new = self.seconds.keys() - self.tests if file in self.lines else self.seconds.keys()
        return [test for test in measured if test in self.seconds] + [test for test in new if _is_of(test, file)]


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
            stream.write(json.dumps([report.nodeid, report.duration]) + "\n")


def measured(copy: Path) -> Map:
    """Runs the suite of a copy once, and returns which tests run which lines."""
    from coverage import CoverageData

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        times, config = place / "times", place / "coverage.cfg"
        config.write_text(_COVERAGE.format(data=place / ".coverage"), encoding="utf-8")
        environment = {**_environment(copy), _TIMES: str(times)}
        environment["PYTHONPATH"] += os.pathsep + str(TREE / "stress")
        command = [sys.executable, "-m", "coverage", "run", f"--rcfile={config}", *_PYTEST, "-p", "mutants"]
        subprocess.run(command, cwd=copy, env=environment, check=False)
        combine = [sys.executable, "-m", "coverage", "combine", "--quiet", f"--rcfile={config}"]
        subprocess.run(combine, cwd=copy, check=False)
        seconds: dict[str, float] = collections.defaultdict(float)
        for line in times.read_text(encoding="utf-8").splitlines():
            name, spent_s = json.loads(line)
            seconds[name] += spent_s
        data = CoverageData(str(place / ".coverage"))
        data.read()
        numbers = {name: number for number, name in enumerate(seconds)}
        lines: dict[str, dict[str, list[int]]] = {}
        for path in data.measured_files():
            file = str(Path(path).relative_to(copy))
            lines[file] = {
                str(line): sorted({numbers[name] for name in map(_test_of, contexts) if name in numbers})
                for line, contexts in data.contexts_by_lineno(path).items()
            }
        return Map(lines, list(seconds), dict(seconds))


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


def read_map(file: Path, copy: Path, *, anew: bool) -> Map:
    """Returns what is kept from an earlier state of the code, carried over to the one in the copy; or measures it."""
    if anew or not file.exists():
        print("measuring which tests run what", file=sys.stderr, flush=True)
        found = measured(copy)
        sources = {name: (copy / name).read_text(encoding="utf-8") for name in found.lines}
        kept = {"sources": sources, "lines": found.lines, "tests": found.tests, "seconds": found.seconds}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept), encoding="utf-8")
    kept = json.loads(file.read_text(encoding="utf-8"))
    listed = subprocess.run(
        [sys.executable, *_PYTEST, "--collect-only"], cwd=copy, env=_environment(copy), capture_output=True
    )
    there = [line for line in listed.stdout.decode().splitlines() if "::" in line]
    lines = {
        name: _carried(kept["lines"][name], source, (copy / name).read_text(encoding="utf-8"))
        for name, source in kept["sources"].items()
        if (copy / name).exists()
    }
    return Map(lines, kept["tests"], {test: kept["seconds"].get(test, 0.0) for test in there})


def _carried(lines: dict[str, list[int]], before: str, now: str) -> dict[str, list[int]]:
    """Returns which tests run which lines, of a file that was edited meanwhile: what stayed keeps its tests."""
    found = {}
    matcher = difflib.SequenceMatcher(None, before.splitlines(), now.splitlines(), autojunk=False)
    for block in matcher.get_matching_blocks():
        for at in range(block.size):
            if (tests := lines.get(str(block.a + at + 1))) is not None:
                found[str(block.b + at + 1)] = tests
    return found


def ordered(tests: list[str], file: str, known: Map) -> list[str]:
    """Returns tests so that the most telling come first.

    These are those of the module's name, then those of its room; one case of each test before the others; quick files.
    """
    room, name = _rooms(file)[0], Path(file).stem
    spent_s: dict[str, float] = collections.defaultdict(float)
    seen: set[str] = set()
    another: set[str] = set()
    for test in tests:
        spent_s[test.partition("::")[0]] += known.seconds[test]
        function = test.partition("[")[0]
        if function in seen:
            another.add(test)
        seen.add(function)

    def telling(test: str) -> tuple[object, ...]:
        path = test.partition("::")[0]
        return name not in Path(path).stem, Path(path).parent.name != room, test in another, spent_s[path], path

    return sorted(tests, key=telling)


# --- mutants ----------------------------------------------------------------------------------------------------------


class Site(NamedTuple):
    """A mutant, and the file that it is of."""

    file: str
    mutant: Mutant
    shown: str

    def __str__(self) -> str:
        return f"{self.file}:{self.mutant.line}  {self.shown}"


def chosen(copy: Path, only: str, count: int, chance: random.Random) -> list[Site]:
    """Returns different mutants: a line at random, of all lines that have any, and then one of that line's."""
    of_lines: dict[tuple[str, int], list[Mutant]] = collections.defaultdict(list)
    sources: dict[str, str] = {}
    for path in sorted(path for pattern in TARGETS for path in copy.glob(pattern)):
        file = str(path.relative_to(copy))
        sources[file] = path.read_text(encoding="utf-8")
        for mutant in mutants(sources[file]) if only in file and path.name != "errors.py" else ():  # words for people
            of_lines[file, mutant.line].append(mutant)
    found: list[Site] = []
    while of_lines and len(found) < count:
        line = chance.choice(list(of_lines))
        left = of_lines[line]
        kind = chance.choice(sorted({mutant.kind for mutant in left}))
        mutant = chance.choice([mutant for mutant in left if mutant.kind == kind])
        left.remove(mutant)
        if not left:
            del of_lines[line]
        source = sources[line[0]]
        if is_another(source, mutant.applied(source)):
            found.append(Site(line[0], mutant, mutant.shown(source)))
    return found


def outcome(site: Site, copy: Path, known: Map, most_s: float) -> tuple[str, str]:
    """Runs a mutant's tests in the copy, those that take so long together; returns "killed" or "LIVES", and how."""
    tests = known.of(site.file, site.mutant.line)
    if not tests:  # only run when imported, or in a process that is killed
        tests = [test for test in known.seconds if _is_of(test, site.file)]
    reaching, tests = len(tests), list(_in_time(ordered(tests, site.file, known), known, most_s))
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
            code, said = _run(options, copy, Path(place) / "said")
            if (
                code == pytest.ExitCode.USAGE_ERROR and "no match" in said
            ):  # a case of another name: try all of its file
                arguments.write_text(
                    "\n".join(dict.fromkeys(test.partition("::")[0] for test in tests)), encoding="utf-8"
                )
                code, said = _run(options, copy, Path(place) / "said again")
    finally:
        path.write_text(source, encoding="utf-8")
        os.utime(path, ns=(former.st_atime_ns, former.st_mtime_ns))
    if code is None:
        return "killed", f"a test took longer than {STALLED_S:.0f} s"
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


def _run(options: list[str], copy: Path, output: Path) -> tuple[int | None, str]:
    """Returns exit code and output of pytest; no code if it said nothing for too long, and was killed.

    It is a fork of this process, which has imported already what takes long to.
    """
    output.touch()
    if not (pid := os.fork()):
        _pytest(options, copy, output)
    said_bytes, since_s = 0, time.monotonic()
    try:
        while time.monotonic() - since_s < STALLED_S:
            time.sleep(0.05)
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


def tried(sites: list[Site], copy: Path, known: Map, log: dict[str, str], most_s: float) -> Iterator[str]:
    """Yields a line for each mutant."""
    for site in sites:
        if str(site) not in log:
            began = time.monotonic()
            how, by = outcome(site, copy, known, most_s)
            log[str(site)] = how
            yield f"{how}  {time.monotonic() - began:5.1f} s  {site}  [{by}]"


def main() -> int:
    """Runs from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=200, help="mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--part", default="1/1", help="2/3: the second third of the mutants, to run the others beside it"
    )
    parser.add_argument("--only", default="", metavar="FILE", help="mutate files with this in their path")
    parser.add_argument("--log", type=Path, help="where the lines are written to, besides standard output")
    parser.add_argument("--resume", action="store_true", help="leave out what the log holds")
    parser.add_argument("--map", type=Path, default=TREE / "build" / "mutants-map.json", help="which tests run what")
    parser.add_argument("--most-s", type=float, default=90.0, help="how long a mutant's tests may take, as measured")
    parser.add_argument("--measure", action="store_true", help="measure anew which tests run what")
    parser.add_argument("--allowed", type=int, default=5, help="how many may live")
    options = parser.parse_args()
    lines = options.log.read_text(encoding="utf-8").splitlines() if options.resume and options.log.exists() else []
    log = {m[2]: m[1] for line in lines if (m := re.match(r"(killed|LIVES) +[\d.]+ s  (.*)  \[", line))}
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as place:
        copy = copied(Path(place).resolve())
        for name in _IMPORTED:
            importlib.import_module(name)
        part, parts = map(int, options.part.split("/"))
        sites = chosen(copy, options.only, options.n, random.Random(options.seed))[part - 1 :: parts]
        for line in tried(sites, copy, read_map(options.map, copy, anew=options.measure), log, options.most_s):
            print(line, flush=True)
            if options.log is not None:
                with options.log.open("a", encoding="utf-8") as stream:
                    stream.write(line + "\n")
    tally = collections.Counter(log[str(site)] for site in sites)
    summary = f"seed {options.seed}: {len(sites)} mutants, {tally['killed']} killed, {tally['LIVES']} live"
    print(summary)
    if options.log is not None:
        with options.log.open("a", encoding="utf-8") as stream:
            stream.write(summary + "\n")
    return 1 if tally["LIVES"] > options.allowed else 0


if __name__ == "__main__":
    sys.exit(main())

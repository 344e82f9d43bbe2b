"""Tests the order of the house: which room may import which, which files import inside functions, how large files are.

Read from the source. An import inside a function or for types alone is an arrow like any other.
What may be otherwise stands in lists, one line each, with a reason, and must fit exactly: whoever puts one right takes
its line out. Run as a program, it prints what there is now: `python tests/test_house.py`.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import defaultdict
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(edgeqa.__file__).parent

# Each room and the rooms that it may import. Those beneath the doors know nothing of the doors.
ROOMS = {
    "base": "",
    "cache": "base",
    "capabilities": "base",
    "formats": "base",
    "contexts": "base formats",
    "models": "base capabilities contexts",
    "collection": "base cache capabilities contexts formats models",
    "asking": "base cache capabilities collection contexts formats models",
    "runtime": "asking base cache capabilities collection contexts formats models",
    "compat": "base capabilities models",
    "evaluation": "asking base contexts formats models runtime",
    "bench": "asking base capabilities contexts models runtime",
    "commands": "asking base bench cache capabilities collection contexts evaluation formats models runtime",
    "public": "asking base cache capabilities collection compat models runtime",
}

# The modules beside the rooms, and the room that each belongs to.
BESIDE = {
    "edgeqa": "public",
    "__main__": "commands",
    "answer": "asking",
    "asked": "commands",
    "asynchronous": "runtime",
    "cli": "commands",
    "counting": "runtime",
    "digests": "base",
    "errors": "base",
    "files": "base",
    "forking": "base",
    "runtime": "runtime",
    "screen": "commands",
    "state": "base",
    "streams": "commands",
    "timing": "base",
}

# Extras, and the rooms and modules that they may import: they use what is public. They are counted apart.
EXTRAS = {
    "serving": "answer errors files public",
    "cluster": "asking base cache capabilities collection contexts formats models runtime",
}
MAY_IMPORT_EXTRAS = {"commands"}

MAX_MODULES = 150

MIN_LINES = 25  # of code; a room's __init__ may be empty

# Smaller files, and why each is one of its own.
SMALL: dict[str, str] = {
    "digests": "five rooms have no other in common, and OpenSSL is not to be loaded for it",
    "timing": "what a question and what takes long tell their time by: any room may",
}

HIT = "an answer that is remembered needs none of it"
HELP = "help, and a mistake in a command, are shown without it"
RARE = "few ever need it"
LARGE = "a large library: imported where it is certain to be used"
BEFORE = "what a machine lacks is said before anything is installed there"
CHOSEN = "one of several is imported, by what is read"

# Files that import inside functions, and why they do.
DOORS: dict[str, str] = {
    "__main__": HELP,
    "answer": RARE,
    "asked": RARE,
    "asking.collection_scope": HIT,
    "asking.documents": HIT,
    "asking.equipment": HIT,
    "asking.pipe": HIT,
    "asking.records": HIT,
    "asking.text_scope": HIT,
    "bench": HELP,
    "bench.products": LARGE,
    "cache": HIT,
    "cache.backend": HIT,
    "cache.flight": HIT,
    "cache.premises": RARE,
    "cache.records": HIT,
    "cache.store": RARE,
    "cache.values": HIT,
    "capabilities.computing": HIT,
    "capabilities.device": CHOSEN,
    "cli": HELP,
    "collection.adding_sources": HIT,
    "collection.collection": HIT,
    "collection.index": RARE,
    "collection.shard": HIT,
    "collection.shard_format": HIT,
    "commands": HELP,
    "commands.adding": HELP,
    "commands.ask": HELP,
    "commands.cache": HELP,
    "commands.chat": HELP,
    "commands.collections": HELP,
    "commands.device": HELP,
    "commands.evaluate": HELP,
    "commands.models": HELP,
    "commands.passages": HELP,
    "commands.serve": HELP,
    "compat": LARGE,
    "edgeqa": HELP,
    "files": BEFORE,
    "formats.cells": RARE,
    "formats.folders": RARE,
    "formats.kinds": CHOSEN,
    "formats.pdf": LARGE,
    "formats.source": RARE,
    "models.bundle": HIT,
    "models.exports.quantizing": LARGE,
    "models.exports.trial": LARGE,
    "models.providers": LARGE,
    "models.session": LARGE,
    "models.shelf": HIT,
    "models.tokenizer": LARGE,
    "runtime": HIT,
    "screen": RARE,
    "state": HIT,
    "streams": HELP,
}

# What reads or writes, waits, or asks the system: nothing that is pure has it.
IMPURE = {
    "asyncio", "click", "concurrent", "ctypes", "fcntl", "getpass", "glob", "lmdb", "logging", "mmap",
    "multiprocessing", "onnxruntime", "os", "pathlib", "pathspec", "platform", "psutil", "pypdfium2",
    "resource", "shutil", "signal", "socket", "sqlite3", "subprocess", "tantivy", "tempfile", "threading", "time",
    "tokenizers", "urllib", "uuid",
}  # fmt: skip


class Arrow(NamedTuple):
    """An import: of which module, and whether it is done inside a function, or for types alone."""

    source: str
    target: str
    is_inside: bool
    is_for_types: bool


class House:
    """The modules of the package, by their names without `edgeqa.`, and what they import."""

    def __init__(self, package: Path) -> None:
        self.paths = {name_of(path.relative_to(package)): path for path in sorted(package.rglob("*.py"))}
        self.trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.paths.items()}
        self.arrows = [arrow for name, tree in self.trees.items() for arrow in self._arrows(name, tree)]
        self.inner = [arrow for arrow in self.arrows if arrow.target in self.paths and arrow.source != arrow.target]

    def _arrows(
        self, name: str, node: ast.AST, *, is_inside: bool = False, is_for_types: bool = False
    ) -> Iterator[Arrow]:
        for child in ast.iter_child_nodes(node):
            inside = is_inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for_types = is_for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
            for target in self._targets(child):
                yield Arrow(name, target, inside, for_types)
            yield from self._arrows(name, child, is_inside=inside, is_for_types=for_types)

    def _targets(self, node: ast.AST) -> set[str]:
        if isinstance(node, ast.Import):
            return {inner_name(alias.name) for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None, "imports are absolute"
            assert not node.level, "imports are absolute"
            if node.module == "pathlib" and all(alias.name.startswith("Pure") for alias in node.names):
                return set()  # they look at nothing
            found = (inner_name(f"{node.module}.{alias.name}") for alias in node.names)
            return {one if one in self.paths else inner_name(node.module) for one in found}
        return set()

    def room(self, name: str) -> str:
        """Returns the room that a module belongs to."""
        first = name.partition(".")[0]
        return first if (PACKAGE / first).is_dir() else BESIDE[first]

    @cached_property
    def circles(self) -> list[str]:
        """The modules that can be reached from themselves: each circle's names, in one line."""
        targets: dict[str, set[str]] = defaultdict(set)
        for arrow in self.inner:
            targets[arrow.source].add(arrow.target)
        reached = {name: reachable(name, targets) for name in self.paths}
        found = {frozenset(other for other in reached[name] if name in reached[other]) for name in self.paths}
        return sorted(" ".join(sorted(circle)) for circle in found if circle)

    @cached_property
    def forbidden(self) -> dict[str, list[str]]:
        """Rooms that import what they may not, and the imports."""
        found: dict[str, list[str]] = defaultdict(list)
        for source, target, *_ in self.inner:
            here, there = self.room(source), self.room(target)
            may = (EXTRAS.get(here) or ROOMS[here]).split() + ([*EXTRAS] if here in MAY_IMPORT_EXTRAS else [])
            if {there, target}.isdisjoint({here, *may}):
                found[f"{here} -> {there}"].append(f"{source} -> {target}")
        return found

    @cached_property
    def doors(self) -> dict[str, list[str]]:
        """Modules that import inside functions, and what."""
        found: dict[str, list[str]] = defaultdict(list)
        for source, target, is_inside, _ in self.arrows:
            if is_inside and self.room(source) not in EXTRAS:
                found[source].append(target)
        return found

    @cached_property
    def small(self) -> list[str]:
        """Modules of few lines of code."""
        return [
            name
            for name, path in self.paths.items()
            if path.name != "__init__.py"
            and self.room(name) not in EXTRAS
            and code_lines(path.read_text(encoding="utf-8")) < MIN_LINES
        ]

    @cached_property
    def not_pure(self) -> list[str]:
        """What calls itself pure, and what it imports that is not: it, or what that imports in its turn."""
        targets: dict[str, set[str]] = defaultdict(set)
        for arrow in self.arrows:
            if not arrow.is_for_types:
                targets[arrow.source].add(arrow.target)
        found = []
        for name, tree in self.trees.items():
            if re.search(r"\bpure\b", ast.get_docstring(tree) or "", re.IGNORECASE):
                impure = [one for one in targets[name] if any(is_impure(x) for x in {one} | reachable(one, targets))]
                opens = (
                    ["open()"] if re.search(r"(?<![\w.])open\(", self.paths[name].read_text(encoding="utf-8")) else []
                )
                found += [f"{name} -> {one}" for one in sorted(impure + opens)]
        return found


def name_of(path: Path) -> str:
    """Returns a module's name without the package's; the package's own is edgeqa."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "edgeqa"


def inner_name(name: str) -> str:
    """Returns a module's name without the package's."""
    return name.removeprefix("edgeqa.")


def is_impure(name: str) -> bool:
    """Tells whether a module that is not the package's reads or writes, waits, or asks the system."""
    return name.partition(".")[0] in IMPURE


def reachable(name: str, targets: dict[str, set[str]]) -> set[str]:
    """Returns all that can be reached from a module; itself only where there is a way back."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        for target in targets.get(ahead.pop(), ()):
            if target not in found:
                found.add(target)
                ahead.append(target)
    return found


def code_lines(source: str) -> int:
    """Returns how many lines have code on them: no comment, no docstring, not blank."""
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in nothing:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


@cache
def house() -> House:
    return House(PACKAGE)


def test_rooms_import_only_what_lies_below_them() -> None:
    assert dict(house().forbidden) == {}


def test_no_room_may_import_one_that_may_import_it() -> None:
    for room, below in ROOMS.items():
        for other in below.split():
            assert room not in ROOMS[other].split()


def test_no_files_import_each_other_in_a_circle() -> None:
    assert house().circles == []


def test_what_calls_itself_pure_imports_nothing_that_is_not() -> None:
    assert house().not_pure == []


def test_only_doors_import_inside_functions() -> None:
    found = house().doors
    assert sorted(found) == list(DOORS), {name: found.get(name) for name in found.keys() ^ DOORS.keys()}


def test_no_file_is_small_without_a_reason() -> None:
    assert house().small == list(SMALL)


def test_there_are_not_too_many_files() -> None:
    counted = [name for name in house().paths if house().room(name) not in EXTRAS]
    assert len(counted) <= MAX_MODULES


def test_the_modules_beside_the_rooms_are_these() -> None:
    rooms = {name.partition(".")[0] for name in house().paths}
    assert {name for name in rooms if not (PACKAGE / name).is_dir()} == set(BESIDE)
    assert {name for name in rooms if (PACKAGE / name).is_dir()} <= ROOMS.keys() | EXTRAS.keys()


@pytest.mark.parametrize(
    ("files", "attribute", "found"),
    [
        ({"cache/a.py": "def f():\n    from edgeqa.models import b\n", "models/b.py": ""}, "doors", ["cache.a"]),
        ({"cache/a.py": "import edgeqa.models.b\n", "models/b.py": ""}, "forbidden", ["cache -> models"]),
        (
            {"serving/a.py": "from edgeqa import errors, state", "errors.py": "", "state.py": ""},
            "forbidden",
            ["serving -> base"],
        ),
        (
            {"cache/a.py": "if TYPE_CHECKING:\n    from edgeqa.models.b import B\n", "models/b.py": ""},
            "forbidden",
            ["cache -> models"],
        ),
        (
            {
                "cache/a.py": "from edgeqa.cache.b import B\n",
                "cache/b.py": "def f():\n    from edgeqa.cache import a\n",
            },
            "circles",
            ["cache.a cache.b"],
        ),
        (
            {"cache/a.py": '"""It is pure."""\nfrom edgeqa import b', "b.py": "import os.path"},
            "not_pure",
            ["cache.a -> b"],
        ),
        ({"cache/a.py": '"""It is pure."""\ndef f(p): return open(p)'}, "not_pure", ["cache.a -> open()"]),
        ({"cache/a.py": '"""A\nB\n"""\n\n# C\n' + "x = 1\n" * 24, "cache/b.py": "x = 1\n" * 25}, "small", ["cache.a"]),
    ],
)
def test_it_sees_what_is_not_as_it_should_be(
    files: dict[str, str], attribute: str, found: list[str], directory: Path
) -> None:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    assert sorted(getattr(House(directory), attribute)) == found


if __name__ == "__main__":
    now = house()
    for title, lines in [
        ("FORBIDDEN", [f"{pair}: {', '.join(arrows)}" for pair, arrows in sorted(now.forbidden.items())]),
        ("CIRCLES", now.circles),
        ("NOT_PURE", now.not_pure),
        ("SMALL", now.small),
        ("DOORS", [f"{name}: {' '.join(dict.fromkeys(targets))}" for name, targets in sorted(now.doors.items())]),
        ("modules", [str(len(now.paths))]),
    ]:
        sys.stdout.write("\n    ".join([title, *lines]) + "\n")

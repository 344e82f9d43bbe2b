"""Tests that edgeqa's files are opened, locked, renamed and deleted in `edgeqa/files.py` alone, by reading the source.

There no link is followed, no pipe waited for, and nothing of another user's written. Whoever opens something else, a
user's document, or what a user has an output written to, stands in a list with the reason, which must fit exactly.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = Path(edgeqa.__file__).parent
PLACE = "files"

# By their names alone, whatever they are called on: `Path.unlink` and `os.unlink`, `shutil.rmtree` and another's.
METHODS = {
    *("open", "read_bytes", "read_text", "write_bytes", "write_text", "touch", "unlink", "remove", "rmdir", "rmtree"),
    *("removedirs", "rename", "renames", "replace", "link", "hardlink_to", "symlink_to", "symlink", "truncate"),
    *("mkdir", "makedirs", "mkdtemp", "mkstemp", "NamedTemporaryFile", "TemporaryDirectory", "TemporaryFile"),
    *("copy", "copy2", "copyfile", "copytree", "move", "chmod", "fchmod", "chown", "mknod", "mkfifo"),
    *("flock", "lockf", "mmap", "memmap", "fromfile", "tofile"),
    *("Environment", "connect", "from_file", "InferenceSession"),  # libraries that open what they are given by its path
}
# Names that open nothing where they are called on text, times, values and lists; and what edgeqa calls its own doors.
OF_VALUES = {"replace", "copy", "remove", "link", "move", "truncate", "connect", "symlink"}
MODULES = {"os", "shutil", "sqlite3", "lmdb"}
OUR_DOORS = re.compile(r"(Cache|Engine|runtime|edgeqa|store)\.open")

DOCUMENT = "what the user gave, and it is only read"
SYSTEM = "the system's, and it is only read"
PACKAGED = "the package's own data, and it is only read"
SCRATCH = "a folder, or a file, of this process alone, where temporary files are"
NAMED = "the user says where it is"
OPENED = "it was opened by `files`"
LIBRARY = "a library opens it, once `files` has looked at it"
MEMBER = "of an archive that is open"

# What is called in which module, how often, and why it may be.
EXCEPTIONS: dict[str, tuple[dict[str, int], str]] = {
    "asking.documents": ({"open": 2}, DOCUMENT),
    "bench.products": ({"InferenceSession": 1}, "a graph of its own making, in memory"),
    "cache.flight": ({"lockf": 2}, OPENED),
    "cache.ledger": ({"mmap": 1}, OPENED),
    "cache.premises": ({"read_text": 1}, SYSTEM),
    "cache.store": ({"Environment": 1}, LIBRARY),
    "capabilities.computing": ({"open": 1, "read_text": 2}, SYSTEM),
    "capabilities.device": ({"read_text": 2}, SYSTEM),
    "cluster.holding": (
        {"TemporaryFile": 1},
        "a file without a name, of this process, in the worker's folder",
    ),
    "collection.carrying": ({"open": 3}, "two members of an open archive, and a file that the user names to be read"),
    "collection.catalogue_file": ({"connect": 1}, LIBRARY),
    "collection.index": (
        {"TemporaryDirectory": 1, "open": 2, "symlink_to": 2},
        f"{LIBRARY}; {SCRATCH}; or the null device",
    ),
    "commands.evaluate": ({"TemporaryDirectory": 1}, SCRATCH),
    "formats.archive": ({"open": 1}, MEMBER),
    "formats.folders": ({"open": 5}, DOCUMENT),
    "formats.pdf": ({"read_bytes": 1}, PACKAGED),
    "formats.source": ({"TemporaryFile": 1}, SCRATCH),
    "models.exports": ({"read_bytes": 1}, DOCUMENT),
    "models.exports.adding": ({"open": 3}, f"{DOCUMENT}; or {MEMBER}"),
    "models.exports.graph": ({"open": 1}, DOCUMENT),
    "models.exports.trial": ({"TemporaryFile": 1, "from_file": 1}, f"{DOCUMENT}; or {SCRATCH}"),
    "models.providers": ({"TemporaryDirectory": 1, "read_text": 1}, SCRATCH),
    "models.session": ({"InferenceSession": 1}, LIBRARY),
    "models.tokenizer": ({"from_file": 1}, LIBRARY),
    "serving.listening": ({"unlink": 2}, NAMED),
    "serving.pages": ({"read_bytes": 1}, PACKAGED),
    "serving.tools": ({"write_text": 1}, SCRATCH),
    "serving.uploads": ({"open": 1}, SCRATCH),
    "streams": ({"open": 2}, SYSTEM),
}


def calls(source: str) -> dict[str, int]:
    """Returns what is called in a module that opens, locks, renames or deletes, and how often."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    found: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := _opens(node, imported, defined)):
            found[name] += 1
    return dict(sorted(found.items()))


def _opens(call: ast.Call, imported: Mapping[str, str], defined: set[str]) -> str:
    """Returns what is called, if it opens, locks, renames or deletes; or ""."""
    called = call.func
    if isinstance(called, ast.Name):
        is_ours = imported.get(called.id, "").startswith(("edgeqa", "dataclasses")) or called.id in defined
        return "" if is_ours or called.id not in METHODS else called.id
    if not isinstance(called, ast.Attribute) or called.attr not in METHODS:
        return ""
    on = ast.unparse(called.value)
    if on == "files" or OUR_DOORS.fullmatch(f"{on}.{called.attr}"):
        return ""
    if called.attr in OF_VALUES and on not in MODULES:
        # A Path's `replace` takes one argument, that of a text two, that of a time or a value named ones.
        return called.attr if called.attr == "replace" and len(call.args) == 1 and not call.keywords else ""
    return called.attr


def found() -> dict[str, dict[str, int]]:
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name != PLACE and (there := calls(path.read_text(encoding="utf-8"))):
            modules[name] = there
    return modules


def test_files_are_opened_locked_renamed_and_deleted_in_one_place() -> None:
    now = found()
    allowed = {name: there for name, (there, _) in EXCEPTIONS.items()}
    assert now == allowed, {name: (now.get(name), allowed.get(name)) for name in now.keys() | allowed.keys()}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("open('a')", {"open": 1}),
        ("path.open()", {"open": 1}),
        ("io.open('a')", {"open": 1}),
        ("os.open('a', 0)", {"open": 1}),
        ("path.read_bytes() + path.read_text()", {"read_bytes": 1, "read_text": 1}),
        ("path.unlink(missing_ok=True); os.unlink('a'); os.remove('a')", {"remove": 1, "unlink": 2}),
        ("shutil.rmtree(path)", {"rmtree": 1}),
        ("from shutil import rmtree\nrmtree(path)", {"rmtree": 1}),
        ("fcntl.flock(fd, 2); fcntl.lockf(fd, 2)", {"flock": 1, "lockf": 1}),
        ("os.replace('a', 'b'); path.replace(other); path.rename(other)", {"rename": 1, "replace": 2}),
        ("mmap.mmap(fd, 0)", {"mmap": 1}),
        ("files.read(path); files.delete(path)", {}),
        ("from edgeqa.files import rename\nrename(a, b)", {}),
        ("text.replace('a', 'b'); when.replace(year=1); replace(value, a=1)", {"replace": 1}),
        ("from dataclasses import replace\nreplace(value, a=1)", {}),
    ],
)
def test_it_sees_what_opens(source: str, expected: dict[str, int]) -> None:
    assert calls(source) == expected


if __name__ == "__main__":
    for module, there in found().items():
        sys.stdout.write(f'    "{module}": ({there}, X),\n')

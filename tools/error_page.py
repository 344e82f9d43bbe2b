"""Writes docs/errors.md, all messages with their remedies: `python tools/error_page.py docs/errors.md`, or `make man`.

In: the classes of errors; each is made from words in the place of real values, as PATH for a path. Out: a section for
each family, with a row for each message: the remedy, and the exit code of the command line. The tool invents no text.
If an error takes a number that is not in NUMBERS, the tool fails, so that a new error is never left out.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgeqa
from edgeqa.collection.errors import CatalogueDamaged
from edgeqa.errors import EdgeQAError, NotEnoughMemory

if TYPE_CHECKING:
    from collections.abc import Iterator

# What an error may be told, by the name of its argument; what is no string stands for itself.
NUMBERS = {
    "available_bytes": 200, "byte": 0xE9, "characters": 900, "contexts": 3, "doc_stride": 128, "files": 12, "found": 2,
    "known": 1, "least": 16, "line": 7, "max_seq_len": 20, "most_bytes": 1000, "most_s": 60.0, "most_tokens": 512,
    "needed_bytes": 300, "offset_bytes": 5, "opset": 99, "position": 4, "question_tokens": 40, "questions": 2,
    "retry_after_s": 1.0, "rows": 30522, "seconds": 5.0, "timeout_s": 10.0, "tokens": 30524,
}  # fmt: skip
FAMILIES = {
    "QuestionError": "Questions", "ContextError": "Texts and files", "OptionError": "Options",
    "CollectionError": "Collections", "BundleError": "Models", "CapabilityError": "The device",
    "CacheError": "The cache", "PipelineError": "The pipeline of transformers", "ClusterError": "A cluster",
    "ServingError": "The server",
}  # fmt: skip
HEAD = """# All messages

What edgeqa says when something is wrong, what to do, and the exit code of the command. PATH, NAME and other words in
capitals stand for what it will name. In Python each is an exception of the name in the last column.
[What is not a message](troubleshooting.md) has a page of its own.
"""


def kinds() -> list[type[EdgeQAError]]:
    """Returns every class of error, in the order of the tree."""
    for module in pkgutil.walk_packages(edgeqa.__path__, "edgeqa."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ModuleNotFoundError):  # of an extra that is not installed
                importlib.import_module(module.name)
    return list(dict.fromkeys(_below(EdgeQAError)))


def _below(kind: type[EdgeQAError]) -> Iterator[type[EdgeQAError]]:
    # Another test may have loaded a module anew: then there are classes that no name leads to any more.
    if getattr(sys.modules[kind.__module__], kind.__qualname__, None) is kind:
        yield kind
        for one in sorted(kind.__subclasses__(), key=_place):  # else in the order in which a process met them
            yield from _below(one)


def _place(kind: type[EdgeQAError]) -> tuple[str, int, str]:
    return kind.__module__, kind.__init__.__code__.co_firstlineno, kind.__qualname__


def example(kind: type[EdgeQAError]) -> EdgeQAError | None:
    """Returns such an error, made of facts that stand for others; None of a family, which is told its own message."""
    if kind is NotEnoughMemory:
        return NotEnoughMemory("memory", needed_bytes=300, available_bytes=200, overrides={})
    names = list(inspect.signature(kind.__init__).parameters.values())[1:]
    if [one.name for one in names][:1] == ["message"]:
        return None
    return kind(**{one.name: _fact(one) for one in names if one.default is inspect.Parameter.empty})


def _fact(parameter: inspect.Parameter) -> Any:  # noqa: ANN401 - what the error takes
    name, kind = parameter.name, str(parameter.annotation)
    if name == "damage":
        return CatalogueDamaged(Path("PATH"), "REASON")
    if "Iterable" in kind or "Sequence" in kind:
        return [Value(name.rstrip("s").upper())]
    if kind in ("int", "float"):
        return NUMBERS[name]
    if "Exception" in kind:
        return ValueError("REASON")
    if "Path" in kind:
        return Path(name.upper())
    return Value(name.upper().replace("_", " "))


class Value(str):
    """A word that stands for a value, shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def page() -> Iterator[str]:
    """Yields the lines of the page."""
    yield from HEAD.splitlines()
    found = kinds()
    placed: set[type[EdgeQAError]] = set()
    for root, heading in FAMILIES.items():
        rows = [kind for kind in found if any(base.__name__ == root for base in kind.__mro__) and kind not in placed]
        placed.update(rows)
        yield from _section(heading, rows)
    yield from _section("Everything else", [kind for kind in found if kind not in placed])


def _section(heading: str, rows: list[type[EdgeQAError]]) -> Iterator[str]:
    made = [(kind, error) for kind in rows if (error := example(kind)) is not None]
    if not made:
        return
    yield from ("", f"## {heading}", "", "| message | what to do | code | exception |", "|---|---|---|---|")
    for kind, error in made:
        yield f"| {_cell(str(error))} | {_cell(error.hint)} | {error.exit_code} | `{kind.__name__}` |"


def _cell(text: str) -> str:
    """Returns text as a cell shows it: as it stands, but for code, and with its lines."""
    shown = re.sub(r"([\\*\[\]<>|{}])", r"\\\1", text)
    return re.sub(r"\n *", "<br>", shown)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("\n".join(page()) + "\n", encoding="utf-8")

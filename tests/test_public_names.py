"""Tests that what is documented can be imported from `edgeqa`: each error that a public name says it raises."""

from __future__ import annotations

import builtins
import inspect
import re
from typing import TYPE_CHECKING

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Iterator

_RAISED = re.compile(r"^\s*((?:\w+, )*\w+): ", re.MULTILINE)


def documented() -> Iterator[tuple[str, str]]:
    """Yields what each public function and method is called, and the docstring that it has."""
    for name in edgeqa.__all__:
        public = getattr(edgeqa, name)
        if inspect.isclass(public) and issubclass(public, Exception):
            continue
        members = inspect.getmembers(public) if inspect.isclass(public) else []
        for called, member in [(name, public), *((f"{name}.{m}", one) for m, one in members if m[0] != "_")]:
            yield called, inspect.getdoc(member) or ""


def raised(docstring: str) -> set[str]:
    section = re.search(r"^Raises:\n((?:    .*\n?)+)", docstring, re.MULTILINE)
    return {name for names in _RAISED.findall(section[1]) for name in names.split(", ")} if section else set()


def test_every_error_that_a_public_name_says_it_raises_can_be_imported() -> None:
    found = {(name, error) for name, docstring in documented() for error in raised(docstring)}
    missing = {(name, error) for name, error in found if not (hasattr(edgeqa, error) or hasattr(builtins, error))}
    assert missing == set()
    assert {"CollectionError", "OptionError", "CacheError", "PipelineError"} <= set(edgeqa.__all__)
    assert len(found) > 10


def test_the_errors_are_errors() -> None:
    for name in edgeqa.__all__:
        public = getattr(edgeqa, name)
        if inspect.isclass(public) and issubclass(public, Exception):
            assert issubclass(public, edgeqa.EdgeQAError)
            assert public.__name__ == name

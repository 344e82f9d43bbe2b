"""Runs the examples in docstrings of what `import edgeqa` offers, as somebody reading them would.

The folder "examples" is there and was added; `qa` is an open runtime, and `cache` an empty cache in the folder "cache".
"""

from __future__ import annotations

import contextlib
import doctest
import inspect
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from pages import ROOT

import edgeqa

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The values' own forms in JSON are what `--json` prints. The methods of AsyncEdgeQA are EdgeQA's, awaited as its class
# shows. `bind` and `flight` are for the runtime, which keeps its answers at hand by them.
WITHOUT = {"Cache.bind", "Cache.flight", "Added.skip"}
# These begin with nothing open: the examples open what they need.
ALONE = {"AsyncEdgeQA", "EdgeQA", "aopen", "memoize", "open", "pipeline", "probe"}


def _public() -> Iterator[tuple[str, Any]]:
    for name in edgeqa.__all__:
        one = getattr(edgeqa, name)
        if not inspect.isclass(one):
            yield name, one
        elif not issubclass(one, Exception):
            yield name, one
            if one is not edgeqa.AsyncEdgeQA:
                yield from ((f"{name}.{method}", getattr(one, method)) for method in _methods(one))


def _methods(one: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(one, inspect.isroutine) if not name.startswith("_")]


def _needs_none(name: str) -> bool:
    return name in WITHOUT or (name.endswith(".to_json") and name != "Answer.to_json") or name.startswith("Counters.")


PUBLIC = {name: one for name, one in _public() if not _needs_none(name)}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_example_of_a_name_is_true(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    found = doctest.DocTestParser().get_examples(inspect.getdoc(PUBLIC[name]) or "")
    assert found, f"{name} has no example"
    with contextlib.ExitStack() as opened:
        names: dict[str, Any] = {"edgeqa": edgeqa}
        if name.startswith("Cache"):
            names["cache"] = opened.enter_context(edgeqa.Cache.open("cache"))
        elif name not in ALONE:
            names["qa"] = opened.enter_context(edgeqa.open())
            names["qa"].add("examples")
        test = doctest.DocTest(found, names, name, None, None, None)
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
        runner.run(test, out=said.append)
    assert not said, "".join(said)

"""The examples in docstrings of what `import edgeqa` offers are run, as somebody reading them would: with `qa` open."""

from __future__ import annotations

import doctest
import inspect
import shutil
from typing import TYPE_CHECKING

import pytest
from pages import ROOT

import edgeqa

if TYPE_CHECKING:
    from pathlib import Path

# Of these the docstring says all; the others have an example.
WITHOUT = {"capabilities", "counters", "forget_name", "remembered_name", "self_test", "with_reader"}
METHODS = {name for name, _ in inspect.getmembers(edgeqa.EdgeQA, inspect.isfunction) if not name.startswith("_")}
FUNCTIONS = ("memoize", "pipeline", "collections")


@pytest.mark.parametrize("name", [*sorted(METHODS - WITHOUT), *FUNCTIONS])
def test_the_example_of_a_name_is_true(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = getattr(edgeqa if name in FUNCTIONS else edgeqa.EdgeQA, name)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    found = doctest.DocTestParser().get_examples(inspect.getdoc(described) or "")
    assert found, f"{name} has no example"
    with edgeqa.open() as qa:
        qa.add("examples")
        test = doctest.DocTest(found, {"edgeqa": edgeqa, "qa": qa}, name, None, None, None)
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
        runner.run(test, out=said.append)
    assert not said, "".join(said)

"""Tests `edgeqa.models`, which does in Python what `edgeqa models` does."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from families import Made

import edgeqa
from edgeqa.capabilities.device import Reading
from edgeqa.cli import commands
from edgeqa.models.bundle import BUNDLED
from edgeqa.models.shelf import shipped_names

if TYPE_CHECKING:
    from pathlib import Path


def names() -> dict[str, bool]:
    return {model.name: model.is_in_use for model in edgeqa.models.list()}


def test_a_model_is_added_listed_used_and_removed(tmp_path: Path) -> None:
    made = Made()
    made.graph = made.pointing_at("Babbage")
    export = made.write(tmp_path / "tiny")
    shipped = {name: name == BUNDLED for name in shipped_names()}
    assert names() == shipped
    with pytest.raises(edgeqa.OptionError, match="quantize"):
        edgeqa.models.add(export, quantize="int4")  # type: ignore[arg-type]
    added = edgeqa.models.add(export)
    assert added.bundle.manifest.name == "tiny"
    assert names() == {**shipped, "tiny": False}
    edgeqa.models.use("tiny")
    assert names() == {**dict.fromkeys(shipped, False), "tiny": True}
    (found,) = [model for model in edgeqa.models.list() if model.name == "tiny"]
    assert found.bundle is not None
    assert (found.bundle.digest, found.fault) == (added.bundle.digest, "")
    (found.bundle.path / "tokenizer.json").write_text("{}")
    (broken,) = [model for model in edgeqa.models.list() if model.name == "tiny"]
    assert broken.bundle is None
    assert "tokenizer.json" in broken.fault
    assert edgeqa.models.remove("tiny") > 0
    assert names() == shipped
    for wrong in (edgeqa.models.use, edgeqa.models.remove):
        with pytest.raises(edgeqa.BundleError, match="tiny"):
            wrong("tiny")


def said(*arguments: str) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(CliRunner().invoke(commands, ["models", *arguments, "--json"]).output)


def test_they_are_those_of_the_command_line(tmp_path: Path) -> None:
    added = edgeqa.models.add(Made().write(tmp_path / "tiny"))
    shown = edgeqa.models.show("tiny")
    assert shown.to_json() == said("show", "tiny")
    assert (shown.bundle, shown.missing_bytes, shown.to_json()["fits"]) == (added.bundle, 0, True)
    assert edgeqa.models.show(added.bundle.path).bundle == added.bundle
    assert [model.to_json() for model in edgeqa.models.list()] == said("list")["models"]
    found = edgeqa.models.check()
    assert [(one.name, one.passed) for one in found] == [*((name, True) for name in shipped_names()), ("tiny", True)]
    assert [one.to_json() for one in found] == said("check")["models"]
    added.bundle.file("tokenizer.json").write_text("{}")
    (wrong, unknown) = edgeqa.models.check("tiny", "nothing")
    assert not wrong.passed
    assert "tokenizer.json" in wrong.text
    assert "no model called nothing" in unknown.text
    assert [wrong.to_json(), unknown.to_json()] == said("check", "tiny", "nothing")["models"]
    with pytest.raises(edgeqa.BundleError, match=r"tokenizer\.json"):
        edgeqa.models.show("tiny")
    (unfit,) = edgeqa.models.check(BUNDLED, budget_bytes=1 << 20)
    assert not unfit.passed
    assert "memory" in unfit.text


def test_a_model_that_does_not_fit_is_shown_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(edgeqa.probe(providers=False), memory_available_bytes=Reading(50 << 20, "a test"))
    monkeypatch.setattr("edgeqa.models.opening.probe", lambda **_: small)
    shown = edgeqa.models.show(BUNDLED)
    assert shown.missing_bytes > 0
    assert shown.to_json()["fits"] is False
    assert shown.to_json()["missing_bytes"] == shown.missing_bytes


def test_they_are_there_without_another_import() -> None:
    program = "import edgeqa, sys; print([m.name for m in edgeqa.models.list()], 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == f"{shipped_names()} False\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = edgeqa.models.nothing

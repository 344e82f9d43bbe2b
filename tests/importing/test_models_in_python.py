"""`edgeqa.models`: what `edgeqa models` does, in Python."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from families import Made

import edgeqa
from edgeqa.models.bundle import BUNDLED

if TYPE_CHECKING:
    from pathlib import Path


def names() -> dict[str, bool]:
    return {model.name: model.is_in_use for model in edgeqa.models.list()}


def test_a_model_is_added_listed_used_and_removed(tmp_path: Path) -> None:
    made = Made()
    made.graph = made.pointing_at("Babbage")
    export = made.write(tmp_path / "tiny")
    assert names() == {BUNDLED: True}
    with pytest.raises(edgeqa.OptionError, match="quantize"):
        edgeqa.models.add(export, quantize="int4")  # type: ignore[arg-type]
    added = edgeqa.models.add(export)
    assert added.bundle.manifest.name == "tiny"
    assert names() == {BUNDLED: True, "tiny": False}
    edgeqa.models.use("tiny")
    assert names() == {BUNDLED: False, "tiny": True}
    (found,) = [model for model in edgeqa.models.list() if model.name == "tiny"]
    assert found.bundle is not None
    assert (found.bundle.digest, found.fault) == (added.bundle.digest, "")
    (found.bundle.path / "tokenizer.json").write_text("{}")
    (broken,) = [model for model in edgeqa.models.list() if model.name == "tiny"]
    assert broken.bundle is None
    assert "tokenizer.json" in broken.fault
    assert edgeqa.models.remove("tiny") > 0
    assert names() == {BUNDLED: True}
    for wrong in (edgeqa.models.use, edgeqa.models.remove):
        with pytest.raises(edgeqa.BundleError, match="tiny"):
            wrong("tiny")


def test_they_are_there_without_another_import() -> None:
    program = "import edgeqa, sys; print([m.name for m in edgeqa.models.list()], 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == f"{[BUNDLED]} False\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = edgeqa.models.nothing

"""Tests that an export that runs away ends its own process, within limits, and not the one that adds it."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import numpy as np
import onnx
import psutil
import pytest
from families import Made, tokenizer
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Regex, Tokenizer, normalizers

import edgeqa
from edgeqa.errors import EXIT_DEVICE, ExportError
from edgeqa.models.exports import errors, trial
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.shelf import model_names, models_home, remove_model, shipped_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return Made().write(tmp_path / "export")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = {child.pid for child in psutil.Process().children()}
    yield
    assert not models_home().exists() or list(models_home().iterdir()) == []
    assert {child.pid for child in psutil.Process().children()} <= before


def refused(directory: Path, message: str) -> None:
    with pytest.raises(errors.ExportRanAway, match=message) as caught:
        add(str(directory))
    assert caught.value.exit_code == EXIT_DEVICE
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert model_names()[len(shipped_names()) :] == []


def with_loop(directory: Path, body: list[onnx.NodeProto], turns: int) -> Path:
    """Puts a loop behind the logits: its body makes `grown` of `given`."""
    model = onnx.load(directory / "model.onnx")
    for node in model.graph.node:
        node.output[:] = ["raw" if name == "start_logits" else name for name in node.output]
    cond, given = (
        helper.make_tensor_value_info("cond", TensorProto.BOOL, []),
        helper.make_tensor_value_info("given", TensorProto.FLOAT, None),
    )
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    same = helper.make_tensor_value_info("same", TensorProto.BOOL, [])
    grown = helper.make_tensor_value_info("grown", TensorProto.FLOAT, None)
    inner = helper.make_graph(
        [helper.make_node("Identity", ["cond"], ["same"]), *body], "body", [turn, cond, given], [same, grown]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(turns, np.int64), "turns"))
    model.graph.node.append(helper.make_node("Loop", ["turns", "", "raw"], ["start_logits"], body=inner))
    onnx.save(model, directory / "model.onnx")
    return directory


def test_a_loop_without_an_end_is_ended(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "STEP_LIMIT_S", 10.0)
    endless = with_loop(export, [helper.make_node("Sin", ["given"], ["grown"])], 1 << 62)
    refused(endless, r"cannot be tried out: it took more than 10 s$")


def test_a_pipeline_tries_an_export_out_before_it_loads_it(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edgeqa.pipeline(model=export)
    with monkeypatch.context() as patch:
        patch.setattr(trial, "try_apart", None)  # what was tried is not tried again, until its files change
        edgeqa.pipeline(model=export)
    monkeypatch.setattr(trial, "STEP_LIMIT_S", 3.0)
    endless = with_loop(export, [helper.make_node("Sin", ["given"], ["grown"])], 1 << 62)
    with pytest.raises(errors.ExportRanAway, match="it took more than 3 s"):
        edgeqa.pipeline(model=endless)


def test_many_short_steps_have_an_end_too(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "TOTAL_LIMIT_S", 0.0)
    refused(export, r"export cannot be tried out: it took more than 0 s$")


def test_a_graph_that_takes_all_memory_is_an_error(export: Path) -> None:
    greedy = with_loop(export, [helper.make_node("Concat", ["given", "given"], ["grown"], axis=0)], 40)
    with pytest.raises(ExportError, match=r"model\.onnx") as caught:
        add(str(greedy))
    assert caught.value.exit_code == EXIT_DEVICE


def test_a_tokenizer_that_makes_much_of_each_letter_is_ended(export: Path) -> None:
    library = Tokenizer.from_str(tokenizer("bert").to_str())
    library.normalizer = normalizers.Sequence([normalizers.Replace(Regex("."), "o" * 10)] * 7)
    library.save(str(export / "tokenizer.json"))
    refused(export, r"tokenizer\.json cannot be tried out: it takes more memory than it may$")


def test_a_child_that_is_killed_is_said_to_be(export: Path) -> None:
    def kill(*_: object) -> None:
        for child in psutil.Process().children():
            child.kill()

    with pytest.raises(errors.ExportRanAway, match=r"model\.onnx cannot be tried .* ended by signal 9, Killed$"):
        add(str(export), progress=kill)


def test_who_adds_is_not_limited(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it matter where it is, and what lies there."""
    (export.parent / "multiprocessing.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(export.parent)
    kinds = (resource.RLIMIT_DATA, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)
    before = [resource.getrlimit(kind) for kind in kinds]
    assert add("export").bundle.manifest.name == "export"
    assert [resource.getrlimit(kind) for kind in kinds] == before
    remove_model("export")


def test_where_no_process_can_be_started_that_is_said(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", os.fspath(export / "python"))
    refused(export, r"no process can be started \(No such file or directory\)")

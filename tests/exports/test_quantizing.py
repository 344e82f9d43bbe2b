"""Tests that `--quantize int8` gives a smaller model with the same answers, or refuses."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from families import Made
from onnx import TensorProto

from edgeqa import runtime
from edgeqa.errors import NotEnoughMemory
from edgeqa.models.exports import errors, quantizing
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.exports.graph import graph_facts
from edgeqa.models.exports.questions import QUESTIONS, Replies, drift_between
from edgeqa.models.shelf import model_names, shipped_names

if TYPE_CHECKING:
    from pathlib import Path

ANSWERS = [q.answer.split()[0] for q in QUESTIONS if q.answer and q.answer[0].isascii()]


@pytest.fixture
def made() -> Made:
    made = Made(width=64)
    made.graph = made.sure_of(*ANSWERS[:8])
    return made


def test_the_int8_form_is_smaller_and_answers_alike(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizing, "MIN_ROWS", 300)  # the tokenizer has 400 tokens
    export = str(made.write(tmp_path / "export"))
    whole, small = add(export, name="whole"), add(export, name="small", quantize="int8")
    assert small.bundle.manifest.precision == "int8"
    assert whole.bundle.manifest.precision == "float32"
    assert small.bundle.needs().file_bytes < 0.45 * whole.bundle.needs().file_bytes
    assert small.moved is not None
    assert small.moved.answers_percent <= quantizing.MAX_MOVED_PERCENT
    assert 0 < small.moved.logits <= quantizing.MAX_MOVED_LOGITS
    # The self-test compares with the float32 graph's logits, not with its own.
    assert small.verdict.largest_error > 0.01
    kinds = {node.op_type for node in onnx.load(small.bundle.file("model.onnx")).graph.node}
    assert kinds & {"MatMulInteger", "DynamicQuantizeLinear"}
    answers = []
    for name in ("whole", "small"):
        with runtime.open(bundle=name, persist="off") as qa:
            answers.append(qa.ask("Who designed it?", "In 1843 it was designed by Charles Babbage.", force=True).text)
    assert answers[0] == answers[1] == "Charles"


def test_the_table_of_words_is_int8_with_one_scale_a_row(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizing, "MIN_ROWS", 300)
    bundle = add(str(made.write(tmp_path / "export")), quantize="int8").bundle
    stored = {tensor.name: tensor for tensor in onnx.load(bundle.file("model.onnx")).graph.initializer}
    words, scale = stored["embeddings.word_int8"], stored["embeddings.word_scale"]
    assert (words.data_type, list(words.dims)) == (TensorProto.INT8, [400, 64])
    assert list(scale.dims) == [400, 1]
    assert "embeddings.word" not in stored


def test_answers_that_move_too_far_are_refused_with_the_figures(tmp_path: Path) -> None:
    """Random weights: every answer hangs by a hair."""
    export = Made(width=64, layers=6).write(tmp_path / "export")
    message = r"answers to the built-in questions move by \d+\.\d % F1 \(\d+ of them are others\), more than 10 %"
    with pytest.raises(errors.ExportQuantizedBadly, match=message) as caught:
        add(str(export), quantize="int8")
    assert "without --quantize" in caught.value.hint
    assert model_names()[len(shipped_names()) :] == []


def said(answer: str, logit: float) -> Replies:
    logits = np.full(30, logit, np.float32)
    return Replies(tuple([answer] * len(QUESTIONS)), tuple([(logits, logits)] * len(QUESTIONS)))


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (said("the seal", 1.0), "^$"),
        (said("the seal", 2.9), "^$"),
        (said("the seal", 3.1), r"^logits of the built-in questions move by 2\.10, more than 2$"),
        (said("the seal", float("nan")), r"^logits .* move by nan"),
        (said("a gasket", 1.0), r"^answers .* move by 100\.0 % F1 \(24 of them"),
        (said("", 1.0), r"^answers .* move by 100\.0 % F1"),
    ],
)
def test_both_bounds_hold(after: Replies, reason: str) -> None:
    assert re.search(reason, quantizing.too_far(drift_between(said("the seal", 1.0), after)))


def test_without_the_package_onnx_it_is_refused_with_the_extra(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizing, "find_spec", lambda name: None if name == "onnx" else find_spec(name))
    with pytest.raises(errors.ExportQuantizerMissing) as caught:
        add(str(made.write(tmp_path / "export")), quantize="int8")
    assert "edgeqa[convert]" in caught.value.hint
    assert model_names()[len(shipped_names()) :] == []


def test_what_is_int8_already_is_refused(made: Made, tmp_path: Path) -> None:
    export = made.write(tmp_path / "export")
    small = add(str(export), name="small", quantize="int8").bundle
    (export / "model.onnx").write_bytes(small.file("model.onnx").read_bytes())
    with pytest.raises(errors.ExportQuantizedAlready, match="is int8, and int8 is made of float32"):
        add(str(export), name="again", quantize="int8")
    # As it is, it can be added: its golden logits are its own.
    assert add(str(export), name="again").bundle.manifest.precision == "int8"


def test_the_memory_that_it_takes_is_asked_for_first(made: Made, tmp_path: Path) -> None:
    facts = graph_facts(made.write(tmp_path / "export") / "model.onnx")
    most_bytes = 4.1 * facts.size_bytes + 128 * (1 << 20)
    quantizing.check_memory(facts, int(most_bytes) + 1)
    with pytest.raises(NotEnoughMemory, match=r"not enough memory with quantize=int8: .* bytes missing"):
        quantizing.check_memory(facts, int(most_bytes) - 1)

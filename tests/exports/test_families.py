"""Tests that exports of every family become bundles, and answer with whole words cut from the text as given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import networks
import numpy as np
import onnxruntime
import pytest
from families import FAMILIES, SHIFTED, WITHOUT_TYPES, Made, tokenizer
from onnx import TensorProto

from edgeqa import runtime
from edgeqa.models.bundle import Bundle
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.readers import open_reader
from edgeqa.models.session import SessionOptions
from edgeqa.models.shelf import find_bundle
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "The wheel turns.  The machine was designed by Charles Babbage, (1791-1871), in London.\n\nIt was never built."


@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_of_each_family_is_added_and_answers(family: str, tmp_path: Path) -> None:
    made = Made(family)
    made.graph = made.pointing_at(" Babbage", " London")
    added = add(str(made.write(tmp_path / family)))
    assert added.bundle.manifest.kind == "joint"
    with runtime.open(bundle=family, persist="off") as qa:
        answer = qa.ask("Who designed it?", TEXT, force=True, top=2)
    assert "Babbage" in answer.candidates[0].text
    for candidate in answer.candidates:
        assert TEXT[candidate.start : candidate.end] == candidate.text == candidate.text.strip()
        around = f" {TEXT} "[candidate.start : candidate.end + 2]
        assert not (around[0].isalnum() and around[1].isalnum())
        assert not (around[-1].isalnum() and around[-2].isalnum())


@pytest.mark.parametrize("family", FAMILIES)
def test_question_and_context_are_laid_out_as_the_tokenizer_does(family: str, tmp_path: Path) -> None:
    """Against the library's own pair encoding, fed straight to onnxruntime."""
    directory = Made(family).write(tmp_path / family)
    bundle = add(str(directory)).bundle
    question, context = "Who designed the machine?", "It was designed by Charles Babbage."
    encoding = tokenizer(family).encode(question, context)
    feed = {
        "input_ids": np.array([encoding.ids]),
        "attention_mask": np.array([encoding.attention_mask]),
        "token_type_ids": np.array([encoding.type_ids]),
    }
    session = onnxruntime.InferenceSession(str(directory / "model.onnx"))
    start, end = session.run(None, {i.name: feed[i.name] for i in session.get_inputs()})
    reader, its = open_reader(bundle, SessionOptions()), Tokenizer(bundle.file("tokenizer.json"))
    found = reader.read(
        reader.encode_question(its.tokenize(question).ids), reader.encode_context(its.tokenize(context).ids)
    )
    of_context = [at for at, sequence in enumerate(encoding.sequence_ids) if sequence == 1]
    np.testing.assert_allclose(found.start, start[0][of_context], atol=1e-5)
    np.testing.assert_allclose(found.end, end[0][of_context], atol=1e-5)
    assert found.no_answer == pytest.approx(start[0][0] + end[0][0], abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_manifest_says_what_the_family_is(family: str, tmp_path: Path) -> None:
    manifest = add(str(Made(family).write(tmp_path / family))).bundle.manifest
    double = family in {"roberta", "xlm-roberta"}
    assert len(manifest.pair.between) == (2 if double else 1)
    assert manifest.joint is not None
    assert manifest.joint.first_position == (2 if family in SHIFTED else 0)
    assert manifest.joint.max_tokens == 512
    assert manifest.lowercase == (family in {"bert", "electra", "mobilebert", "albert"})
    # A question of the longest, the longest context and the special tokens are as many as the model takes.
    context_tokens = manifest.max_context_tokens - 1
    assert manifest.max_question_tokens - 2 + context_tokens + manifest.pair.special_tokens == 512


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("element", [TensorProto.INT64, TensorProto.INT32])
@pytest.mark.parametrize(
    "outputs", [("start_logits", "end_logits"), ("output_0", "output_1"), ("logits",)], ids=["named", "two", "one"]
)
def test_inputs_and_outputs_of_other_names_and_types(
    family: str, element: int, outputs: tuple[str, ...], tmp_path: Path
) -> None:
    made = Made(family)
    inputs = [*made.shape().inputs, "position_ids"]
    made.graph = made.encoder(networks.Shape(inputs=inputs, outputs=outputs, element=element))
    found = add(str(made.write(tmp_path / "other")))
    usual = Made(family)
    expected = add(str(usual.write(tmp_path / "usual")))
    # The same weights, whatever inputs and outputs are called: the same logits.
    golden = [json.loads(a.bundle.file("golden.json").read_text()) for a in (found, expected)]
    assert found.bundle.manifest.joint is not None
    assert found.bundle.manifest.joint.outputs == outputs
    for one, other in zip(*golden, strict=True):
        assert one["context_ids"] == other["context_ids"]
        np.testing.assert_allclose(one["start_logits"], other["start_logits"], atol=2e-4)


def test_an_export_without_token_types_gets_none(tmp_path: Path) -> None:
    for family in WITHOUT_TYPES:
        Made(family).write(tmp_path / family)
        session = onnxruntime.InferenceSession(str(tmp_path / family / "model.onnx"))
        assert "token_type_ids" not in [i.name for i in session.get_inputs()]
        add(str(tmp_path / family))
    assert Bundle.load(find_bundle("roberta")).manifest.pair.context_type == 0

"""Tests that the bundled network answers the same in two halves and as one ordinary export, in float32, unrounded.

A split bundle keeps its encodings in int8 in any precision. That one rounding is taken out here: its `read` graph is
made to take floats. It needs the float weights, given by EDGEQA_REFERENCE_WEIGHTS.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import onnx
import pytest
from make_bundle import write_bundle
from onnx import TensorProto
from weights import load_weights

import edgeqa
from edgeqa import runtime
from edgeqa.models.bundle import DEFAULT_BUNDLE
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.readers import Encoding, SplitReader

if TYPE_CHECKING:
    from edgeqa.models.readers import Ids

WEIGHTS = os.environ.get("EDGEQA_REFERENCE_WEIGHTS")
DATA = Path(__file__).parent.parent / "data"
TOKENIZER = DEFAULT_BUNDLE / "tokenizer.json"
QUESTIONS = [
    (qa["question"], paragraph["context"])
    for version in ("1.1", "2.0")
    for article in json.loads((DATA / f"squad-v{version}.json").read_text(encoding="utf-8"))["data"]
    for paragraph in article["paragraphs"]
    for qa in paragraph["qas"]
]
SCORE = 1e-3


def export(directory: Path) -> Path:
    """Writes the network as one graph; the attention masks of its lower layers are computed inside."""
    weights, sizes = load_weights(Path(WEIGHTS or ""))
    vocabulary, width = weights["word.weight"].shape
    shape = networks.Sizes(vocabulary, width, sizes.layers, sizes.heads, apart=sizes.split)
    directory.mkdir()
    onnx.save(networks.bert(shape, weights), directory / "model.onnx")
    config = {
        "architectures": ["BertForQuestionAnswering"],
        "model_type": "bert",
        "num_hidden_layers": sizes.layers,
        "hidden_size": width,
        "num_attention_heads": sizes.heads,
        "max_position_embeddings": shape.positions,
        "pad_token_id": 0,
        "vocab_size": vocabulary,
    }
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    return directory


def unrounded(directory: Path, patch: pytest.MonkeyPatch) -> Path:
    """Makes a split bundle in float32 whose encodings are kept as they are."""
    write_bundle(Path(WEIGHTS or ""), directory, precision="float32", like=DEFAULT_BUNDLE, tokenizer_path=TOKENIZER)
    file, manifest = directory / "read.onnx", directory / "manifest.json"
    model = onnx.load(file)
    hidden = next(i for i in model.graph.input if i.name == "context_hidden")
    hidden.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] == "context_hidden":
            node.op_type = "Identity"
            del node.input[1:], node.attribute[:]
    onnx.save(model, file)
    facts: dict[str, Any] = json.loads(manifest.read_text())
    content = file.read_bytes()
    facts["files"]["read.onnx"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest.write_text(json.dumps(facts))

    rounded, hidden_of = SplitReader.encode_context, SplitReader._hidden
    seen: list[Any] = []

    def kept(reader: SplitReader, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as they come
        seen.append(hidden_of(reader, *args, **kwargs))
        return seen[-1]

    def encode_context(reader: SplitReader, ids: Ids) -> Encoding:
        rounded(reader, ids)
        floats = seen[-1][0]
        return Encoding(floats, np.ones((len(floats), 1), np.float32))

    patch.setattr(SplitReader, "_hidden", kept)
    patch.setattr(SplitReader, "encode_context", encode_context)
    return directory


@pytest.mark.reference
@pytest.mark.skipif(not WEIGHTS, reason="EDGEQA_REFERENCE_WEIGHTS is not set")
def test_as_one_export_the_bundled_network_answers_as_in_two_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = add(str(export(tmp_path / "in-one")))
    assert (added.right_percent or 0) > 80
    halves = unrounded(tmp_path / "in-two", monkeypatch)
    with (
        runtime.open(bundle="in-one", persist="off") as one,
        runtime.open(bundle=halves, persist="off") as two,
    ):
        for question, context in QUESTIONS[::2]:
            answers = [qa.ask(question, context, force=True) for qa in (one, two)]
            assert answers[0].text == answers[1].text, question
            assert answers[0].start == answers[1].start, question
            assert answers[0].score == pytest.approx(answers[1].score, abs=SCORE), question
    pipelines = [edgeqa.pipeline(model=model, top_k=5) for model in ("in-one", halves)]
    settings = {"max_seq_len": 160, "doc_stride": 40, "handle_impossible_answer": True}
    for question, context in QUESTIONS[::6]:
        first, second = (pipeline(question=question, context=context, **settings) for pipeline in pipelines)
        assert [{**answer, "score": 0} for answer in first] == [{**answer, "score": 0} for answer in second]
        assert [a["score"] for a in first] == pytest.approx([a["score"] for a in second], abs=1e-4)

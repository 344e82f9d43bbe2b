"""The graphs that tools/ lays compute, in onnxruntime, what the reference network computes in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

pytest.importorskip("onnx", reason="tools/ needs the extra edgeqa[tools]")
pytest.importorskip("safetensors", reason="tools/ needs the extra edgeqa[tools]")

import onnx
import reference
from graphs import SPAN_WEIGHT, encode_graph, read_graph
from quantize import save_int8
from small_reader import SIZES, WIDTH, small_weights

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from weights import Floats, Ints, Weights

VOCABULARY = 60
TOLERANCE = 1e-4
LENGTHS_TOKENS = [(1,), (5,), (448,), (7, 7, 7), (3, 40, 12), (1, 2), (100, 1, 33, 64, 8)]


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def weights() -> Weights:
    return small_weights(vocabulary=VOCABULARY)


@pytest.fixture(scope="module")
def encoder(weights: Weights) -> onnxruntime.InferenceSession:
    return session(encode_graph(weights, SIZES))


def padded(lengths_tokens: tuple[int, ...], seed: int = 1) -> tuple[Ints, NDArray[np.bool_]]:
    """Returns random token ids, 0 in the padding, and which of them are valid."""
    valid = np.arange(max(lengths_tokens)) < np.array(lengths_tokens)[:, None]
    return np.random.default_rng(seed).integers(1, VOCABULARY, valid.shape) * valid, valid


def run_encode(encoder: onnxruntime.InferenceSession, ids: Ints, types: Ints, valid: NDArray[np.bool_]) -> Floats:
    feeds = {
        "input_ids": ids,
        "attention_mask": valid.astype(np.int64),
        "token_type_ids": types,
        "position_ids": reference.position_ids(types, valid),
    }
    return cast("Floats", encoder.run(["hidden"], feeds)[0])


@pytest.mark.parametrize("lengths_tokens", LENGTHS_TOKENS)
def test_encode_graph_of_contexts(
    lengths_tokens: tuple[int, ...], weights: Weights, encoder: onnxruntime.InferenceSession
) -> None:
    ids, valid = padded(lengths_tokens)
    types = valid.astype(np.int64)
    expected = reference.encode(weights, SIZES, ids, types, valid)
    assert_allclose(run_encode(encoder, ids, types, valid)[valid], expected[valid], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("tokens", [2, 9, 64])
def test_encode_graph_of_a_question(tokens: int, weights: Weights, encoder: onnxruntime.InferenceSession) -> None:
    ids, valid = padded((tokens,))
    types = np.zeros_like(ids)
    expected = reference.encode(weights, SIZES, ids, types, valid)
    assert_allclose(run_encode(encoder, ids, types, valid), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("lengths_tokens", LENGTHS_TOKENS)
@pytest.mark.parametrize("question_tokens", [2, 17])
def test_read_graph(question_tokens: int, lengths_tokens: tuple[int, ...], weights: Weights) -> None:
    random = np.random.default_rng(2)
    _, context_valid = padded(lengths_tokens)
    question = random.standard_normal((1, question_tokens, WIDTH)).astype(np.float32)
    context = random.integers(-127, 128, (*context_valid.shape, WIDTH), np.int8)
    scale = random.uniform(0.01, 0.03, (*context_valid.shape, 1)).astype(np.float32)
    feeds = {
        "question_hidden": question,
        "context_hidden": context,
        "context_scale": scale,
        "context_mask": context_valid.astype(np.int64),
    }
    logits = session(read_graph(weights, SIZES)).run(["logits"], feeds)[0]

    repeated = np.repeat(question, len(lengths_tokens), axis=0)
    hidden = np.concatenate([repeated, context.astype(np.float32) * scale], axis=1)
    valid = np.concatenate([np.ones(repeated.shape[:2], np.bool_), context_valid], axis=1)
    expected = reference.read(weights, SIZES, hidden, valid)
    assert_allclose(logits[valid], expected[valid], rtol=0, atol=TOLERANCE)


@settings(max_examples=40, deadline=None)
@given(question_tokens=st.integers(2, 64), context_tokens=st.integers(1, 80), seed=st.integers(0, 1000))
def test_a_contexts_encoding_does_not_depend_on_the_question(
    question_tokens: int,
    context_tokens: int,
    seed: int,
    weights: Weights,
    encoder: onnxruntime.InferenceSession,
) -> None:
    ids, valid = padded((question_tokens + context_tokens,), seed)
    types = (np.arange(ids.shape[1]) >= question_tokens).astype(np.int64)[None]
    joined = reference.encode(weights, SIZES, ids, types, valid)
    alone = slice(question_tokens, None)
    encoding = run_encode(encoder, ids[:, alone], types[:, alone], valid[:, alone])
    assert_allclose(encoding, joined[:, alone], rtol=0, atol=TOLERANCE)


def test_the_upper_layers_do_see_the_question(weights: Weights) -> None:
    ids, valid = padded((30,))
    types = (np.arange(30) >= 10).astype(np.int64)[None]
    other = np.where(types == 0, ids % (VOCABULARY - 1) + 1, ids)
    logits = [
        reference.read(weights, SIZES, reference.encode(weights, SIZES, i, types, valid), valid) for i in (ids, other)
    ]
    assert np.abs(logits[0] - logits[1])[:, 10:].max() > 100 * TOLERANCE


def test_padding_is_never_an_answer(weights: Weights) -> None:
    ids, valid = padded((4, 9))
    hidden = reference.encode(weights, SIZES, ids, valid.astype(np.int64), valid)
    logits = reference.read(weights, SIZES, hidden, valid)
    assert (logits[~valid] == reference.MASKED).all()
    assert (logits[valid] > reference.MASKED / 2).all()


def test_positions_of_a_padded_batch() -> None:
    types = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]])
    valid = np.array([[True] * 6, [True] * 4 + [False] * 2])
    assert reference.position_ids(types, valid).tolist() == [[0, 1, 2, 64, 65, 66], [0, 1, 64, 65, 0, 0]]


def test_int8_words_are_the_words_rounded_row_by_row(weights: Weights) -> None:
    table = weights["word.weight"]
    step = np.abs(table).max(1, keepdims=True) / 127
    rounded = {**weights, "word.weight": (np.rint(table / step) * step).astype(np.float32)}
    ids, valid = padded((40, 25))
    types = valid.astype(np.int64)
    hidden = run_encode(session(encode_graph(weights, SIZES, int8_words=True)), ids, types, valid)
    assert_allclose(hidden[valid], reference.encode(rounded, SIZES, ids, types, valid)[valid], rtol=0, atol=TOLERANCE)


def test_int8_takes_all_matrix_products_but_the_span_heads(tmp_path: Path, weights: Weights) -> None:
    save_int8(read_graph(weights, SIZES), tmp_path / "read.onnx")
    graph = onnx.load(tmp_path / "read.onnx").graph
    assert [list(node.input)[1:] for node in graph.node if node.op_type == "MatMul"] == [[SPAN_WEIGHT]]
    assert sum(node.op_type == "MatMulInteger" for node in graph.node) == 4 * (SIZES.layers - SIZES.split)
    stored = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    columns = next(name for name in stored if name.startswith("layers.2.f1.weight") and name.endswith("_scale"))
    assert stored[columns].shape == (weights["layers.2.f1.weight"].shape[0],)

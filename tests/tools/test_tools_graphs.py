"""Tests that the graphs that tools/ lays compute, in onnxruntime, what the reference network computes in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

pytest.importorskip("onnx", reason="tools/ needs the extra edgeqa[tools]")
pytest.importorskip("safetensors", reason="tools/ needs the extra edgeqa[tools]")

import onnx
import reference
from external_data import ALIGNMENT_BYTES, MIN_BYTES, save_graph
from graphs import encode_graph, read_graph
from small_reader import SIZES, WIDTH, small_weights
from weights import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from weights import Floats, Ints, Weights

VOCABULARY = 60
TOLERANCE = 1e-4
ROUNDED = 0.7  # what int8 may move a value of the small network by; a wrong graph moves it by several
CONTEXT_TOKENS = [1, 5, 100, 448]


def session(
    model: onnx.ModelProto | Path, *, exact_int8: bool = False, optimized: Path | None = None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", str(int(exact_int8)))
    if optimized:
        options.optimized_model_filepath = str(optimized)
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def weights() -> Weights:
    return small_weights(vocabulary=VOCABULARY)


@pytest.fixture(scope="module")
def encoder(weights: Weights) -> onnxruntime.InferenceSession:
    return session(encode_graph(weights, SIZES, int8=False))


def random_ids(tokens: int, seed: int = 1) -> Ints:
    return np.random.default_rng(seed).integers(0, VOCABULARY, (1, tokens))


def run_encode(encoder: onnxruntime.InferenceSession, ids: Ints, first_position: int) -> Floats:
    positions = np.arange(first_position, first_position + ids.shape[1], dtype=np.int64)[None]
    return cast("Floats", encoder.run(["hidden"], {"input_ids": ids, "position_ids": positions})[0])


def expected_hidden(weights: Weights, ids: Ints, token_type: int) -> Floats:
    return reference.encode(weights, SIZES, ids, np.full_like(ids, token_type), np.ones_like(ids, np.bool_))


def question_and_context(
    question_tokens: int, context_tokens: int, likely_tokens: int | None = None
) -> dict[str, NDArray[Any]]:
    """Returns feeds of a question with [CLS] and [SEP], and of a context with its separator."""
    random = np.random.default_rng(2)
    return {
        "question_hidden": random.standard_normal((1, question_tokens, WIDTH)).astype(np.float32),
        "context_hidden": random.integers(-127, 128, (1, context_tokens, WIDTH), np.int8),
        "context_scale": random.uniform(0.01, 0.03, context_tokens).astype(np.float32),
        "likely_tokens": np.array([context_tokens - 1 if likely_tokens is None else likely_tokens]),
    }


def expected_logits(weights: Weights, feeds: dict[str, NDArray[Any]], rows: Ints) -> Floats:
    """Returns the reference's logits of these rows of the context, then of [CLS]."""
    context = feeds["context_hidden"].astype(np.float32) * feeds["context_scale"][:, None]
    hidden = np.concatenate([feeds["question_hidden"], context], axis=1)
    logits = reference.read(weights, SIZES, hidden, np.ones(hidden.shape[:2], np.bool_))
    return np.concatenate([logits[:, feeds["question_hidden"].shape[1] :][:, rows], logits[:, :1]], axis=1)


def run_read(reader: onnxruntime.InferenceSession, feeds: dict[str, NDArray[Any]]) -> tuple[Floats, Ints]:
    logits, rows = reader.run(["logits", "rows"], feeds)
    return logits, rows


@pytest.mark.parametrize("tokens", CONTEXT_TOKENS)
def test_encode_graph_of_a_context(tokens: int, weights: Weights, encoder: onnxruntime.InferenceSession) -> None:
    ids = random_ids(tokens)
    found = run_encode(encoder, ids, reference.CONTEXT_POSITION)
    assert_allclose(found, expected_hidden(weights, ids, 1), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("tokens", [2, 9, 64])
def test_encode_graph_of_a_question(tokens: int, weights: Weights, encoder: onnxruntime.InferenceSession) -> None:
    ids = random_ids(tokens)
    assert_allclose(run_encode(encoder, ids, 0), expected_hidden(weights, ids, 0), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("context_tokens", [2, 5, 100, 448])
@pytest.mark.parametrize("question_tokens", [2, 17])
def test_read_graph(question_tokens: int, context_tokens: int, weights: Weights) -> None:
    feeds = question_and_context(question_tokens, context_tokens)
    logits, rows = run_read(session(read_graph(weights, SIZES, int8=False)), feeds)
    assert sorted(rows) == list(range(context_tokens - 1))  # all but the separator
    assert_allclose(logits, expected_logits(weights, feeds, rows), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("likely_tokens", [1, 12, 98])
def test_what_the_last_layer_is_computed_for_sees_all_tokens(likely_tokens: int, weights: Weights) -> None:
    feeds = question_and_context(9, 100, likely_tokens)
    logits, rows = run_read(session(read_graph(weights, SIZES, int8=False)), feeds)
    assert len(set(rows)) == likely_tokens
    assert_allclose(logits, expected_logits(weights, feeds, rows), rtol=0, atol=TOLERANCE)


def test_likely_tokens_are_those_that_the_span_head_likes_a_layer_early(weights: Weights) -> None:
    feeds = question_and_context(9, 100, 12)
    shorter = Sizes(layers=SIZES.layers - 1, split=SIZES.split, heads=SIZES.heads)
    context = feeds["context_hidden"].astype(np.float32) * feeds["context_scale"][:, None]
    hidden = np.concatenate([feeds["question_hidden"], context], axis=1)
    without_bias = {**weights, "span.bias": np.zeros(2, np.float32)}
    early = reference.read(without_bias, shorter, hidden, np.ones(hidden.shape[:2], np.bool_))[0, 9:-1].max(axis=1)
    _, rows = run_read(session(read_graph(weights, SIZES, int8=False)), feeds)
    assert set(rows) == set(np.argsort(early)[-12:])


@settings(max_examples=40, deadline=None)
@given(question_tokens=st.integers(2, 64), context_tokens=st.integers(1, 80), seed=st.integers(0, 1000))
def test_a_contexts_encoding_does_not_depend_on_the_question(
    question_tokens: int,
    context_tokens: int,
    seed: int,
    weights: Weights,
    encoder: onnxruntime.InferenceSession,
) -> None:
    ids = random_ids(question_tokens + context_tokens, seed)
    types = (np.arange(ids.shape[1]) >= question_tokens).astype(np.int64)[None]
    joined = reference.encode(weights, SIZES, ids, types, np.ones_like(ids, np.bool_))
    encoding = run_encode(encoder, ids[:, question_tokens:], reference.CONTEXT_POSITION)
    assert_allclose(encoding, joined[:, question_tokens:], rtol=0, atol=TOLERANCE)


def test_the_upper_layers_do_see_the_question(weights: Weights) -> None:
    ids = random_ids(30)
    valid = np.ones_like(ids, np.bool_)
    types = (np.arange(30) >= 10).astype(np.int64)[None]
    other = np.where(types == 0, ids % (VOCABULARY - 1) + 1, ids)
    logits = [
        reference.read(weights, SIZES, reference.encode(weights, SIZES, i, types, valid), valid) for i in (ids, other)
    ]
    assert np.abs(logits[0] - logits[1])[:, 10:].max() > 100 * TOLERANCE


def test_padding_is_never_an_answer(weights: Weights) -> None:
    valid = np.arange(9) < np.array([[4], [9]])
    ids = np.random.default_rng(1).integers(1, VOCABULARY, valid.shape) * valid
    hidden = reference.encode(weights, SIZES, ids, valid.astype(np.int64), valid)
    logits = reference.read(weights, SIZES, hidden, valid)
    assert (logits[~valid] == reference.MASKED).all()
    assert (logits[valid] > reference.MASKED / 2).all()


def test_positions_of_a_padded_batch() -> None:
    types = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]])
    valid = np.array([[True] * 6, [True] * 4 + [False] * 2])
    assert reference.position_ids(types, valid).tolist() == [[0, 1, 2, 64, 65, 66], [0, 1, 64, 65, 0, 0]]


def test_int8_graphs_give_the_references_values_but_for_rounding(weights: Weights) -> None:
    ids = random_ids(40)
    hidden = run_encode(session(encode_graph(weights, SIZES, int8=True)), ids, reference.CONTEXT_POSITION)
    assert_allclose(hidden, expected_hidden(weights, ids, 1), rtol=0, atol=ROUNDED)
    feeds = question_and_context(7, 40)
    logits, rows = run_read(session(read_graph(weights, SIZES, int8=True)), feeds)
    assert_allclose(logits, expected_logits(weights, feeds, rows), rtol=0, atol=ROUNDED)


@pytest.mark.skipif(
    tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 25),
    reason="this onnxruntime changes weights only on a processor that has to have them changed",
)
def test_exact_int8_products_reach_every_product(weights: Weights, tmp_path: Path) -> None:
    """Weights are then uint8 with a zero point of 128: kernels that overflow 16 bits are not used for such."""
    model, optimized = read_graph(weights, SIZES, int8=True), tmp_path / "optimized.onnx"
    feeds = question_and_context(7, 40)
    exact, rows = run_read(session(model, exact_int8=True, optimized=optimized), feeds)
    assert_allclose(exact, expected_logits(weights, feeds, rows), rtol=0, atol=ROUNDED)
    types = {tensor.name: tensor.data_type for tensor in onnx.load(optimized).graph.initializer}
    weight_types = {
        types[node.input[1]]
        for node in onnx.load(optimized).graph.node
        if node.op_type in {"QAttention", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
    }
    assert weight_types == {onnx.TensorProto.UINT8}


def test_int8_takes_all_products_but_the_span_heads(weights: Weights) -> None:
    graph = read_graph(weights, SIZES, int8=True).graph
    kinds = [node.op_type for node in graph.node]
    layers = SIZES.layers - SIZES.split
    assert (kinds.count("QAttention"), kinds.count("DynamicQuantizeMatMul")) == (layers - 1, 3 * layers)
    assert kinds.count("MatMulIntegerToFloat") == 3  # queries, keys and values of the last layer
    assert {node.input[1] for node in graph.node if node.op_type == "MatMul"} == {"span.weight.T"}


def test_int8_words_are_the_words_rounded_row_by_row(weights: Weights) -> None:
    table = weights["word.weight"]
    step = np.abs(table).max(1, keepdims=True) / 127
    rounded = (np.rint(table / step) * step).astype(np.float32)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in encode_graph(weights, SIZES, int8=True).graph.initializer}
    assert_allclose(stored["word.int8"] * stored["word.scale"], rounded, rtol=0, atol=1e-6)


@pytest.mark.parametrize("lay", [encode_graph, read_graph])
def test_weights_lie_beside_the_graph_and_are_what_they_were(
    lay: Callable[..., onnx.ModelProto], weights: Weights, tmp_path: Path
) -> None:
    model = lay(weights, SIZES, int8=True)
    before = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    save_graph(model, tmp_path / "graph.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"graph.onnx", "graph.bin"}

    moved = {
        t.name: t.external_data for t in onnx.load(tmp_path / "graph.onnx", load_external_data=False).graph.initializer
    }
    for name, entries in moved.items():
        facts = {entry.key: entry.value for entry in entries}
        assert bool(facts) == (before[name].nbytes >= MIN_BYTES)
        assert facts.get("location", "graph.bin") == "graph.bin"
        assert int(facts.get("offset", 0)) % ALIGNMENT_BYTES == 0
    for tensor in onnx.load(tmp_path / "graph.onnx").graph.initializer:
        assert_array_equal(onnx.numpy_helper.to_array(tensor), before[tensor.name])


def test_a_saved_graph_runs_and_is_the_same_bytes_each_time(weights: Weights, tmp_path: Path) -> None:
    feeds = question_and_context(7, 40)
    in_memory, _ = run_read(session(read_graph(weights, SIZES, int8=True)), feeds)
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        save_graph(read_graph(weights, SIZES, int8=True), folder / "read.onnx")
        assert_array_equal(run_read(session(folder / "read.onnx"), feeds)[0], in_memory)
    for name in ("read.onnx", "read.bin"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_nothing_is_saved_over(weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "read.bin").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        save_graph(read_graph(weights, SIZES, int8=True), tmp_path / "read.onnx")
    assert (tmp_path / "read.bin").read_bytes() == b"mine"

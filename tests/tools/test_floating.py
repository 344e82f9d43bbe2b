"""Tests that graphs made of plain operators give what those of the CPU's own operators give, in onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("onnx", reason="tools/ needs the extra edgeqa[tools]")
pytest.importorskip("safetensors", reason="tools/ needs the extra edgeqa[tools]")

import onnx
from external_data import save_graph
from graphs import encode_graph, read_graph
from onnx import TensorProto, helper, numpy_helper
from small_reader import SIZES, WIDTH, small_weights

from edgeqa.errors import BundleGraphInvalid, GraphNotPlain
from edgeqa.models import onnx_file, selftest
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.models.floating import floating
from edgeqa.models.readers import SplitReader
from edgeqa.models.session import SessionOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

VOCABULARY = 60
CONTEXT_TOKENS, QUESTION_TOKENS, LIKELY_TOKENS = 50, 9, 12
SPLIT = ("encode.onnx", "read.onnx")
PLAIN = {
    *("Add", "Cast", "Concat", "Div", "Erf", "Gather", "Identity", "LayerNormalization", "MatMul", "Mul", "ReduceMax"),
    *("Reshape", "Shape", "Slice", "Softmax", "Sub", "TopK", "Transpose", "Unsqueeze"),
}
# What rounding to 8 bits on the way, or to 16, moves of the small network; a wrong graph moves it by several.
MOVES = {("float32", False): 1e-4, ("float32", True): 0.7, ("float16", False): 0.1, ("float16", True): 0.7}


def written(graph: onnx_file.Graph, directory: Path, name: str) -> Path:
    onnx_file.write(graph, directory / f"{name}.onnx", directory / f"{name}.bin")
    return directory / f"{name}.onnx"


def outputs(path: Path, feed: Arrays) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    wanted = {one.name: feed[one.name] for one in session.get_inputs()}
    return dict(zip(names, session.run(names, wanted), strict=True))


def feed() -> Arrays:
    random = np.random.default_rng(1)
    return {
        "input_ids": random.integers(0, VOCABULARY, (1, CONTEXT_TOKENS)),
        "position_ids": np.arange(64, 64 + CONTEXT_TOKENS)[None],
        "question_hidden": random.standard_normal((1, QUESTION_TOKENS, WIDTH)).astype(np.float32),
        "context_hidden": random.integers(-127, 128, (1, CONTEXT_TOKENS, WIDTH), np.int8),
        "context_scale": np.full(CONTEXT_TOKENS, 0.02, np.float32),
        "likely_tokens": np.array([LIKELY_TOKENS]),
    }


def by_row(found: Arrays) -> Arrays:
    """Logits by the rows that they are of: the order of the likely tokens may be any."""
    if "rows" not in found:
        return found
    order = np.argsort(found["rows"])
    logits = found["logits"]
    return {"rows": found["rows"][order], "logits": np.concatenate([logits[:, :-1][:, order], logits[:, -1:]], axis=1)}


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("lay", [encode_graph, read_graph])
def test_a_graph_of_plain_operators_computes_the_same(lay: Any, precision: str, int8: bool, tmp_path: Path) -> None:  # noqa: ANN401, FBT001
    save_graph(lay(small_weights(vocabulary=VOCABULARY), SIZES, int8=int8), tmp_path / "before.onnx")
    after = written(floating(onnx_file.read(tmp_path / "before.onnx"), precision), tmp_path, "after")

    onnx.checker.check_model(str(after))
    made = onnx.load(after)
    assert {node.op_type for node in made.graph.node} <= PLAIN
    assert [opset.domain for opset in made.opset_import] == [""]
    tables = {"word.int8"}  # what ids are looked up in stays as it is
    numbers = {i.name: i.data_type for i in made.graph.initializer if i.name not in tables}
    kind = TensorProto.FLOAT if precision == "float32" else TensorProto.FLOAT16
    assert set(numbers.values()) <= {kind, TensorProto.INT64}

    expected, found = by_row(outputs(tmp_path / "before.onnx", feed())), by_row(outputs(after, feed()))
    for name in expected:
        if name == "rows" and MOVES[precision, int8] > 1e-3:
            continue  # of two that are about as likely, either
        if name == "logits" and MOVES[precision, int8] > 1e-3:
            both = np.isin(expected["rows"], found["rows"]), np.isin(found["rows"], expected["rows"])
            assert both[0].sum() >= LIKELY_TOKENS - 3
            pairs = zip((expected, found), both, strict=True)
            ours, theirs = (
                np.concatenate([one["logits"][0, :-1][is_there], one["logits"][0, -1:]]) for one, is_there in pairs
            )
            assert_allclose(theirs, ours, atol=MOVES[precision, int8])
            continue
        assert found[name].dtype == expected[name].dtype
        assert_allclose(found[name], expected[name], atol=MOVES[precision, int8])


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_bundled_model_passes_its_self_test_in_plain_operators(precision: str, tmp_path: Path) -> None:
    bundle = Bundle.load(DEFAULT_BUNDLE)
    for name in SPLIT:
        made = floating(onnx_file.read(bundle.file(name)), precision)
        written(made, tmp_path, name.removesuffix(".onnx"))
    form = Bundle(tmp_path, bundle.manifest, bundle.digest)
    of_int8 = selftest.run(bundle, None, SplitReader(bundle, SessionOptions()))
    verdict = selftest.run(bundle, None, SplitReader(form, SessionOptions()))
    assert verdict.largest_error < of_int8.largest_error, "without rounding on the way, it is closer to the reference"
    assert verdict.fingerprint != of_int8.fingerprint


def test_what_is_read_is_written_again_as_it_was(tmp_path: Path) -> None:
    for name in SPLIT:
        before = onnx.load(DEFAULT_BUNDLE / name)
        after = onnx.load(written(onnx_file.read(DEFAULT_BUNDLE / name), tmp_path, name.removesuffix(".onnx")))
        assert [opset.SerializeToString() for opset in after.opset_import] == [
            opset.SerializeToString() for opset in before.opset_import
        ]
        for was, now in zip(before.graph.node, after.graph.node, strict=True):
            now.name = was.name
            assert now.SerializeToString(deterministic=True) == was.SerializeToString(deterministic=True)
        for was, now in zip(before.graph.initializer, after.graph.initializer, strict=True):
            assert now.name == was.name
            assert np.array_equal(numpy_helper.to_array(now), numpy_helper.to_array(was))
        assert list(after.graph.input) == list(before.graph.input)
        assert list(after.graph.output) == list(before.graph.output)


WEIGHT = np.linspace(-2, 2, 64 * 8, dtype=np.float32).reshape(64, 8)
X = np.linspace(-1, 1, 5 * 64, dtype=np.float32).reshape(1, 5, 64)


def model(nodes: list[onnx.NodeProto], tensors: Arrays, out: int = TensorProto.FLOAT) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "tokens", 64])
    y = helper.make_tensor_value_info("y", out, None)
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(a, name) for name, a in tensors.items()])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def saved(made: onnx.ModelProto, directory: Path) -> Path:
    path = directory / "before.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_products_as_other_quantisers_make_them_are_plain(tmp_path: Path) -> None:
    """As onnxruntime's own quantiser lays them out: `edgeqa models add --quantize int8` does."""
    step = np.float32(np.abs(WEIGHT).max() / 120)
    rounded = np.rint(WEIGHT / step)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "q_scale", "q_zero"]),
        helper.make_node("MatMulInteger", ["q", "w", "q_zero", "w_zero"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["steps"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["q_scale", "w_scale"], ["scale"]),
        helper.make_node("Mul", ["steps", "scale"], ["y"]),
    ]
    tensors = {
        "w": (rounded + 3).astype(np.int8),
        "w_zero": np.array(3, np.int8),
        "w_scale": np.array(step),
    }
    path = saved(model(nodes, tensors), tmp_path)
    found = outputs(written(floating(onnx_file.read(path), "float32"), tmp_path, "after"), {"x": X})
    assert_allclose(found["y"], X @ (rounded * step), atol=1e-3)


def test_attention_by_place_is_plain(tmp_path: Path) -> None:
    """As edgeqa-base has it: something is added to the scores."""
    added = np.random.default_rng(2).standard_normal((1, 2, 5, 5)).astype(np.float32)
    tensors = {"w": WEIGHT, "added": added}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["q"]),
        helper.make_node(
            "MultiHeadAttention", ["q", "q", "q", "", "", "added"], ["y"], domain="com.microsoft", num_heads=2
        ),
    ]
    path = saved(model(nodes, tensors), tmp_path)
    after = written(floating(onnx_file.read(path), "float32"), tmp_path, "after")
    assert_allclose(outputs(after, {"x": X})["y"], outputs(path, {"x": X})["y"], atol=1e-4)


MICROSOFT = {"domain": "com.microsoft"}
NOT_PLAIN = [
    ("float32", "FastGelu .* com.microsoft", helper.make_node("FastGelu", ["x"], ["y"], **MICROSOFT)),
    ("float32", "QuantizeLinear .* axis", helper.make_node("QuantizeLinear", ["x", "x"], ["y"], axis=2)),
    ("float32", "mask", helper.make_node("Attention", ["x", "w", "b", "m"], ["y"], **MICROSOFT, num_heads=2)),
    ("float32", "product", helper.make_node("MultiHeadAttention", ["x", "x", "x"], ["y"], **MICROSOFT, num_heads=2)),
    ("float32", "computed", helper.make_node("DynamicQuantizeMatMul", ["x", "x", "x"], ["y"], **MICROSOFT)),
    ("float16", "numbers", helper.make_node("Constant", [], ["y"], value_floats=[1.0])),
]


@pytest.mark.parametrize(("precision", "says", "node"), NOT_PLAIN)
def test_what_cannot_be_plain_is_named(precision: str, says: str, node: onnx.NodeProto, tmp_path: Path) -> None:
    path = saved(model([node], {"w": WEIGHT, "b": WEIGHT[0]}), tmp_path)
    with pytest.raises(GraphNotPlain, match=says):
        floating(onnx_file.read(path), precision)


def test_a_file_that_is_no_graph_is_said(tmp_path: Path) -> None:
    (tmp_path / "g.onnx").write_bytes(b"\x3a\xff\xff\x03graph")
    with pytest.raises(BundleGraphInvalid, match="cannot be read"):
        onnx_file.read(tmp_path / "g.onnx")

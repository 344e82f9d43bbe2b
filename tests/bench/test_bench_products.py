"""Tests that the matrix products that set the limit are really computed, and are those of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from edgeqa.bench import WORKLOADS
from edgeqa.bench.products import Products, layer, of_question
from edgeqa.models.onnx_file import Graph, Node, Tensor, Value, packed
from edgeqa.models.readers import likely_tokens
from edgeqa.models.session import SessionOptions

if TYPE_CHECKING:
    from edgeqa.models.bundle import Bundle


def test_a_model_made_of_bytes_computes_its_product() -> None:
    left, right = np.array([[[1, 2, 200]]], np.uint8), np.array([[3, -4], [5, 6], [-7, 127]], np.int8)
    nodes, given = [Node("MatMulInteger", ["left", "right"], ["product"])], [Value.of("left", left)]
    outputs = [Value.of("product", np.empty((1, 1, 2), np.int32))]
    made = packed(Graph("g", 8, {"": 17}, nodes, {"right": Tensor.of("right", right)}, given, outputs))
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    product = session.run(None, {"left": left})[0]
    assert product.tolist() == (left.astype(int) @ right.astype(int)).tolist()


@pytest.mark.parametrize("int8", [True, False])
def test_products_run_into_their_memory(int8: bool) -> None:  # noqa: FBT001 - a parameter of the test
    products = Products(layer(5, 64), int8=int8, options=SessionOptions())
    for memory in products._outputs.values():
        memory.fill(-1)
    products.run()
    assert all((memory != -1).any() for memory in products._outputs.values())


def test_the_products_are_those_of_the_layers_that_a_question_needs(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.layers, manifest.split, manifest.width) == (6, 3, 384)
    lower, *upper = of_question(manifest, question_tokens=8, context_tokens=32, contexts=2)
    assert len(upper) == 2
    weights = 12 * 384 * 384  # of a layer
    # [CLS] question [SEP] in the lower layers, and context [SEP] with it in the upper.
    assert sum(p.operations for p in lower if p.weighted) == 2 * 3 * weights * 10
    # In the last layer all are looked at, but only [CLS] and the likely tokens look.
    all_tokens, looking = 10 + 33, 1 + likely_tokens(32)
    rows = 2 * weights * all_tokens + 2 * 384 * 384 * all_tokens + 10 * 384 * 384 * looking
    assert all(sum(p.operations for p in run if p.weighted) == 2 * rows for run in upper)
    # Every token looks at every token, with all of its width: once for the weights, once for the values.
    assert sum(p.operations for p in lower if not p.weighted) == 2 * 3 * 2 * 10 * 10 * 384


def test_every_workload_has_products(bundle: Bundle) -> None:
    runs = [of_question(bundle.manifest, w.question_tokens, w.context_tokens, w.contexts) for w in WORKLOADS]
    assert [len(run) for run in runs] == [1 + w.contexts for w in WORKLOADS]

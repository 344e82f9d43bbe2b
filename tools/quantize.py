"""Turns a graph's matrix products into int8 ones, and writes it.

In goes a float32 ONNX model, out comes a file: weights int8 with one scale a column, activations scaled as they come
(dynamic quantization). The span head stays float32: it is two columns, and its rounding would go straight into the
logits. Word embeddings are not touched here, `graphs.encode_graph` lays them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx
from graphs import SPAN_WEIGHT
from onnxruntime.quantization import QuantType, quantize_dynamic


def save_int8(model: onnx.ModelProto, target: Path) -> None:
    """Writes the model to `target` with int8 matrix products."""
    span_head = [node.name for node in model.graph.node if SPAN_WEIGHT in node.input]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float32.onnx"
        onnx.save(model, source)
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=span_head,
            # Types are not inferred through onnxruntime's own operators, and all of them work on floats here.
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )

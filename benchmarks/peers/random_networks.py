"""Makes the peers' networks from their configurations, with random weights: only their times mean something.

As PyTorch modules, and as ONNX graphs: float32 as exported and fused by onnxruntime's own optimiser, and that quantised
to int8 dynamically. Run as a script, it makes the graphs of one network:

    python benchmarks/peers/random_networks.py distilbert FLOAT32.onnx INT8.onnx
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    DistilBertTokenizerFast,
    PreTrainedModel,
)

from edgeqa.models.bundle import DEFAULT_BUNDLE

_SIZES = {  # layers, width, heads
    "bert-large": (24, 1024, 16),
    "bert-base": (12, 768, 12),
    "distilbert": (6, 768, 12),
    "minilm": (6, 384, 12),
}


def tokenizer(name: str) -> Any:  # noqa: ANN401 - the library's own type is untyped
    """Returns a network's tokenizer; all have that of uncased BERT, which is the bundled model's too."""
    kind = DistilBertTokenizerFast if name == "distilbert" else BertTokenizerFast
    return kind(tokenizer_file=str(DEFAULT_BUNDLE / "tokenizer.json"))


def network(name: str, attention: str | None = None) -> PreTrainedModel:
    """Returns the network with random weights, the same each time."""
    layers, width, heads = _SIZES[name]
    torch.manual_seed(0)
    if name == "distilbert":
        config = DistilBertConfig(n_layers=layers, dim=width, n_heads=heads, hidden_dim=4 * width)
        made: PreTrainedModel = DistilBertForQuestionAnswering._from_config(config, attn_implementation=attention)  # noqa: SLF001 - the only way to choose the attention
        return made.eval()
    config = BertConfig(
        num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width
    )
    made = BertForQuestionAnswering._from_config(config, attn_implementation=attention)  # noqa: SLF001 - as above
    return made.eval()


def make_graphs(name: str, float32: Path, int8: Path) -> None:
    """Exports, fuses and quantises a network."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer

    float32.parent.mkdir(parents=True, exist_ok=True)
    exported = float32.with_suffix(".exported")
    inputs = ["input_ids", "attention_mask"] + ([] if name == "distilbert" else ["token_type_ids"])
    ids = torch.ones((2, 16), dtype=torch.int64)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that traces is old, and says so; fusing knows its patterns
        torch.onnx.export(
            network(name, "eager"),
            tuple(torch.ones_like(ids) for _ in inputs),
            str(exported),
            input_names=inputs,
            output_names=["start_logits", "end_logits"],
            dynamic_axes={i: {0: "batch", 1: "tokens"} for i in [*inputs, "start_logits", "end_logits"]},
            opset_version=17,
            dynamo=False,
        )
    layers, width, heads = _SIZES[name]
    model = optimizer.optimize_model(str(exported), model_type="bert", num_heads=heads, hidden_size=width)
    model.save_model_to_file(str(float32))
    # The fused operators' outputs have no type that shape inference knows.
    untyped = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(str(float32), str(int8), weight_type=QuantType.QInt8, extra_options=untyped)
    exported.unlink()
    fusions = {kind: count for kind, count in model.get_fused_operator_statistics().items() if count}
    print(f"{name}: {layers} layers, fused {fusions}")


if __name__ == "__main__":
    make_graphs(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))

"""Exports a network and its tokenizer to the directory that the usual exporters would write."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path

OPSET = 17


class _Logits(torch.nn.Module):
    """A network whose inputs are positional and whose outputs are start and end logits, in that order."""

    def __init__(self, model: Any, names: list[str]) -> None:  # noqa: ANN401 - transformers has no common type
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.model(**dict(zip(self.names, inputs, strict=True)))
        return found["start_logits"], found["end_logits"]


def export(model: Any, tokenizer: Any, directory: Path) -> None:  # noqa: ANN401 - as above
    """Writes `model.onnx`, `config.json` and the tokenizer's files to `directory`."""
    tokenizer.save_pretrained(directory)
    model.config.save_pretrained(directory)
    takes = inspect.signature(model.forward).parameters
    names = [name for name in tokenizer.model_input_names if name in takes]
    example = tokenizer("What is it?", "It is an example of a text.", return_tensors="pt")
    axes = {name: {0: "batch", 1: "tokens"} for name in (*names, "start_logits", "end_logits")}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing, of which the comparison shows whether it was right
        torch.onnx.export(
            _Logits(model, names).eval(),  # the exporter sets it back to how it was
            tuple(example[name] for name in names),
            str(directory / "model.onnx"),
            input_names=names,
            output_names=["start_logits", "end_logits"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )

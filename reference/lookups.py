"""Puts the network of `tests/compat/lookup.py` under transformers' own pipeline."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
import transformers
from lookup import POSITIONS, tables

if TYPE_CHECKING:
    from pathlib import Path


transformers.logging.set_verbosity(logging.CRITICAL)  # it does not know our class


class LookupForQuestionAnswering(transformers.BertForQuestionAnswering):
    """A BERT by class alone, so that the pipeline takes it: logits are looked up."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        small = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 4}
        super().__init__(transformers.BertConfig(vocab_size=8, **small))
        self.by_id, self.by_position = (torch.from_numpy(table) for table in tables(vocabulary, seed))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401, ARG002
        """Returns start and end logits."""
        both = self.by_id[input_ids] + self.by_position[: input_ids.shape[1]]
        return {"start_logits": both[..., 0], "end_logits": both[..., 1]}


def lookup_pipeline(tokenizer_class: str, file: Path, seed: int) -> Any:  # noqa: ANN401 - transformers has no types
    """Returns the pipeline on the tokenizer in `file`."""
    tokenizer = getattr(transformers, tokenizer_class)(tokenizer_file=str(file), model_max_length=POSITIONS)
    return transformers.pipeline(
        "question-answering", model=LookupForQuestionAnswering(len(tokenizer), seed), tokenizer=tokenizer
    )

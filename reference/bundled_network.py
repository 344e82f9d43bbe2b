"""Builds the bundled model's network in PyTorch, as one BERT reader that sees question and context at once.

In go token ids, which of them are valid, and token types (0 question, 1 context); out come start and end logits. The
lower layers see question and context apart: their mask is computed inside, from the token types, and so are positions.
So it has the inputs and outputs of an ordinary BERT reader, and exports as one. `tools/reference.py` says it in numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from reference import CONTEXT_POSITION, MASKED, NORM_EPSILON, POSITIONS
from torch import nn

if TYPE_CHECKING:
    from weights import Sizes, Weights


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.o = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.f1, self.f2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.ln1, self.ln2 = (nn.LayerNorm(width, eps=NORM_EPSILON) for _ in range(2))

    def forward(self, x: torch.Tensor, unseen: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5 + unseen
        seen = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, tokens, width)
        x = self.ln1(x + self.o(seen))
        return self.ln2(x + self.f2(nn.functional.gelu(self.f1(x))))


class BundledForQuestionAnswering(transformers.BertForQuestionAnswering):
    """A BERT by class, so that the pipeline takes it."""

    def __init__(self, weights: Weights, sizes: Sizes) -> None:
        vocabulary, width = weights["word.weight"].shape
        inner = len(weights["layers.0.f1.bias"])
        super().__init__(
            transformers.BertConfig(
                vocab_size=vocabulary,
                hidden_size=width,
                num_hidden_layers=sizes.layers,
                num_attention_heads=sizes.heads,
                intermediate_size=inner,
                max_position_embeddings=POSITIONS,
                architectures=["BertForQuestionAnswering"],
            )
        )
        del self.bert, self.qa_outputs
        self.split = sizes.split
        self.word, self.pos, self.typ = (
            nn.Embedding(*weights[f"{name}.weight"].shape) for name in ("word", "pos", "typ")
        )
        self.ln, self.span = nn.LayerNorm(width, eps=NORM_EPSILON), nn.Linear(width, 2)
        self.layers = nn.ModuleList(_Layer(width, sizes.heads, inner) for _ in range(sizes.layers))
        self.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
        self.eval()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor,
        **_: Any,  # noqa: ANN401
    ) -> dict[str, torch.Tensor]:
        """Returns start and end logits, each [batch, tokens]."""
        valid, of_context = attention_mask == 1, token_type_ids == 1
        index = torch.cumsum(torch.ones_like(input_ids), 1) - 1
        question_tokens = (valid & ~of_context).sum(1, keepdim=True)
        positions = torch.where(of_context, index - question_tokens + CONTEXT_POSITION, index)
        x = self.word(input_ids) + self.typ(token_type_ids) + self.pos(positions.clamp(0, POSITIONS - 1) * valid)
        x = self.ln(x)
        together = valid[:, None, None, :]
        apart = (of_context[:, None, :, None] == of_context[:, None, None, :]) & together
        for number, layer in enumerate(self.layers):
            seen = apart if number < self.split else together
            x = layer(x, torch.where(seen, 0.0, MASKED))
        start, end = self.span(x).unbind(-1)
        return {"start_logits": start, "end_logits": end}

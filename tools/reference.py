"""Computes the split reader in plain numpy: what the ONNX graphs must compute, written as arithmetic and nothing else.

In: the weights, token ids, token types (0 question, 1 context) and which tokens are valid (not padding), each
`[batch, tokens]`. Out: hidden values or start and end logits, in float32. A sequence is `[CLS] question [SEP] context
[SEP]`, or one of the two parts alone. The code is made to be right and easy to read, not fast; it knows nothing of
ONNX.

The lower layers see question and context apart, as in Cao et al., "DeFormer: Decomposing Pre-trained Transformers for
Faster Question Answering", ACL 2020.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from weights import Floats, Ints, Sizes, Weights

    Mask = NDArray[np.bool_]

CONTEXT_POSITION = 64  # of a context's first token, however long the question is
POSITIONS = 512
MASKED = -1e4  # finite, so that a row with everything masked stays a number
NORM_EPSILON = 1e-12

_erf = np.frompyfunc(math.erf, 1, 1)


def position_ids(types: Ints, valid: Mask) -> Ints:
    """Returns each token's position: 0.. in the question, `CONTEXT_POSITION`.. in the context, 0 in the padding."""
    index = np.broadcast_to(np.arange(types.shape[1]), types.shape)
    question_tokens = ((types == 0) & valid).sum(1, keepdims=True)
    position = np.where(types == 1, index - question_tokens + CONTEXT_POSITION, index)
    return position.clip(0, POSITIONS - 1) * valid


def encode(weights: Weights, sizes: Sizes, ids: Ints, types: Ints, valid: Mask) -> Floats:
    """Returns the lower layers' hidden values `[batch, tokens, width]`: question and context do not see each other."""
    embedded = weights["word.weight"][ids] + weights["typ.weight"][types]
    x = norm(embedded + weights["pos.weight"][position_ids(types, valid)], weights, "ln")
    apart = (types[:, :, None] == types[:, None, :]) & valid[:, None, :]
    return transformed(x, _masking(apart), weights, [f"layers.{i}" for i in range(sizes.split)], heads=sizes.heads)


def read(weights: Weights, sizes: Sizes, hidden: Floats, valid: Mask) -> Floats:
    """Returns start and end logits `[batch, tokens, 2]`: the upper layers, in which all valid tokens see each other."""
    together = np.broadcast_to(valid[:, None, :], (*valid.shape, valid.shape[1]))
    upper = [f"layers.{i}" for i in range(sizes.split, sizes.layers)]
    x = transformed(hidden, _masking(together), weights, upper, heads=sizes.heads)
    return np.where(valid[..., None], linear(x, weights, "span"), np.float32(MASKED))


def transformed(
    x: Floats, added: Floats, weights: Weights, layers: Sequence[str], *, heads: int, epsilon: float = NORM_EPSILON
) -> Floats:
    """Returns hidden values after these post-norm BERT layers.

    Args:
        x: hidden values before them, `[batch, tokens, width]`.
        added: what is added to each token's attention to each, `[batch, heads or 1, tokens, tokens]`.
        weights: of the layers.
        layers: what they are called.
        heads: how many of them attend.
        epsilon: what is added to a variance.
    """
    for layer in layers:
        seen = _attend(linear(x, weights, f"{layer}.qkv"), added, heads)
        x = norm(x + linear(seen, weights, f"{layer}.o"), weights, f"{layer}.ln1", epsilon)
        inner = _gelu(linear(x, weights, f"{layer}.f1"))
        x = norm(x + linear(inner, weights, f"{layer}.f2"), weights, f"{layer}.ln2", epsilon)
    return x


def _masking(seen: Mask) -> Floats:
    """Returns what is added to the attention where row i of `seen` says which tokens token i attends to."""
    return np.where(seen[:, None], np.float32(0), np.float32(MASKED))


def _attend(qkv: Floats, added: Floats, heads: int) -> Floats:
    batch, tokens, triple = qkv.shape
    width = triple // 3
    q, k, v = qkv.reshape(batch, tokens, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(-1, -2) * np.float32((width // heads) ** -0.5) + added
    weight = np.exp(scores - scores.max(-1, keepdims=True))
    return cast("Floats", ((weight / weight.sum(-1, keepdims=True)) @ v).swapaxes(1, 2).reshape(batch, tokens, width))


def linear(x: Floats, weights: Weights, name: str) -> Floats:
    """Returns the product called `name`, plus its bias."""
    return cast("Floats", x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def norm(x: Floats, weights: Weights, name: str, epsilon: float = NORM_EPSILON) -> Floats:
    """Returns `x` normalised token by token, with the scale and bias called `name`."""
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(epsilon))
    return cast("Floats", centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"])


def _gelu(x: Floats) -> Floats:
    # The exact function, not its tanh approximation: the two differ by more than the tests allow.
    return cast("Floats", x * (np.float32(0.5) * (1 + _erf(x * np.float32(0.5**0.5)).astype(np.float32))))

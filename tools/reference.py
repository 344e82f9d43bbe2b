"""The split reader in plain numpy: what the ONNX graphs must compute, written as arithmetic and nothing else.

In go the weights, token ids, token types (0 question, 1 context) and which tokens are valid (not padding), each
`[batch, tokens]`; out come hidden values or start and end logits, in float32. A sequence is `[CLS] question [SEP]
context [SEP]`, or one of the two parts alone. Made to be right and read, not fast; it knows nothing of ONNX.

Lower layers that see question and context apart: Cao et al., "DeFormer: Decomposing Pre-trained Transformers for
Faster Question Answering", ACL 2020.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
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
    x = _norm(embedded + weights["pos.weight"][position_ids(types, valid)], weights, "ln")
    apart = (types[:, :, None] == types[:, None, :]) & valid[:, None, :]
    for i in range(sizes.split):
        x = _layer(x, apart, weights, f"layers.{i}.", sizes.heads)
    return x


def read(weights: Weights, sizes: Sizes, hidden: Floats, valid: Mask) -> Floats:
    """Returns start and end logits `[batch, tokens, 2]`: the upper layers, in which all valid tokens see each other."""
    together = np.broadcast_to(valid[:, None, :], (*valid.shape, valid.shape[1]))
    x = hidden
    for i in range(sizes.split, sizes.layers):
        x = _layer(x, together, weights, f"layers.{i}.", sizes.heads)
    return np.where(valid[..., None], _linear(x, weights, "span"), np.float32(MASKED))


def _layer(x: Floats, seen: Mask, weights: Weights, prefix: str, heads: int) -> Floats:
    """Returns one post-norm BERT layer's output; row i of `seen` says which tokens token i attends to."""
    attended = _linear(_attend(_linear(x, weights, prefix + "qkv"), seen, heads), weights, prefix + "o")
    x = _norm(x + attended, weights, prefix + "ln1")
    inner = _linear(x, weights, prefix + "f1")
    return _norm(x + _linear(_gelu(inner), weights, prefix + "f2"), weights, prefix + "ln2")


def _attend(qkv: Floats, seen: Mask, heads: int) -> Floats:
    batch, tokens, triple = qkv.shape
    width = triple // 3
    q, k, v = qkv.reshape(batch, tokens, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    scores = q @ k.swapaxes(-1, -2) * np.float32((width // heads) ** -0.5)
    scores = scores + np.where(seen[:, None], np.float32(0), np.float32(MASKED))
    weight = np.exp(scores - scores.max(-1, keepdims=True))
    return cast("Floats", ((weight / weight.sum(-1, keepdims=True)) @ v).swapaxes(1, 2).reshape(batch, tokens, width))


def _linear(x: Floats, weights: Weights, name: str) -> Floats:
    return cast("Floats", x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def _norm(x: Floats, weights: Weights, name: str) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(NORM_EPSILON))
    return cast("Floats", centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"])


def _gelu(x: Floats) -> Floats:
    # The exact function, not its tanh approximation: the two differ by more than the tests allow.
    return cast("Floats", x * (np.float32(0.5) * (1 + _erf(x * np.float32(0.5**0.5)).astype(np.float32))))

"""Computes MPNet-base, a reader of question and text at once, in plain numpy: what its graph must give.

In: the files of weights, and a sequence's token ids. Out: float32 weights by name, and start and end logits. A sequence
is `<s> question </s></s> context </s>`, alone in its batch. The code is made to be right and easy to read, not fast.
`joint_graph.py` makes the graph, and `training/torch_readers.py` trains the network.

Source: Song et al., "MPNet: Masked and Permuted Pre-training for Language Understanding", NeurIPS 2020; buckets of
relative positions: Raffel et al., "Exploring the Limits of Transfer Learning" (T5), 2020.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from reference import linear, norm, transformed
from safetensors import safe_open

if TYPE_CHECKING:
    from pathlib import Path

    from weights import Floats, Ints, Weights

HEADS = 12
FIRST_POSITION = 2  # rows 0 and 1 of the table of positions are of the padding
POSITIONS = 512
NORM_EPSILON = 1e-5
BOS, PAD, EOS = 0, 1, 2
_BUCKETS, _FURTHEST = 32, 128
_SCALE = ".scale"


def load_base(pretrained: Path, trained: Path) -> dict[str, Floats]:
    """Returns all weights, float32.

    Args:
        pretrained: all-mpnet-base-v2, a safetensors file in the names of transformers' MPNetModel.
        trained: what training changed of it: the upper layers and the span head, in the names of this project; packed
            (int8 with one scale a row) or not. What it has goes before what was pre-trained.
    """
    return load_pretrained(pretrained) | load_floats(trained)


def load_pretrained(path: Path) -> dict[str, Floats]:
    """Returns what pre-training left, float32, of a safetensors file in the names of transformers' MPNetModel."""
    theirs = load_floats(path)
    weights = {
        "word.weight": theirs["embeddings.word_embeddings.weight"],
        "pos.weight": theirs["embeddings.position_embeddings.weight"],
        "rel.weight": theirs["encoder.relative_attention_bias.weight"],
    }
    for kind in ("weight", "bias"):
        weights[f"ln.{kind}"] = theirs[f"embeddings.LayerNorm.{kind}"]
        for layer in range(sum(name.endswith("attention.attn.q.bias") for name in theirs)):
            of, ours = f"encoder.layer.{layer}.", f"layers.{layer}."
            weights[f"{ours}qkv.{kind}"] = np.concatenate([theirs[f"{of}attention.attn.{p}.{kind}"] for p in "qkv"])
            weights[f"{ours}o.{kind}"] = theirs[f"{of}attention.attn.o.{kind}"]
            weights[f"{ours}ln1.{kind}"] = theirs[f"{of}attention.LayerNorm.{kind}"]
            weights[f"{ours}f1.{kind}"] = theirs[f"{of}intermediate.dense.{kind}"]
            weights[f"{ours}f2.{kind}"] = theirs[f"{of}output.dense.{kind}"]
            weights[f"{ours}ln2.{kind}"] = theirs[f"{of}output.LayerNorm.{kind}"]
    return weights


def layer_names(weights: Weights) -> list[str]:
    """Returns what the layers are called, lowest first."""
    return [f"layers.{number}" for number in range(sum(name.endswith(".qkv.bias") for name in weights))]


def read(weights: Weights, ids: Ints) -> Floats:
    """Returns start and end logits of one sequence, float32 [tokens, 2], from its ids, int64 [tokens]."""
    places = weights["pos.weight"][FIRST_POSITION : FIRST_POSITION + len(ids)]
    distances = np.arange(len(ids))[None] - np.arange(len(ids))[:, None]
    added = distance_weights(weights, distances)[None]
    x = norm((weights["word.weight"][ids] + places)[None], weights, "ln", NORM_EPSILON)
    x = transformed(x, added, weights, layer_names(weights), heads=HEADS, epsilon=NORM_EPSILON)
    logits: Floats = linear(x, weights, "span")[0]
    return logits


def distance_weights(weights: Weights, distances: Ints) -> Floats:
    """Returns what each head adds to the score of a token this far behind, float32 [heads, *distances' shape]."""
    return np.moveaxis(weights["rel.weight"][_bucket(distances)], -1, 0)


def _bucket(distances: Ints) -> Ints:
    half = _BUCKETS // 2
    exact = half // 2
    away = np.abs(distances)
    # In float32, as it was trained: at the borders of two buckets, one more digit may lead to the other.
    far = np.log(np.maximum(away, 1).astype(np.float32) / np.float32(exact)) / np.float32(math.log(_FURTHEST / exact))
    rough = np.minimum(exact + (far * np.float32(half - exact)).astype(np.int64), half - 1)
    return (distances > 0) * half + np.where(away < exact, away, rough)


def load_floats(path: Path) -> dict[str, Floats]:
    """Returns the weights of a safetensors file, float32, packed (int8 with one scale a row) or not."""
    with safe_open(path, framework="np") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    return {
        name: value.astype(np.float32) * np.float32(1 if (scale := stored.get(name + _SCALE)) is None else scale)
        for name, value in stored.items()
        if not name.endswith(_SCALE) and np.issubdtype(value.dtype, np.number) and value.dtype != np.int64
    }

"""Trains the teacher: MPNet-base as a span reader, on the answers of the examples alone.

In: the pre-trained network and its tokenizer, examples, perhaps packed weights to begin from. Out: a checkpoint that
training goes on from. The learning rate rises over the first examples, and falls to nothing over the last half.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional
from torch_readers import PAD, Teacher, load_mpnet, unpack

from examples import Tokens, batches, read_examples, tokenised

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

BOS, EOS = 0, 2
QUESTION_TOKENS, WINDOW_TOKENS, BATCH_TOKENS = 62, 176, 3000
RATE, WARM_UP_EXAMPLES, DECAY = 4e-5, 3000, 0.01
SEED = 5
SAVE_STEPS, SAY_STEPS = 100, 20


def train_teacher(examples_path: Path, mpnet: Path, begin: Path | None, checkpoint: Path, *, total: int) -> list[float]:
    """Trains until `total` examples have been seen, and returns the losses of this run's steps.

    Args:
        examples_path: the file of `examples.py`.
        mpnet: folder of the pre-trained network, model.safetensors and tokenizer.json.
        begin: packed weights of an earlier training, if there is one.
        checkpoint: where training goes on from, if it is there, and what it leaves.
        total: examples to see, all runs with this checkpoint together.
    """
    random.seed(SEED)
    torch.manual_seed(SEED)
    tokens = tokenised(read_examples(examples_path), open_tokenizer(mpnet), question_tokens=QUESTION_TOKENS)
    teacher = Teacher()
    load_mpnet(teacher, mpnet / "model.safetensors")
    if begin:
        teacher.load_state_dict(unpack(begin), strict=False)
    trained = list(teacher.trained().values())
    for weight in teacher.parameters():
        weight.requires_grad_(any(weight is each for each in trained))
    groups = [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": DECAY},
        {"params": [weight for weight in trained if weight.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, RATE, betas=(0.9, 0.98), fused=True)
    step = seen = 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        teacher.load_state_dict(state["m"])
        optimizer.load_state_dict(state["o"])
        step, seen = state["step"], state["seen"]

    def save() -> None:
        part = checkpoint.with_suffix(".part")
        torch.save({"m": teacher.state_dict(), "o": optimizer.state_dict(), "step": step, "seen": seen}, part)
        part.replace(checkpoint)

    teacher.train()
    losses: list[float] = []
    began, seen_before = time.monotonic(), seen
    stream = batches(tokens, window=WINDOW_TOKENS, tokens=BATCH_TOKENS, seed=11, skip=step)
    while seen < total:
        batch = [example for _, _, example in next(stream)]
        falling = min(1.0, 2 * (total - seen) / total)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (seen + 1) / WARM_UP_EXAMPLES) * max(0.01, falling)
        ids, valid, answers = _collate(batch)
        with torch.autocast("cpu", torch.bfloat16):
            logits = teacher(ids, valid)
        sides = [functional.cross_entropy(logits[..., side], answers[:, side]) for side in (0, 1)]
        loss = (sides[0] + sides[1]) / 2
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        step, seen = step + 1, seen + len(batch)
        if step % SAY_STEPS == 0:
            speed = (seen - seen_before) / (time.monotonic() - began)
            loss_now = np.mean(losses[-100:])
            print(f"{seen} of {total}, loss {loss_now:.3f}, {speed:.1f} examples a second", flush=True)
        if step % SAVE_STEPS == 0:
            save()
    save()
    return losses


def load_teacher(checkpoint: Path) -> Teacher:
    """Returns the teacher of a checkpoint, ready to be used."""
    teacher = Teacher()
    teacher.load_state_dict(torch.load(checkpoint)["m"])
    teacher.eval()
    return teacher


def open_tokenizer(mpnet: Path) -> Tokenizer:
    """Returns the tokenizer of the pre-trained network, which cuts and fills nothing up."""
    tokenizer = Tokenizer.from_file(str(mpnet / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def sequence(question: Sequence[int], context: Sequence[int]) -> list[int]:
    """Returns what the teacher reads: the question, then the context, apart by two ends."""
    return [BOS, *question, EOS, EOS, *context, EOS]


def _collate(batch: Sequence[Tokens]) -> tuple[Tensor, Tensor, Tensor]:
    """Returns ids and valid `[batch, tokens]`, and the answers' first and last tokens `[batch, 2]` (0: none)."""
    sequences = [sequence(example.question, example.context) for example in batch]
    longest = max(map(len, sequences))
    ids = torch.full((len(batch), longest), PAD)
    valid = torch.zeros(len(batch), longest, dtype=torch.bool)
    answers = torch.zeros(len(batch), 2, dtype=torch.long)
    for row, (example, tokens) in enumerate(zip(batch, sequences, strict=True)):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        valid[row, : len(tokens)] = True
        if example.first >= 0:
            before = len(example.question) + 3
            answers[row] = torch.tensor([example.first + before, example.last + before])
    return ids, valid, answers

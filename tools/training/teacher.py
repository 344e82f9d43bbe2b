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
from checkpoints import adamw, load_weights, resume, save
from torch.nn import functional
from torch_readers import PAD, Teacher, load_mpnet, unpack

from examples import Tokens, batches, open_tokenizer, read_examples, tokenised

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

BOS, EOS = 0, 2
QUESTION_TOKENS, WINDOW_TOKENS, BATCH_TOKENS = 62, 176, 3000
RATE, WARM_UP_EXAMPLES = 4e-5, 3000
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
    tokens = tokenised(
        read_examples(examples_path), open_tokenizer(mpnet / "tokenizer.json"), question_tokens=QUESTION_TOKENS
    )
    teacher = Teacher()
    load_mpnet(teacher, mpnet / "model.safetensors")
    if begin:
        teacher.load_state_dict(unpack(begin), strict=False)
    trained = list(teacher.trained().values())
    for weight in teacher.parameters():
        weight.requires_grad_(any(weight is each for each in trained))
    optimizer = adamw(trained, RATE, betas=(0.9, 0.98))
    progress = resume(teacher, optimizer, checkpoint)
    teacher.train()
    losses: list[float] = []
    began, seen_before = time.monotonic(), progress.seen
    stream = batches(tokens, window=WINDOW_TOKENS, tokens=BATCH_TOKENS, seed=11, skip=progress.step)
    while progress.seen < total:
        batch = [example for _, _, example in next(stream)]
        falling = min(1.0, 2 * (total - progress.seen) / total)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (progress.seen + 1) / WARM_UP_EXAMPLES) * max(0.01, falling)
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
        progress.step += 1
        progress.seen += len(batch)
        if progress.step % SAY_STEPS == 0:
            speed = (progress.seen - seen_before) / (time.monotonic() - began)
            loss_now = np.mean(losses[-100:])
            print(f"{progress.seen} of {total}, loss {loss_now:.3f}, {speed:.1f} examples a second", flush=True)
        if progress.step % SAVE_STEPS == 0:
            save(teacher, optimizer, progress, checkpoint)
    save(teacher, optimizer, progress, checkpoint)
    return losses


def load_teacher(checkpoint: Path) -> Teacher:
    """Returns the teacher of a checkpoint, ready to be used."""
    teacher = Teacher()
    load_weights(teacher, checkpoint)
    return teacher


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

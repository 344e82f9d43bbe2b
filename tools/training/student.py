"""Trains the student: on the answers of the examples and, where the teacher has labelled them, on its logits.

In: examples, perhaps labels (`labels.py`), weights to begin from. Out: a checkpoint that training goes on from, at
any time and as often as it is ended. The learning rate rises over the first examples and falls to nothing at `total`;
over the last ROUNDED_SHARE of them everything is rounded to 8 bits as on a device, so that the int8 graphs lose
nothing. It neither exports nor scores.

Source of the loss on the teacher's logits: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network",
2015.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from checkpoints import adamw, load_weights, resume, save
from torch.nn import functional
from torch_readers import Student, fill_student, unpack

from examples import Tokens, batches, open_tokenizer, read_examples, tokenised

if TYPE_CHECKING:
    from pathlib import Path

    from labels import Labels

    Batch = list[tuple[int, int, Tokens]]
    from torch import Tensor

CLS, SEP = 101, 102
QUESTION_TOKENS, WINDOW_TOKENS, BATCH_TOKENS = 62, 320, 6000
RATE, WARM_UP = 1e-4, 0.03
EARLY_WEIGHT = 0.15  # of the loss of the logits that choose the likely tokens
HARD_WEIGHT, HEAT = 0.4, 2.0  # of the answers beside the teacher's logits, and how far these are softened
MAX_LOSS = 60.0  # of an answer that was not among the likely tokens: it teaches only which tokens are likely
ROUNDED_SHARE = 0.25
SEED = 3
SAVE_STEPS, SAY_STEPS = 100, 25


def train_student(
    examples_path: Path, tokenizer_path: Path, begin: Path, checkpoint: Path, *, total: int, labels: Labels | None
) -> list[float]:
    """Trains until `total` examples have been seen, and returns the losses of this run's steps.

    Args:
        examples_path: the file of `examples.py`.
        tokenizer_path: the student's tokenizer.json.
        begin: safetensors weights to begin from, packed or not; a wider feed-forward part is cut down.
        checkpoint: where training goes on from, if it is there, and what it leaves.
        total: examples to see, all runs together.
        labels: the teacher's logits; None trains on the answers alone.
    """
    random.seed(SEED)
    torch.manual_seed(SEED)
    tokenizer = open_tokenizer(tokenizer_path)
    tokens = tokenised(read_examples(examples_path), tokenizer, question_tokens=QUESTION_TOKENS)
    student = Student()
    fill_student(student, unpack(begin))
    optimizer = adamw(student.parameters(), RATE)
    progress = resume(student, optimizer, checkpoint)
    student.train()
    losses: list[float] = []
    began, seen_before = time.monotonic(), progress.seen
    stream = batches(
        tokens, window=WINDOW_TOKENS, tokens=BATCH_TOKENS, seed=100, skip=progress.step, contexts_together=True
    )
    while progress.seen < total:
        batch = next(stream)
        if progress.seen >= total * (1 - ROUNDED_SHARE) and not student.in_8_bits:
            student.round_to_8_bits()
        warm = min(1.0, (progress.seen + 1) / (WARM_UP * total))
        for group in optimizer.param_groups:
            group["lr"] = RATE * warm * max(0.005, (total - progress.seen) / total)
        losses.append(_step(student, optimizer, batch, labels))
        progress.step += 1
        progress.seen += len(batch)
        if progress.step % SAY_STEPS == 0:
            speed = (progress.seen - seen_before) / (time.monotonic() - began)
            print(
                f"{progress.seen} of {total}, loss {np.mean(losses[-100:]):.3f}, {speed:.1f} examples a second",
                flush=True,
            )
        if progress.step % SAVE_STEPS == 0:
            save(student, optimizer, progress, checkpoint)
    save(student, optimizer, progress, checkpoint)
    return losses


def load_student(checkpoint: Path) -> Student:
    """Returns the student of a checkpoint, ready to be used."""
    student = Student()
    load_weights(student, checkpoint)
    return student


def _step(student: Student, optimizer: torch.optim.AdamW, batch: Batch, labels: Labels | None) -> float:
    questions, contexts, of_context, answers = _collate(batch)
    with torch.autocast("cpu", torch.bfloat16):
        logits, early = student(questions, contexts, of_context)
    hard = _on_answers(logits, answers).clamp(max=MAX_LOSS) + EARLY_WEIGHT * _on_answers(early, answers)
    loss = hard
    if labels is not None:
        soft, labelled = labels.of(batch, tokens=logits.shape[1], before=questions.shape[1])
        taught = HARD_WEIGHT * hard + (1 - HARD_WEIGHT) * _on_logits(logits, soft)
        loss = torch.where(labelled, taught, hard)
    mean = loss.mean()
    mean.backward()
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(mean.detach())


def _collate(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns what the student takes, each window once, and the answers' tokens `[batch, 2]` (0: none)."""
    numbers: dict[tuple[int, int], int] = {}
    of_context = [numbers.setdefault((each.context_number, begin), len(numbers)) for _, begin, each in batch]
    windows = {(each.context_number, begin): each.context for _, begin, each in batch}
    questions = _padded([[CLS, *each.question, SEP] for _, _, each in batch])
    contexts = _padded([[*windows[key], SEP] for key in numbers])
    before = questions.shape[1]
    answers = [(e.first + before, e.last + before) if e.first >= 0 else (0, 0) for _, _, e in batch]
    return questions, contexts, torch.tensor(of_context), torch.tensor(answers)


def _padded(sequences: list[list[int]]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(each) for each in sequences], batch_first=True)


def _on_answers(logits: Tensor, answers: Tensor) -> Tensor:
    losses = [functional.cross_entropy(logits[..., side], answers[:, side], reduction="none") for side in (0, 1)]
    return (losses[0] + losses[1]) / 2


def _on_logits(logits: Tensor, soft: Tensor) -> Tensor:
    """Returns how far the student's distribution is from the teacher's, both softened, `[batch]`."""
    apart = [
        functional.kl_div(
            functional.log_softmax(logits[..., side] / HEAT, -1),
            functional.softmax(soft[..., side] / HEAT, -1),
            reduction="none",
        )
        .sum(-1)
        .clamp(max=30)
        for side in (0, 1)
    ]
    return (apart[0] + apart[1]) / 2 * HEAT**2

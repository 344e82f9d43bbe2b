"""Records the teacher's opinion of every example: its highest start and end logits, from which the student learns.

In: a teacher and the examples. Out: a file of arrays, one row an example, which grows until all are labelled or the
time is over, and goes on where it was ended. A published file of it stands for the teacher: with one, no teacher is
needed. The file: `at` int16 `[examples, 2, TOP]`, token numbers in the context (-1: none); `logit` float16
`[examples, 2, TOP]` and `null` float16 `[examples, 2]`, less the highest of the example; `done` bool `[examples]`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from teacher import QUESTION_TOKENS, load_teacher, sequence
from torch_readers import MASKED, PAD

from examples import Tokens, open_tokenizer, read_examples, tokenised

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch_readers import Teacher

TOP = 12
WINDOW_TOKENS, BATCH_TOKENS = 440, 4000
SAVE_BATCHES = 200


class Labels:
    """The teacher's logits of examples, by number."""

    def __init__(self, path: Path, examples: int) -> None:
        """Reads the file, or begins an empty one.

        Raises:
            ValueError: the file labels other examples than these.
        """
        self.path = path
        if path.exists():
            stored = np.load(path)
            self.at, self.logit, self.null, self.done = (stored[name] for name in ("at", "logit", "null", "done"))
        else:
            self.at = np.full((examples, 2, TOP), -1, np.int16)
            self.logit = np.zeros((examples, 2, TOP), np.float16)
            self.null = np.zeros((examples, 2), np.float16)
            self.done = np.zeros(examples, np.bool_)
        if len(self.done) != examples:
            message = f"{path} labels {len(self.done)} examples, not {examples}"
            raise ValueError(message)

    def of(
        self, batch: Sequence[tuple[int, int, Tokens]], *, tokens: int, before: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the logits `[batch, tokens, 2]` laid over the batch's windows, and which of its examples have any.

        Each window begins at column `before`.
        """
        logits = torch.full((len(batch), tokens, 2), MASKED)
        for row, (number, begin, example) in enumerate(batch):
            logits[row, 0] = torch.from_numpy(self.null[number].astype(np.float32))
            for side in (0, 1):
                at = self.at[number, side].astype(np.int64) - begin
                inside = (self.at[number, side] >= 0) & (at >= 0) & (at < len(example.context))
                values = torch.from_numpy(self.logit[number, side][inside].astype(np.float32))
                logits[row, at[inside] + before, side] = values
        return logits, torch.tensor([bool(self.done[number]) for number, _, _ in batch])

    def save(self) -> None:
        """Writes the file, whole or not at all."""
        part = self.path.with_suffix(".part.npz")
        np.savez_compressed(part, at=self.at, logit=self.logit, null=self.null, done=self.done)
        part.replace(self.path)

    def put(
        self, number: int, logits: np.ndarray[tuple[int, int], np.dtype[np.float32]], null: Sequence[float]
    ) -> None:
        """Keeps the highest of `logits` `[context tokens, 2]` and those of "no answer" as an example's label."""
        for side in (0, 1):
            highest = max(float(logits[:, side].max(initial=MASKED)), null[side])
            top = np.argsort(-logits[:, side])[:TOP]
            self.at[number, side, : len(top)] = top
            self.logit[number, side, : len(top)] = logits[top, side] - highest
            self.null[number, side] = null[side] - highest
        self.done[number] = True


def label(examples_path: Path, mpnet: Path, checkpoint: Path, out: Path, *, minutes: float) -> Labels:
    """Labels what is not labelled yet, for so many minutes at most."""
    teacher = load_teacher(checkpoint)
    tokens = tokenised(
        read_examples(examples_path), open_tokenizer(mpnet / "tokenizer.json"), question_tokens=QUESTION_TOKENS
    )
    labels = Labels(out, len(tokens))
    waiting = sorted(np.flatnonzero(~labels.done), key=lambda number: len(tokens[number].context))
    batched: list[list[int]] = [[]]
    for number in map(int, waiting):
        longest = min(len(tokens[number].context), WINDOW_TOKENS) + QUESTION_TOKENS
        if longest * (len(batched[-1]) + 1) > BATCH_TOKENS:
            batched.append([])
        batched[-1].append(number)
    np.random.default_rng(1).shuffle(batched)  # so that a part is like the whole
    end = time.monotonic() + 60 * minutes
    for step, numbers in enumerate(batched, 1):
        if numbers:
            _label_batch(teacher, labels, numbers, tokens)
        if step % SAVE_BATCHES == 0:
            labels.save()
            print(f"{int(labels.done.sum())} of {len(tokens)} labelled", flush=True)
        if time.monotonic() > end:
            break
    labels.save()
    return labels


def _label_batch(teacher: Teacher, labels: Labels, numbers: Sequence[int], tokens: Sequence[Tokens]) -> None:
    contexts = [tokens[number].context[:WINDOW_TOKENS] for number in numbers]
    sequences = [sequence(tokens[number].question, context) for number, context in zip(numbers, contexts, strict=True)]
    longest = max(map(len, sequences))
    ids = torch.full((len(numbers), longest), PAD)
    valid = torch.zeros(len(numbers), longest, dtype=torch.bool)
    for row, each in enumerate(sequences):
        ids[row, : len(each)] = torch.tensor(each)
        valid[row, : len(each)] = True
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = teacher(ids, valid).numpy()
    for row, (number, context) in enumerate(zip(numbers, contexts, strict=True)):
        before = len(tokens[number].question) + 3
        labels.put(number, logits[row, before : before + len(context)], logits[row, 0].tolist())

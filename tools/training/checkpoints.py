"""Saves and loads what both trainings need to go on where they were ended: an optimizer, and a file of where they are.

In: a network, a path. Out: the same network, further on. The file is replaced whole; in it are `m` (weights), `o` (the
optimizer's state), `step` and `seen`. It trains nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import nn

WEIGHT_DECAY = 0.01  # of matrices; biases and norms have none


@dataclass(slots=True)
class Progress:
    """How far training is: batches and examples seen."""

    step: int = 0
    seen: int = 0


def adamw(weights: Iterable[nn.Parameter], rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> torch.optim.AdamW:
    """Returns the optimizer of these weights."""
    trained = list(weights)
    groups = [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [weight for weight in trained if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, rate, betas=betas, fused=True)


def save(network: nn.Module, optimizer: torch.optim.AdamW, progress: Progress, checkpoint: Path) -> None:
    """Writes the checkpoint, whole or not at all."""
    part = checkpoint.with_suffix(".part")
    state = {"m": network.state_dict(), "o": optimizer.state_dict(), "step": progress.step, "seen": progress.seen}
    torch.save(state, part)
    part.replace(checkpoint)


def resume(network: nn.Module, optimizer: torch.optim.AdamW, checkpoint: Path) -> Progress:
    """Fills both from the checkpoint, if it is there, and returns how far it was."""
    if not checkpoint.exists():
        return Progress()
    state = torch.load(checkpoint)
    network.load_state_dict(state["m"])
    optimizer.load_state_dict(state["o"])
    return Progress(state["step"], state["seen"])


def load_weights(network: nn.Module, checkpoint: Path) -> None:
    """Fills a network from a checkpoint, to be used and not trained."""
    network.load_state_dict(torch.load(checkpoint)["m"])
    network.eval()

"""What reading passages for a question gave, before it is decided whether there is an answer.

Values only. A remembered answer is made of them too: frozen dataclasses would take a millisecond more to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgeqa.asking.scope import Placed
    from edgeqa.contexts.pieces import Place


class Spot(NamedTuple):
    """A span of a passage."""

    placed: Placed
    place: Place
    probability: float


class Near(NamedTuple):
    """A passage close to the question."""

    placed: Placed
    rank: float
    marked: tuple[int, int] | None


class Outcome(NamedTuple):
    """What reading for a question gave: an answer without the decision whether there is one."""

    spots: tuple[Spot, ...]
    """The best spans, best first."""
    closest: tuple[Near, ...]
    contexts: int
    """How many windows were read."""
    is_given: bool
    """Whether that is a passage which nobody searched for."""
    question_cut: bool
    question_mended: str | None
    notes: tuple[str, ...]
    damaged: tuple[str, ...] = ()

    def placed(self) -> list[Placed]:
        """Returns the passages that it names."""
        return [*(spot.placed for spot in self.spots), *(near.placed for near in self.closest)]

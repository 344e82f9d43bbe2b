"""The part that a server is of a cluster, as the server sees it: who else is there, and what is asked of it.

Only types: what a cluster is, whoever starts the server knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeqa.serving.engine import Engine


class Peer(Protocol):
    """A worker, as it says of itself."""

    @property
    def id(self) -> str:
        """What it is called."""

    @property
    def redis(self) -> tuple[str, int] | None:
        """Where it speaks the Redis protocol."""

    @property
    def slots(self) -> tuple[tuple[int, int], ...]:
        """What it serves: ranges, from first to last."""


class Cluster(Protocol):
    """The part that this server is of a cluster."""

    @property
    def member(self) -> Peer:
        """This worker."""

    def members(self) -> Sequence[Peer]:
        """Returns all who live."""

    def owner(self, slot: int) -> Peer | None:
        """Returns who serves a slot."""

    def slot_of(self, key: bytes) -> int:
        """Returns the slot of a key."""

    def answered(self, path: str, body: bytes, signature: str) -> bytes | None:
        """Returns the reply to a worker's request; None to who may not ask."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What a worker of a cluster serves."""

    engine: Engine
    cluster: Cluster
    start: Callable[[], None]
    """Called once it can be asked."""
    stop: Callable[[], None]
    """Called once nobody is answered any more."""

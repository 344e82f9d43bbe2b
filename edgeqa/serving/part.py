"""The types of a cluster, as a server in it sees them: the other workers, and their requests.

These are only types; the caller that starts the server knows the cluster itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeqa.serving.engine import Engine


class Peer(Protocol):
    """A worker, as it describes itself."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def redis(self) -> tuple[str, int] | None:
        """The address at which it speaks the Redis protocol."""

    @property
    def slots(self) -> tuple[tuple[int, int], ...]:
        """The slots that it serves: ranges, from first to last."""


class Cluster(Protocol):
    """The cluster, as this server takes part in it."""

    @property
    def member(self) -> Peer:
        """This worker."""

    def members(self) -> Sequence[Peer]:
        """Returns all living workers."""

    def owner(self, slot: int) -> Peer | None:
        """Returns the worker that serves a slot."""

    def slot_of(self, key: bytes) -> int:
        """Returns the slot of a key."""

    def answered(self, path: str, body: bytes, signature: str) -> bytes | None:
        """Returns the reply to a worker's request; None if the sender may not ask."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The parts of a worker that the server needs."""

    engine: Engine
    cluster: Cluster
    start: Callable[[], None]
    """A function that is called once it can be asked."""
    stop: Callable[[], None]
    """A function that is called once no more requests are answered."""

"""Who is there: each worker's entry in Valkey, and which slots each worker is to serve.

An entry lives for 5 s and is renewed each second; there is no other membership. Its key is in a slot of the worker's
own server, so that no other server's end makes it look dead. Which slots a worker serves follows from the cluster's map
and the entries alone, so that every worker comes to the same by itself: those of its server; if several workers are
beside one server (or its replicas), a part each; and what has no worker goes to whoever serves it already, else to the
one with the most room.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import msgspec

from edgeqa.cluster import keys
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgeqa.cluster.documents import Documents
    from edgeqa.cluster.valkey import Place, Valkey

LIVES_MS = 5000
RENEWED_S = 1.0
FORGOTTEN_S = 86400.0
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_TRIES = 100_000


class Member(msgspec.Struct, frozen=True):
    """A worker, as it says of itself."""

    id: str
    http: tuple[str, int]
    """Where it answers over HTTP."""
    redis: tuple[str, int] | None
    """Where it speaks the Redis protocol; None where it does not."""
    node: tuple[str, int]
    """The server that it is beside."""
    slots: tuple[tuple[int, int], ...]
    """What it serves: ranges, each from first to last."""
    content: str
    """What it has indexed: the sum of digests of its tags and their changes."""
    contexts: int
    """How many passages it has indexed."""
    text_terms: int
    """How many terms there are in them."""
    heading_terms: int
    """How many terms there are in their titles and headings."""
    fingerprint: str
    """How its device computes."""
    published: int
    """How often it has told which terms it has: older statistics of it are not whole."""
    room_bytes: int
    """Disk that it has left for encodings."""

    @property
    def shown(self) -> str:
        """What it is called on screens: where it answers."""
        return f"{self.http[0]}:{self.http[1]}"

    def serves(self, slot: int) -> bool:
        """Tells whether it serves a slot."""
        return any(first <= slot <= last for first, last in self.slots)


def new_id(slots: frozenset[int]) -> str:
    """Returns a new id whose entry lies in one of some slots."""
    made = ""
    for _ in range(_TRIES):
        made = "".join(secrets.choice(_LETTERS) for _ in range(10))
        if keys.slot_of(keys.of_worker(made)) in slots:
            break
    return made


class Membership:
    """The entries of a cluster's workers. Safe from many threads."""

    def __init__(self, valkey: Valkey, documents: Documents) -> None:
        self._valkey, self._documents = valkey, documents
        self._seen: tuple[Member, ...] = ()
        self._as_of = 0.0
        self._noted = 0.0

    def members(self, *, not_older_s: float = 0.0) -> tuple[Member, ...]:
        """Returns the workers that live, by id, unless those last seen are as young as this.

        Raises:
            ClusterError: if Valkey does not say who there is.
        """
        now = time.monotonic()
        if now - self._as_of > not_older_s:
            ids = sorted({one.decode() for some in self._documents.anywhere("workers", "HKEYS") for one in some})
            at = [keys.of_worker(one) for one in ids]
            found = self._valkey.many([(key, ("GET", key)) for key in at], patience_s=0.5)
            self._seen = tuple(member for raw in found if (member := _member(raw)) is not None)
            self._as_of = now
        return self._seen

    def seen(self, *, not_older_s: float) -> tuple[Member, ...] | None:
        """Returns the workers that were last seen; None if that is longer ago. Nobody is asked."""
        return self._seen if time.monotonic() - self._as_of <= not_older_s else None

    def renew(self, member: Member) -> None:
        """Says that a worker lives.

        Raises:
            ClusterError: if Valkey does not take it.
        """
        key = keys.of_worker(member.id)
        self._valkey.do(key, "SET", key, msgspec.json.encode(member), "PX", LIVES_MS, patience_s=LIVES_MS / 5000)
        if time.monotonic() - self._noted > FORGOTTEN_S / 100 or not self._noted:
            self._documents.everywhere(("workers", "HSET", member.id, str(int(time.time()))))
            self._prune()
            self._noted = time.monotonic()

    def leave(self, member: Member) -> None:
        """Says that a worker is gone."""
        for key in (keys.of_worker(member.id), keys.of_terms(member.id)):
            self._valkey.do(key, "DEL", key, patience_s=1.0)
        self._documents.everywhere(("workers", "HDEL", member.id))

    def _prune(self) -> None:
        """Forgets who has not been seen for a day."""
        before = time.time() - FORGOTTEN_S
        for some in self._documents.anywhere("workers", "HGETALL"):
            gone = [one for one, seen in some.items() if not seen.isdigit() or int(seen) < before]
            if gone:
                self._documents.everywhere(("workers", "HDEL", *gone))


def _member(raw: object) -> Member | None:
    if not isinstance(raw, bytes):
        return None
    try:
        return msgspec.json.decode(raw, type=Member)
    except msgspec.DecodeError:  # of another version, or anybody's: nobody to ask
        return None


def assigned(
    members: Iterable[Member], slots: Sequence[Place | None], replicas: Mapping[Place, Sequence[Place]]
) -> dict[str, frozenset[int]]:
    """Returns, by id, which slots each worker is to serve.

    Args:
        members: that live.
        slots: the master of each slot; None where there is none.
        replicas: of each master.
    """
    living = sorted(members, key=lambda one: one.id)
    found: dict[str, set[int]] = {one.id: set() for one in living}
    of_master: dict[Place, list[int]] = {}
    for slot, master in enumerate(slots):
        if master is not None:
            of_master.setdefault(master, []).append(slot)
    orphans = []
    for master in sorted(of_master):
        beside = [one for one in living if one.node == master or one.node in replicas.get(master, ())]
        if not beside:
            orphans.append(master)
            continue
        share = -(-len(of_master[master]) // len(beside))
        for number, one in enumerate(beside):
            found[one.id].update(of_master[master][number * share : (number + 1) * share])
    by_room = sorted(living, key=lambda one: (-one.room_bytes, one.id))
    given = 0
    for master in orphans:
        holder = next((one for one in living if one.serves(of_master[master][0])), None)
        if holder is None and by_room:
            holder = by_room[given % len(by_room)]
            given += 1
        if holder is not None:
            found[holder.id].update(of_master[master])
    return {one: frozenset(some) for one, some in found.items()}


def unserved(tags: Iterable[str], members: Sequence[Member]) -> list[str]:
    """Returns the tags that no worker serves."""
    slots = {tag: keys.slot_of_tag(tag) for tag in tags}
    return [tag for tag, slot in slots.items() if not any(one.serves(slot) for one in members)]


def living(membership: Membership) -> tuple[Member, ...]:
    """Returns the workers that live; none where Valkey does not say who there is."""
    try:
        return membership.members()
    except ClusterError:
        return ()

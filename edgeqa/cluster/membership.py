"""Membership: the entry of each worker in Valkey, and the slots that each worker must serve.

An entry lives for 5 s and is renewed each second; there is no other membership. Its key is in a slot of the worker's
own server, so that the worker does not look dead when another server ends. Each worker watches the two that follow it
by id: if one has not renewed its entry, and its machine says that nobody listens at its address, its entry is deleted
at once. The slots of a worker follow from the cluster's map and the entries alone, so that all workers compute the same
result. A worker serves the slots of its server; if several workers are beside one server (or its replicas), each serves
a part. Slots without a worker go to the worker that serves them already, else to the one with the most room.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from typing import TYPE_CHECKING

import msgspec

from edgeqa.cluster import keys
from edgeqa.cluster.address import is_host
from edgeqa.cluster.errors import ClusterFull
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgeqa.cluster.documents import Documents
    from edgeqa.cluster.valkey import Place, Valkey

LIVES_MS = 5000
RENEWED_S = 1.0
MISSED_MS = 1500
"""How long ago a worker last renewed its entry if it has missed that: then it is looked whether it is there at all."""
WATCHED = 2
KNOCKED_S = 0.3
FORGOTTEN_S = 86400.0
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_TRIES = 100_000


class Member(msgspec.Struct, frozen=True):
    """A worker, as it describes itself."""

    id: str
    http: tuple[str, int]
    """The address at which it answers over HTTP."""
    redis: tuple[str, int] | None
    """The address at which it speaks the Redis protocol; None if it does not."""
    node: tuple[str, int]
    """The server that it is beside."""
    slots: tuple[tuple[int, int], ...]
    """The slots that it serves: ranges, each from first to last."""
    content: str
    """A digest of its index: the sum of digests of its tags and their changes."""
    contexts: int
    """The number of passages in its index."""
    text_terms: int
    """The number of terms in their texts."""
    heading_terms: int
    """The number of terms in their titles and headings."""
    fingerprint: str
    """The fingerprint of its device."""
    published: int
    """How often it has published its statistics; older ones are incomplete."""
    room_bytes: int
    """The disk space that is left for encodings."""
    now_s: int
    """The time by its own clock when it wrote this: requests to it are signed with its time, not with the sender's."""
    tls: bool = False
    """Whether it speaks TLS alone, at both addresses."""

    @property
    def shown(self) -> str:
        """Its name on screens: the address at which it answers."""
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
        """Returns the living workers, by id; asks only if those last seen are older than this.

        Raises:
            ClusterError: if Valkey does not answer.
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
        """Returns the workers that were last seen; None if that is longer ago. Valkey is not asked."""
        return self._seen if time.monotonic() - self._as_of <= not_older_s else None

    def renew(self, member: Member) -> bool:
        """Writes the entry of a living worker; tells whether all of it: a full server lets the former one live on.

        Raises:
            ClusterError: if Valkey does not take it.
        """
        key = keys.of_worker(member.id)
        try:
            self._valkey.do(key, "SET", key, msgspec.json.encode(member), "PX", LIVES_MS, patience_s=LIVES_MS / 5000)
        except ClusterFull:
            if not self._valkey.do(key, "PEXPIRE", key, LIVES_MS, patience_s=0.0):
                raise
            return False
        if time.monotonic() - self._noted > FORGOTTEN_S / 100 or not self._noted:
            self._documents.everywhere(("workers", "HSET", member.id, str(int(time.time()))))
            self._prune()
            self._noted = time.monotonic()
        return True

    def leave(self, member: Member) -> None:
        """Deletes the entry of a worker that leaves."""
        for key in (keys.of_worker(member.id), keys.of_terms(member.id)):
            self._valkey.do(key, "DEL", key, patience_s=1.0)
        self._documents.everywhere(("workers", "HDEL", member.id))

    def bury(self, own_id: str) -> None:
        """Deletes the entries of those watched workers that have ended without a word, so that others take their place.

        A worker that is starved still listens, and the machine of one that is cut off refuses nothing: neither is
        taken for dead before its entry ends.

        Args:
            own_id: the id of the worker that watches; it watches among the workers that were last seen.
        """
        ring = sorted(self._seen, key=lambda one: (one.id <= own_id, one.id))
        watched = [one for one in ring if one.id != own_id][:WATCHED]
        at = [keys.of_worker(one.id) for one in watched]
        left = self._valkey.many([(key, ("PTTL", key)) for key in at], patience_s=0.0)
        for member, key, left_ms in zip(watched, at, left, strict=True):
            if isinstance(left_ms, int) and 0 <= left_ms < LIVES_MS - MISSED_MS and _is_refused(member.http):
                with contextlib.suppress(ClusterError):
                    self._valkey.do(key, "DEL", key, patience_s=0.0)

    def _prune(self) -> None:
        """Forgets workers that have not been seen for a day."""
        before = time.time() - FORGOTTEN_S
        for some in self._documents.anywhere("workers", "HGETALL"):
            old = [one for one, seen in some.items() if not seen.isdigit() or int(seen) < before]
            at = [keys.of_worker(one.decode()) for one in old]  # a living one's clock may be wrong, or our own
            found = self._valkey.many([(key, ("EXISTS", key)) for key in at], patience_s=0.5)
            gone = [one for one, is_there in zip(old, found, strict=True) if is_there == 0]
            if gone:
                self._documents.everywhere(("workers", "HDEL", *gone))


def _is_refused(address: tuple[str, int]) -> bool:
    """Tells whether a machine says that nobody listens at an address of its own."""
    try:
        socket.create_connection(address, timeout=KNOCKED_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _member(raw: object) -> Member | None:
    if not isinstance(raw, bytes):
        return None
    try:
        member = msgspec.json.decode(raw, type=Member)
    except msgspec.DecodeError:  # an entry of another version, or of a stranger, is no worker to ask
        return None
    host, port = member.http
    return member if is_host(host) and 0 < port < 1 << 16 else None


def assigned(
    members: Iterable[Member], slots: Sequence[Place | None], replicas: Mapping[Place, Sequence[Place]]
) -> dict[str, frozenset[int]]:
    """Returns, by id, the slots that each worker must serve.

    Args:
        members: the living workers.
        slots: the master of each slot; None if there is none.
        replicas: the replicas of each master.
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
    """Returns the living workers; none if Valkey does not answer."""
    try:
        return membership.members()
    except ClusterError:
        return ()

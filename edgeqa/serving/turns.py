"""Whose turn it is: things that wait, each for one or several owners, out of one in turn. Pure.

One owner's two hundred things do not keep another's one waiting: owners take turns, and where there is no room for all,
what goes is the newest of who has most.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Things that wait."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[T]] = {}  # the owner whose turn it is comes first
        self._owners: dict[T, list[str]] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def put(self, owner: str, thing: T) -> None:
        """Has a thing wait for an owner, too; once for each."""
        owners = self._owners.setdefault(thing, [])
        if owner not in owners:
            owners.append(owner)
            self._waiting.setdefault(owner, deque()).append(thing)

    def take(self) -> T | None:
        """Returns the next thing of whose turn it is, which waits no more; None if nothing waits."""
        owner = next(iter(self._waiting), None)
        if owner is None:
            return None
        thing = self._waiting[owner][0]
        self.drop(thing)
        if owner in self._waiting:
            self._waiting[owner] = self._waiting.pop(owner)  # to the end
        return thing

    def drop(self, thing: T) -> None:
        """Has a thing wait no more; nothing where it does not."""
        for owner in self._owners.pop(thing, ()):
            self._waiting[owner].remove(thing)
            if not self._waiting[owner]:
                del self._waiting[owner]

    def ahead(self, owner: str) -> int:
        """Returns how many things come before a new one of an owner, at most."""
        own = len(self._waiting.get(owner, ()))
        return sum(min(len(waiting), own + 1) for other, waiting in self._waiting.items() if other != owner) + own

    def to_give_way(self, owner: str) -> T | None:
        """Returns what is to go for a new thing of an owner: the newest of who has most, and more than it would have.

        None if there is no such thing.
        """
        most = max(self._waiting, key=lambda other: len(self._waiting[other]), default=owner)
        if most == owner or len(self._waiting[most]) <= len(self._waiting.get(owner, ())) + 1:
            return None
        return next((thing for thing in reversed(self._waiting[most]) if self._owners[thing] == [most]), None)

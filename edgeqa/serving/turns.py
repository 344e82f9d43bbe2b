"""Turns: a queue in which owners take turns. Pure.

Each thing in it waits for one or several owners. Two hundred things of one owner do not delay another owner's single
thing. If there is no room for all, the newest thing of the owner with the most things goes.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """The queue of things that wait."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[T]] = {}  # the owner whose turn it is comes first
        self._owners: dict[T, list[str]] = {}

    def __len__(self) -> int:
        return len(self._owners)

    def put(self, owner: str, thing: T) -> None:
        """Makes a thing wait for an owner, too; once for each owner."""
        owners = self._owners.setdefault(thing, [])
        if owner not in owners:
            owners.append(owner)
            self._waiting.setdefault(owner, deque()).append(thing)

    def take(self) -> T | None:
        """Takes the next thing of the owner whose turn it is, and returns it; None if nothing waits."""
        owner = next(iter(self._waiting), None)
        if owner is None:
            return None
        thing = self._waiting[owner][0]
        self.drop(thing)
        if owner in self._waiting:
            self._waiting[owner] = self._waiting.pop(owner)  # the owner goes to the end
        return thing

    def drop(self, thing: T) -> None:
        """Removes a thing from the queue, if it waits."""
        for owner in self._owners.pop(thing, ()):
            self._waiting[owner].remove(thing)
            if not self._waiting[owner]:
                del self._waiting[owner]

    def ahead(self, owner: str) -> int:
        """Returns the greatest number of things that may come before a new one of an owner."""
        own = len(self._waiting.get(owner, ()))
        return sum(min(len(waiting), own + 1) for other, waiting in self._waiting.items() if other != owner) + own

    def to_give_way(self, owner: str) -> T | None:
        """Returns the thing that must go for a new one of an owner; None if there is none.

        It is the newest thing of the owner with the most things, if that owner has more than the new thing's would.
        """
        most = max(self._waiting, key=lambda other: len(self._waiting[other]), default=owner)
        if most == owner or len(self._waiting[most]) <= len(self._waiting.get(owner, ())) + 1:
            return None
        return next((thing for thing in reversed(self._waiting[most]) if self._owners[thing] == [most]), None)

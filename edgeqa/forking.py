"""What a fork does to those who hold locks, turns or threads: each is told, before it, in the parent, and in the child.

In: objects that hold such things, known as long as somebody else refers to them. Out: calls of their methods. `forked`
is called in the child, where the threads of the parent do not exist: a lock that one of them held is held for ever
there, and what a pool of threads was to do is never done. `before_fork` and `after_fork`, where an object has them, are
called in the parent; the first may wait for a moment, so that nobody is in the middle of anything.

A registry of its own, because Python keeps what is registered with `os.register_at_fork` for ever.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """Somebody who holds what does not outlive a fork."""

    def forked(self) -> None:
        """Lets go of what belongs to the parent; called in the child."""


_told: weakref.WeakSet[Forked] = weakref.WeakSet()


def tell(one: Forked) -> None:
    """Has an object told of forks from now on."""
    _told.add(one)


def _call(name: str) -> None:
    for one in list(_told):
        if (method := getattr(one, name, None)) is not None:
            method()


os.register_at_fork(
    before=lambda: _call("before_fork"),
    after_in_parent=lambda: _call("after_fork"),
    after_in_child=lambda: _call("forked"),
)

"""Forks, and the end of the process: objects that hold locks, turns or threads are told of both.

In: such objects, known as long as somebody else refers to them. Out: calls of their methods. `forked` is called in the
child. The threads of the parent do not exist there: a lock that one of them held is never released, and work that a
pool of threads had taken on is never done. `before_fork` and `after_fork`, where an object has them, are called in the
parent; the first may wait for a moment, until no thread is inside a library.

The end of a program stops daemon threads wherever they are. One that is in the middle of a library in C++ or Rust takes
the process down with it (SIGABRT), so such libraries are called within `library_call`: the end waits until nobody is.

A registry of its own, because Python keeps what is registered with `os.register_at_fork` for ever.

`cached_property` is here as well: that of Python before 3.12 holds one lock for all objects of a class while a value is
made, and a child forked meanwhile would wait for it for ever.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

T = TypeVar("T")


class Forked(Protocol):
    """Somebody who holds what does not outlive a fork."""

    def forked(self) -> None:
        """Lets go of what belongs to the parent; called in the child."""


_HOLDING_LIMIT_S = 1.0
_PAUSE_S = 0.001

_told: weakref.WeakSet[Forked] = weakref.WeakSet()


class cached_property(Generic[T]):  # noqa: N801 - called as what it stands for
    """`functools.cached_property` without a lock: where two threads make a value, the later one stays."""

    def __init__(self, method: Callable[[Any], T]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, one: None, owner: type) -> Self: ...
    @overload
    def __get__(self, one: object, owner: type) -> T: ...
    def __get__(self, one: object | None, owner: type) -> Self | T:
        if one is None:
            return self
        value = one.__dict__[self._name] = self._method(one)  # found there from now on, without coming here
        return value


def tell(one: Forked) -> None:
    """Has an object told of forks from now on."""
    _told.add(one)


_locks: weakref.WeakSet[LibraryLock] = weakref.WeakSet()
_held: list[LibraryLock] = []
_to_fork = threading.Event()


class LibraryLock:
    """A lock that is free in a forked child: a fork waits for a moment until no thread is inside.

    Meanwhile nobody else goes in: who comes again and again would be in whenever the fork looks. It is for libraries
    that must not be copied in the middle of a call: `with lock.turn():`. Its holder forks not, and takes no other lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(self)

    def turn(self) -> threading.Lock:
        """Returns what is to be entered: a lock of C's, because an interrupt may come between two lines of Python."""
        while _to_fork.is_set():
            time.sleep(_PAUSE_S)
        return self._lock

    def hold(self) -> bool:
        """Takes it for a fork; returns whether that came about in time."""
        return self._lock.acquire(timeout=_HOLDING_LIMIT_S)

    def let_go(self) -> None:
        """Gives it back after a fork."""
        self._lock.release()


ENDING_LIMIT_S = 10.0  # a small board takes seconds to load a large graph
_inside: deque[None] = deque()
_ending = threading.Event()


class _LibraryCall:
    """The context manager of `library_call`; all calls share one, because a generator takes ten times as long."""

    __slots__ = ()

    def __enter__(self) -> None:
        _inside.append(None)
        if _ending.is_set() and threading.current_thread() is not threading.main_thread():
            _inside.pop()
            threading.Event().wait()  # until the process has ended

    def __exit__(self, *error: object) -> None:
        try:  # noqa: SIM105 - in a fifth of the time
            _inside.pop()
        except IndexError:  # a forked child begins anew
            pass


_library_call = _LibraryCall()


def library_call() -> _LibraryCall:
    """Has the end of the program wait for what is done within; who comes later, in a daemon thread, goes no further."""
    return _library_call


def _end() -> None:
    _ending.set()
    give_up_at_s = time.monotonic() + ENDING_LIMIT_S
    while _inside and time.monotonic() < give_up_at_s:
        time.sleep(_PAUSE_S)


def _hold() -> None:
    _to_fork.set()
    _held.extend(one for one in list(_locks) if one.hold())


def _let_go() -> None:
    while _held:
        _held.pop().let_go()
    _to_fork.clear()


def _call(name: str) -> None:
    for one in list(_told):
        if (method := getattr(one, name, None)) is not None:
            method()


os.register_at_fork(
    before=lambda: _call("before_fork"),
    after_in_parent=lambda: _call("after_fork"),
    after_in_child=lambda: _call("forked"),
)
os.register_at_fork(after_in_child=_inside.clear)
atexit.register(_end)
os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)

"""Forks, and the end of the process: this module tells both to objects that hold locks, turns or threads.

In: such objects, which are told as long as somebody else refers to them. Out: calls of their methods. `forked` is
called in the child. The threads of the parent do not exist there: a lock that one of them held is never released, and
the work of a pool of threads is never done. `before_fork` and `after_fork`, if an object has them, are called in the
parent; the first may wait for a moment, until no thread is inside a library.

The end of a program stops daemon threads wherever they are. If one is in the middle of a library in C++ or Rust, the
process aborts (SIGABRT). So such libraries are called within `library_call`: the end waits until no thread is inside.
So does a fork, since the child would find locked what the library has locked. A fork also waits until no thread imports
a module, which would stay half made in the child, and locked.

Whoever waits for a fork to be over waits `FORK_LIMIT_S` at most (`wait_for_fork`), because an interrupt may come while
the others are told that it is.

The module has a registry of its own, because `os.register_at_fork` keeps its objects for ever.

`cached_property` is here as well. Before Python 3.12, that of `functools` holds one lock for all objects of a class
while a value is made, and a child forked meanwhile would wait for it for ever.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from importlib import _bootstrap
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

T = TypeVar("T")


class Forked(Protocol):
    """An object that holds something which a fork breaks."""

    def forked(self) -> None:
        """Drops the parent's locks, turns and threads; it is called in the child."""


FORK_LIMIT_S = 30.0  # longer than all that a fork itself waits for
_HOLDING_LIMIT_S = 1.0
_PAUSE_S = 0.001

# Not a `WeakSet`, which a thread may change while another goes through it.
_told: set[weakref.ref[Forked]] = set()


class cached_property(Generic[T]):  # noqa: N801 - called as what it stands for
    """`functools.cached_property` without a lock: if two threads make a value, the later one stays."""

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
        value = one.__dict__[self._name] = self._method(one)  # from now on it is found there, without a call
        return value


def tell(one: Forked) -> None:
    """Registers an object, which is told of forks from now on."""
    _told.add(weakref.ref(one, _told.discard))


def wait_for_fork(is_under_way: Callable[[], bool]) -> bool:
    """Waits until a fork is over; returns False if that takes too long, because nobody was told of its end."""
    give_up_at_s = time.monotonic() + FORK_LIMIT_S
    while is_under_way():
        if time.monotonic() > give_up_at_s:
            return False
        time.sleep(_PAUSE_S)
    return True


_locks: set[weakref.ref[LibraryLock]] = set()
_held: list[LibraryLock] = []
_to_fork = threading.Event()


class LibraryLock:
    """A lock that is free in a forked child: a fork waits for a moment until no thread is inside.

    During that wait no other thread may enter: a thread that enters again and again would be inside whenever the fork
    looks. The lock is for libraries that must not be copied in the middle of a call: `with lock.turn():`. Its holder
    must not fork, and must not take another lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(weakref.ref(self, _locks.discard))

    def turn(self) -> threading.Lock:
        """Returns the lock to enter: one that C has made, since an interrupt may come between two lines of Python."""
        if _to_fork.is_set() and not wait_for_fork(_to_fork.is_set):
            _let_go()
        return self._lock

    def hold(self) -> bool:
        """Takes the lock for a fork; returns whether that succeeded in time."""
        return self._lock.acquire(timeout=_HOLDING_LIMIT_S)

    def let_go(self) -> None:
        """Releases the lock after a fork."""
        self._lock.release()


ENDING_LIMIT_S = 10.0  # a small board takes seconds to load a large graph
_inside: set[int] = set()
"""The threads that are inside a library; by their names, so that one that an interrupt left here goes with its next."""
_ending = threading.Event()
_is_shut = False  # whether nobody goes in: the program ends, or forks
_ended_by_s = 0.0


class _LibraryCall:
    """The context manager of `library_call`; all calls share one, because a generator takes ten times as long."""

    __slots__ = ()

    def __enter__(self) -> None:
        _inside.add(_this_thread())  # first: who shuts the door looks who is inside afterwards
        if _is_shut:
            _wait_outside()

    def __exit__(self, *error: object) -> None:
        _inside.discard(_this_thread())


_this_thread = threading.get_ident
_library_call = _LibraryCall()


def library_call() -> _LibraryCall:
    """Makes forks and the end of the program wait for the work within. It must not be nested.

    Who comes while the process forks waits for that; who comes later than the end, in a daemon thread, goes no further,
    unless it has not ended after a while: whoever ends the program may wait for that very thread.
    """
    return _library_call


def _wait_outside() -> None:
    give_up_at_s = time.monotonic() + FORK_LIMIT_S
    while _is_shut:
        if _ending.is_set() and threading.current_thread() is threading.main_thread():
            return
        _inside.discard(_this_thread())
        if _ending.is_set():
            time.sleep(max(0.0, _ended_by_s - time.monotonic()))  # mostly the process has ended by then
            break
        if time.monotonic() > give_up_at_s:
            _let_go()
        time.sleep(_PAUSE_S)
        _inside.add(_this_thread())
    _inside.add(_this_thread())


def _wait_for_others(are_busy: Callable[[], object]) -> None:
    give_up_at_s = time.monotonic() + ENDING_LIMIT_S
    while are_busy() and time.monotonic() < give_up_at_s:
        time.sleep(_PAUSE_S)


def _others_inside() -> set[int]:
    return _inside - {_this_thread()}


def _imported_by_others() -> set[str]:
    """Returns the modules that other threads are importing."""
    locks = [(name, found()) for name, found in list(_module_locks.items())]
    own = _this_thread()
    return {name for name, lock in locks if getattr(lock, "owner", None) not in (None, own)} - _endless


# Python's own, by which it sees to it that no two threads import one module. Nothing else tells who is importing.
_module_locks: dict[str, Callable[[], Any]] = getattr(_bootstrap, "_module_locks", {})
_endless: set[str] = set()
"""Modules that were waited for in vain: a program may run within an import of its own."""


def _end() -> None:
    global _is_shut, _ended_by_s
    _ended_by_s = time.monotonic() + 2 * ENDING_LIMIT_S
    _ending.set()
    _is_shut = True
    _wait_for_others(_others_inside)


def _hold() -> None:
    global _is_shut
    _to_fork.set()
    _is_shut = True
    _held.extend(one for found in list(_locks) if (one := found()) is not None and one.hold())
    _wait_for_others(_others_inside)
    _wait_for_others(_imported_by_others)
    _endless.update(_imported_by_others())


def _let_go() -> None:
    global _is_shut
    while _held:
        _held.pop().let_go()
    _is_shut = _ending.is_set()
    _to_fork.clear()


def _call(name: str) -> None:
    """Calls a method of all who have it, whatever comes in between: the interpreter goes on with the fork anyway."""
    failure: BaseException | None = None
    for found in list(_told):
        try:
            if (method := getattr(found(), name, None)) is not None:
                method()
        except BaseException as error:  # noqa: PERF203 - each by itself
            failure = error
    if failure is not None:
        raise failure


# What is registered first is called last before a fork: who has a turn may go into a library yet.
os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)
os.register_at_fork(
    before=lambda: _call("before_fork"),
    after_in_parent=lambda: _call("after_fork"),
    after_in_child=lambda: _call("forked"),
)
os.register_at_fork(after_in_child=_inside.clear)
atexit.register(_end)

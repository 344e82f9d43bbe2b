"""Single flight: callers that want one missing value at once cause one call, across threads, tasks and processes.

In: a key, how to look, how to store. Out: the value, or the news that the caller has to compute it.

    with Flight(flights, key, find, settle) as flight:
        if (value := flight.begin()) is ABSENT:
            value = flight.land(compute())

It holds for these reasons:

- The first caller of a process leads; the others of its process wait for it and get its value or its error. Who leads
  is decided by one `dict.setdefault`, so that no lock is needed, which an interrupt might leave locked.
- The leader takes the process's lease, looks again (another process may have been quicker), computes and stores. A
  lease is a lock on one byte of a file that all processes share (`Leases`), at a place given by the key: it writes
  nothing, and the kernel drops it when its holder dies, so that another takes over at once. It is given back when the
  value is committed, not before: else the next process would look too early.
- A leader that is cancelled, interrupted or killed hands over: a waiter leads next.
- Nobody waits for longer than a lease is valid, nor for a process that was stopped (SIGSTOP, Ctrl-Z), for which a
  caller looks every two seconds: then it computes for itself. A caller that would wait for a computation which waits
  for it computes at once: each computation knows which one it is a part of, and what that one waits for.
- A failure reaches the waiters of other processes by a note in the same file; where the file system has no locks, every
  process computes for itself.

Three ways were not chosen: a lock for each key, which must be made and deleted under another lock; a file for each
lease, which a killed process leaves behind; a lease with a time in the file, which needs a clock that all agree on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_intdigest

from edgeqa import files
from edgeqa.cache.front import ABSENT
from edgeqa.errors import ComputationFailed, EventLoopBlocked, FilesLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from edgeqa.cache.records import Key

    Find = Callable[[], Any]
    Settle = Callable[[Any, Callable[[], None]], Any]

LEASE_S, LOOK_S = 60.0, 2.0

_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.001, 0.020
_NOTE_BYTES, _NOTES = 512, 64  # notes of failure, at the beginning of the file of leases
_NOTE = struct.Struct("<QQ16s")  # checksum of the rest, when (ns since the epoch), check
_LOCKS_FROM = 1 << 20
_TAKEN = (errno.EAGAIN, errno.EACCES)
# C's `struct flock`, and where in it the process is, on systems that are known to have it so.
_FLOCK, _PROCESS = ("qqihh", 2) if sys.platform == "darwin" else ("hhqqi", 4)


class _HandedOver(Exception):
    """The leader gave up without an outcome."""


class _Slot:
    """A computation under way, as others see it: what they wait for, and what it waits for itself.

    Nothing here needs a lock, which an interrupt might leave locked: each change is one step of a dict or a list.
    """

    ended = False
    waits_for: Sequence[_Slot] = ()

    def __init__(self, parent: _Slot | None, loop: object) -> None:
        self.parent = parent  # the computation that this one is a part of
        self.loop = loop  # the event loop that its leader is a task of

    def outcome(self) -> Future[Any] | None:
        """Returns the future for another caller to wait for; None if there is nothing to wait for any more.

        It is made when there is another caller. Mostly there is none, and it takes longer than all the rest.
        """
        from concurrent.futures import Future

        made: Future[Any] = Future()
        made.set_running_or_notify_cancel()  # so that one waiter who is cancelled does not cancel it for all
        found: Future[Any] | None = self.__dict__.setdefault("_outcome", made)
        return found

    def end(self) -> Future[Any] | None:
        """Returns the future that others wait for; None if nobody waits, and then nobody will any more."""
        self.ended = True
        found: Future[Any] | None = self.__dict__.setdefault("_outcome", None)
        return found

    def line(self) -> Iterator[_Slot]:
        """Yields the computation and those that it is a part of, as far as they are under way."""
        slot: _Slot | None = self
        while slot is not None:
            if not slot.ended:
                yield slot
            slot = slot.parent

    def needed(self) -> set[_Slot]:
        """Returns the computation and those that it waits for, and they in turn."""
        found, left = {self}, [self]
        while left:
            new = [slot for slot in left.pop().waits_for if slot not in found]
            found.update(new)
            left += new
        return found


_innermost: ContextVar[_Slot | None] = ContextVar("innermost", default=None)  # of those that the caller leads


class Flights:
    """The computations under way in this process, and the leases that this process has among others."""

    def __init__(self, directory: Path | None) -> None:
        self.table: dict[bytes, _Slot] = {}
        self.leases = Leases(directory / "leases") if directory is not None else None

    def flight(self, key: Key, find: Find, settle: Settle) -> Flight:
        """Returns a caller's part in the computation of a key; arguments as for `Flight`."""
        return Flight(self, key, find, settle)

    def close(self) -> None:
        """Gives all leases back."""
        if self.leases is not None:
            self.leases.close()


class Flight:
    """One caller's part: it waits for another's outcome, or leads; the same for threads and tasks."""

    _slot: _Slot | None = None  # while it leads
    _landed: Any = ABSENT
    _has_waited = _leased = _kept_until_stored = False
    _waited_since_ns: int | None = None

    def __init__(self, flights: Flights, key: Key, find: Find, settle: Settle) -> None:
        """Makes a caller's part.

        Args:
            flights: of the cache.
            key: what is wanted.
            find: returns what is stored by now, or ABSENT.
            settle: stores what was computed, calls what it is given when that is done, and returns the value.
        """
        self._flights, self._key, self._find, self._settle = flights, key, find, settle
        self._leases = flights.leases
        self._began_s = time.monotonic()

    def begin(self) -> Any:  # noqa: ANN401 - any value
        """Returns the value, or ABSENT if the caller is to compute it; waits if somebody else does.

        Raises:
            ComputationFailed: another process computed it, and failed.
            EventLoopBlocked: it would wait for a task of the event loop that it keeps from going on.
            Exception: what the function raised in the thread that led.
        """
        while (slot := self._join(None)) is not None:
            from concurrent.futures import wait

            with _waiting_for(slot):
                if _would_wait_for_itself(slot):
                    return ABSENT
                if (loop := _running_loop()) is not None and any(one.loop is loop for one in slot.needed()):
                    raise EventLoopBlocked
                if (outcome := slot.outcome()) is None:
                    continue
                if outcome not in wait([outcome], self._left_s()).done:
                    return ABSENT
                with contextlib.suppress(_HandedOver):
                    return outcome.result()
        for pause_s in self._pauses():
            time.sleep(pause_s)
        return self._look()

    async def begin_async(self) -> Any:  # noqa: ANN401 - any value
        """Does what `begin` does; the event loop goes on meanwhile.

        Raises:
            ComputationFailed: another process computed it, and failed.
            Exception: what the function raised in the task that led.
        """
        import asyncio

        while (slot := self._join(asyncio.get_running_loop())) is not None:
            with _waiting_for(slot):
                if _would_wait_for_itself(slot):
                    return ABSENT
                if (outcome := slot.outcome()) is None:
                    continue
                own = asyncio.wrap_future(outcome)
                try:
                    await asyncio.wait([own], timeout=self._left_s())
                    if not own.done():
                        return ABSENT
                    with contextlib.suppress(_HandedOver):
                        return own.result()
                finally:
                    own.cancel()  # nobody needs it any more; the outcome itself cannot be cancelled
        for pause_s in self._pauses():
            await asyncio.sleep(pause_s)
        return self._look()

    def land(self, computed: Any) -> Any:  # noqa: ANN401 - any value
        """Stores what was computed, and returns it as it will be found."""
        self._kept_until_stored = self._leased
        self._landed = self._settle(computed, self._give_back)
        return self._landed

    def __enter__(self) -> Flight:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._end(error)

    def __del__(self) -> None:
        """Ends what an interrupt has kept from ending, at whatever moment it came."""
        self._end(None)

    def _join(self, loop: object) -> _Slot | None:
        """Returns the computation to wait for; None if the caller computes from now on, or its time to wait is over."""
        if self._has_waited and self._left_s() <= 0:
            return None
        self._slot = mine = _Slot(_innermost.get(), loop)  # set before others can find it, so that it always ends
        slot = self._flights.table.setdefault(self._key.check, mine)
        if slot is not mine:
            self._slot, self._has_waited = None, True
            return slot
        _innermost.set(mine)
        return None

    def _left_s(self) -> float:
        return self._began_s + LEASE_S - time.monotonic()

    def _pauses(self) -> Iterator[float]:
        """Yields how long to pause between attempts to get the lease, until there is it or its time is over."""
        if self._leases is None or self._slot is None:
            return
        pause_s, began_ns, look_at_s = _FIRST_PAUSE_S, time.time_ns(), time.monotonic() + LOOK_S
        while not self._leases.take(self._key):
            self._waited_since_ns = began_ns
            if self._left_s() <= 0:
                return
            if time.monotonic() >= look_at_s:
                if self._leases.is_stopped(self._key):
                    return
                look_at_s = time.monotonic() + LOOK_S
            yield pause_s
            pause_s = min(_MAX_PAUSE_S, 2 * pause_s)
        self._leased = True

    def _look(self) -> Any:  # noqa: ANN401 - any value
        """Returns the value stored by now, or ABSENT; raises the error of whoever computed meanwhile and failed."""
        if self._slot is None:
            return ABSENT
        self._landed = found = self._find()
        if found is ABSENT and self._leases is not None and self._waited_since_ns is not None:
            failure = self._leases.failure_since(self._key, self._waited_since_ns)
            if failure is not None:
                raise failure
        return found

    def _give_back(self) -> None:
        if self._leased and self._leases is not None:
            self._leases.give_back(self._key)

    def _end(self, error: BaseException | None) -> None:
        """Lets the others have the outcome, or hands over; harmless when repeated."""
        slot = self._slot
        if slot is None:
            return
        if self._flights.table.get(self._key.check) is slot:
            del self._flights.table[self._key.check]  # nobody joins it from now on
        if _innermost.get() is slot:
            _innermost.set(slot.parent)
        failed = isinstance(error, Exception)
        if failed and self._leased and self._leases is not None and not isinstance(error, ComputationFailed):
            self._leases.note_failure(self._key, type(error).__name__, str(error))
        outcome = slot.end()
        if outcome is not None and not outcome.done():
            if error is None and self._landed is not ABSENT:
                outcome.set_result(self._landed)
            else:
                outcome.set_exception(error if failed and error is not None else _HandedOver())
        if self._landed is ABSENT or not self._kept_until_stored:
            self._give_back()
        self._slot = None


def _led() -> list[_Slot]:
    """Returns the computations that the caller leads, the innermost first."""
    innermost = _innermost.get()
    return [] if innermost is None else [*innermost.line()]


@contextlib.contextmanager
def _waiting_for(slot: _Slot) -> Iterator[None]:
    """Notes that the computation which the caller leads waits for another one."""
    led = _led()
    for one in led:
        vars(one).setdefault("waits_for", []).append(slot)
    try:
        yield
    finally:
        for one in led:
            vars(one)["waits_for"].remove(slot)


def _would_wait_for_itself(slot: _Slot) -> bool:
    """Tells whether a computation needs one that the caller leads; to be asked when it is known who waits."""
    return not slot.needed().isdisjoint(_led())


def led_depth() -> int:
    """Returns the number of computations that the caller leads, one inside of the other."""
    return len(_led())


def _running_loop() -> object:
    """Returns the event loop that runs in this thread, or None."""
    asyncio = sys.modules.get("asyncio")  # without that import, no event loop runs
    if asyncio is None:
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Leases:
    """The leases of one cache directory: each says which process computes the value of a key.

    In one process these locks do not exclude each other: that is the part of `Flights`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self, key: Key) -> bool:
        """Returns whether this process may compute now; False while another does."""
        try:
            fcntl.lockf(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(key))
        except OSError as error:
            return error.errno not in _TAKEN
        except FilesLimited:
            return True
        return True

    def is_stopped(self, key: Key) -> bool:
        """Tells whether the process that computes the value has been stopped, as far as the system says."""
        if sys.platform not in {"linux", "android", "darwin"}:
            return False
        import psutil  # here: hardly anybody waits so long

        start = _offset(key)
        place = (start, 1, 0, fcntl.F_WRLCK, 0) if _PROCESS == 2 else (fcntl.F_WRLCK, 0, start, 1, 0)
        try:
            found = fcntl.fcntl(self._open(), fcntl.F_GETLK, struct.pack(f"{_FLOCK}0q", *place))
            process = struct.unpack(f"{_FLOCK}0q", found)[_PROCESS]
            state = psutil.Process(process).status()
        except (OSError, ValueError, FilesLimited, psutil.Error):  # it has ended, or is in another container
            return False
        return state in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}

    def give_back(self, key: Key) -> None:
        """Lets another process compute, or look at what was stored."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _offset(key))

    def note_failure(self, key: Key, type_name: str, message: str) -> None:
        """Leaves the news for those who wait for this key now."""
        text = f"{type_name}\0{message}".encode("utf-8", "replace")[: _NOTE_BYTES - _NOTE.size]
        body = struct.pack("<Q16s", time.time_ns(), key.check) + text.ljust(_NOTE_BYTES - _NOTE.size, b"\0")
        with contextlib.suppress(OSError, FilesLimited):
            os.pwrite(self._open(), xxh3_64_intdigest(body).to_bytes(8, "little") + body, _note_offset(key))

    def failure_since(self, key: Key, since_ns: int) -> ComputationFailed | None:
        """Returns the failure of this key that was noted since then, in ns of the clock that goes on over a reboot."""
        try:
            note = os.pread(self._open(), _NOTE_BYTES, _note_offset(key))
        except (OSError, FilesLimited):
            return None
        if len(note) < _NOTE_BYTES or xxh3_64_intdigest(note[8:]) != int.from_bytes(note[:8], "little"):
            return None
        _, noted_ns, check = _NOTE.unpack_from(note)
        if check != key.check or not since_ns <= noted_ns <= time.time_ns():
            return None
        type_name, _, message = note[_NOTE.size :].rstrip(b"\0").decode("utf-8", "replace").partition("\0")
        return ComputationFailed(type_name, message)

    def close(self) -> None:
        """Gives the file back, and with it every lease. Harmless when repeated."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _open(self) -> int:
        # One handle stays open for the whole life: to close any handle on the file would drop all of the process's
        # locks.
        if self._fd is None:
            self._fd = files.opened(self._path, os.O_RDWR | os.O_CREAT)
        return self._fd


def _offset(key: Key) -> int:
    return _LOCKS_FROM + (int.from_bytes(key.digest[:8], "little") >> 2)


def _note_offset(key: Key) -> int:
    return key.digest[0] % _NOTES * _NOTE_BYTES

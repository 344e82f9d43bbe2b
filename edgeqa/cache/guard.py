"""Who may give the data file to LMDB, and when: every process enters a cache directory and leaves it through here.

In: a directory and a map size. Out: an open `Store`, or a `StoreFault` that says why there is none. LMDB can be killed
by a damaged file, so that the file is judged first, by rules that hold across processes, containers and reboots:

- `guard` is locked (`flock`) while a process enters or leaves, `users` is share-locked while it is inside. The kernel
  drops both locks when their holder dies, however it dies. So "nobody is inside" is a fact, and not a guess from pids.
- Whoever enters when nobody is inside has the data file judged (`premises`). Its seal is broken before a process's
  first write, and made again by the last to leave, after a sync, if all left properly: the ledger counts who is inside,
  and a kill, a power cut, damage, a change from outside leave a count above zero or a seal that does not fit the file.
- While somebody is inside, the file is in use and cannot be verified; LMDB's own locks survive a killed peer, and the
  verification stays owed until somebody finds the directory empty.
- A start that dies while opening, or a writer that dies inside a commit, leaves a note in the ledger. After two such
  deaths in a row the next start goes without the cache, for an hour; then the file is put aside and a new one made.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from edgeqa.cache.environment import StoreFault, as_fault
from edgeqa.cache.header import Header, round_map
from edgeqa.cache.ledger import Ledger
from edgeqa.cache.premises import Premises
from edgeqa.cache.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GUARD_FILE, USERS_FILE, LEDGER_FILE = "guard", "users", "ledger"
OFF_FOR_S = 3600
DEATHS_ALLOWED = 2
_ENTER_WAIT_S = 10.0
_MAP_FLOOR_BYTES = 1 << 20


class Guard:
    """One process's way into one cache directory."""

    def __init__(self, directory: Path) -> None:
        self.premises = Premises(directory)
        self.ledger: Ledger | None = None
        self._directory = directory
        self._users_fd = -1
        self._wrote = False
        self._trusted = True

    def enter(self, map_bytes: int, *, durable: bool) -> Store:
        """Returns the open store.

        Raises:
            StoreFault: there is none to be had now; `kind` says why.
        """
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._entrance() as alone:
                self.ledger = ledger = Ledger(self._directory / LEDGER_FILE)
                self._count_deaths(ledger, alone=alone)
                if alone:
                    self.premises.judge(ledger)
                    ledger.set("inside", 0)
                store = self._open(ledger, map_bytes, durable=durable, alone=alone)
                fcntl.flock(self._users_fd, fcntl.LOCK_SH)
                ledger.add({"inside": 1})
                return store
        except (OSError, StoreFault) as error:
            self.abandon()
            raise error if isinstance(error, StoreFault) else as_fault(error) from error

    def leave(self, store: Store) -> bool:
        """Closes the store; returns whether nobody is inside any more."""
        ledger, last = self.ledger, False
        if ledger is not None:
            with contextlib.suppress(OSError, StoreFault), self._entrance() as last:
                store.close()
                if self._trusted:
                    ledger.add({"inside": -1})
                if ledger.get("deaths"):
                    ledger.set("deaths", 0)
                if last and not ledger.get("inside"):
                    self.premises.seal()
        store.close()
        self.abandon()
        return last

    def mend(self) -> list[str]:
        """Verifies the data file if nobody is inside, puts a damaged one aside, and forgets former deaths.

        Returns:
            what was wrong.

        Raises:
            StoreFault: the directory is in use, or cannot be entered.
        """
        with self._alone() as ledger:
            problems = self.premises.verify()
            for note in ("deaths", "opening", "writing", "inside"):
                ledger.set(note, 0)
            return problems

    def discard(self) -> None:
        """Deletes the data file and all that belongs to it, the totals too, if nobody is inside.

        Raises:
            StoreFault: the directory is in use, or cannot be entered.
        """
        with self._alone() as ledger:
            self.premises.discard()
            ledger.reset()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Ledger]:
        try:
            with self._entrance() as alone:
                if not alone:
                    raise StoreFault(kind="unavailable", reason="other processes are using the cache")
                self.ledger = Ledger(self._directory / LEDGER_FILE)
                yield self.ledger
        except OSError as error:
            raise as_fault(error) from error
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Gives all handles back without leaving properly; what a forked child does with its parent's."""
        self._release_users()
        ledger, self.ledger = self.ledger, None
        if ledger is not None:
            ledger.close()

    def before_first_write(self) -> None:
        """Breaks the seal."""
        if not self._wrote:
            self._wrote = True
            self.premises.break_seal()

    def distrust(self) -> None:
        """Has the next start verify the file: it turned out to be damaged. For the count, this process never leaves."""
        self._trusted = False

    @contextlib.contextmanager
    def around_commit(self) -> Iterator[None]:
        """Notes that this process is inside a commit; a note that stays is a death."""
        if self.ledger is not None:
            self.ledger.set("writing", os.getpid())
        try:
            yield
        finally:
            if self.ledger is not None:
                self.ledger.set("writing", 0)

    def _count_deaths(self, ledger: Ledger, *, alone: bool) -> None:
        deaths, now_s = ledger.get("deaths"), int(time.time())
        if ledger.get("opening") or (alone and ledger.get("writing")):
            ledger.set("opening", 0)
            ledger.set("writing", 0)
            deaths = min(deaths, DEATHS_ALLOWED) + 1
            ledger.set("deaths", deaths)
            ledger.set("died_at_s", now_s)
        if deaths < DEATHS_ALLOWED:
            return
        if 0 <= now_s - ledger.get("died_at_s") < OFF_FOR_S or not alone:
            raise StoreFault(kind="off_after_deaths", reason=f"{deaths} starts in a row died inside the cache")
        self.premises.quarantine("engine")
        ledger.set("deaths", 0)

    def _open(self, ledger: Ledger, map_bytes: int, *, durable: bool, alone: bool) -> Store:
        found = self.premises.read_header()
        if not alone and (found is None or not found.fits_this_machine()):
            raise StoreFault(kind="foreign", reason="in use by another kind of process")
        map_bytes = found.map_bytes if found and found.fits_this_machine() else round_map(map_bytes)
        ledger.set("opening", os.getpid())
        try:
            while True:
                if alone:
                    self.premises.write_header(Header(map_bytes))
                try:
                    return self._open_sound(map_bytes, durable=durable)
                except StoreFault as fault:
                    if fault.kind in ("damaged", "engine") and alone and not self.premises.quarantined:
                        self.premises.quarantine("damaged")  # LMDB or the check of the records has refused it
                    elif fault.kind == "unavailable" and alone and map_bytes > _MAP_FLOOR_BYTES:
                        map_bytes = round_map(map_bytes // 2)  # less address space than the plan thought
                    else:
                        raise
        finally:
            ledger.set("opening", 0)

    def _open_sound(self, map_bytes: int, *, durable: bool) -> Store:
        store = Store(self._directory, map_bytes, durable=durable)
        if self.premises.suspect:  # its pages are sound by now, but what they hold need not be
            try:
                problems = store.problems()
            except StoreFault as fault:
                problems = [str(fault)]
            if problems:
                store.close()
                raise StoreFault(kind="damaged", reason=problems[0])
        return store

    def _release_users(self) -> None:
        fd, self._users_fd = self._users_fd, -1
        if fd >= 0:
            os.close(fd)

    @contextlib.contextmanager
    def _entrance(self) -> Iterator[bool]:
        """Holds the entrance; yields whether nobody is inside."""
        fd = os.open(self._directory / GUARD_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            give_up_at_s, pause_s = time.monotonic() + _ENTER_WAIT_S, 0.0005
            while not _try_lock(fd):
                if time.monotonic() > give_up_at_s:
                    raise StoreFault(kind="unavailable", reason="another process keeps the entrance locked")
                time.sleep(pause_s)
                pause_s = min(0.02, pause_s * 2)
            # Who leaves counts as inside up to here: else whoever enters meanwhile would take it for dead.
            self._release_users()
            self._users_fd = os.open(self._directory / USERS_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            yield _try_lock(self._users_fd)
        finally:
            os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

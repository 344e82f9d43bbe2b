"""The guard of a cache directory, where every process enters and leaves: it decides when LMDB may get the data file.

In: a directory and a map size. Out: an open `Store`, or a `StoreFault` that says why there is none. LMDB can be killed
by a damaged file, so that the file is judged first, by rules that hold across processes, containers and reboots:

- `guard` is locked (`flock`) while a process enters or leaves, `users` is share-locked while it is inside. The kernel
  drops both locks when their holder dies, however it dies. So "nobody is inside" is a fact, and not a guess from pids.
- Whoever enters when nobody is inside has the data file judged (`premises`). Its seal is broken before a process's
  first write, and made again by the last to leave, after a sync, if all left properly: the ledger counts who is inside,
  and a kill, a power cut, damage, a change from outside leave a count above zero or a seal that does not fit the file.
- While somebody is inside, the file is in use and cannot be verified; LMDB's own locks survive a killed peer, and the
  verification stays owed until somebody finds the directory empty.
- Nobody waits for long: who holds the entrance may have been stopped, or be verifying a large file. After ENTER_WAIT_S
  a process goes on without the cache, and its next question tries again. A large file is verified by a process of its
  own (`verify_beside`), beside the questions, which find nothing until it is done.
- A lock is let go by its name (LOCK_UN), not by closing the file: a child that was forked meanwhile has the same open
  file, and would hold the lock on. The child closes its handles and unlocks nothing: that would unlock its parent's.
  Whatever comes in between, an interrupt too, lets go of all that was taken.
- A start that dies while opening, or a writer that dies inside a commit, leaves a note in the ledger. After two such
  deaths in a row the next start goes without the cache, for an hour; then the file is put aside and a new one made.
  The note of a commit is found by the next start, or by the next writer, whose own note takes its place: it begins the
  same transaction anew.

Three ways were not chosen: a list of pids, which are given anew and mean nothing in another container; a lock with a
blocking wait, which a stopped process makes endless; a thread that verifies, which ends with the command that began it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa import files
from edgeqa.cache.ledger import Ledger
from edgeqa.cache.premises import GUARD_FILE, USERS_FILE, Header, Premises, round_map
from edgeqa.cache.store import Store, StoreBusy, StoreFault, as_fault
from edgeqa.errors import FilesLimited

if TYPE_CHECKING:
    from collections.abc import Iterator

LEDGER_FILE = "ledger"
OFF_FOR_S = 3600
DEATHS_ALLOWED = 2
ENTER_WAIT_S = 2.0
_VERIFY_AGAIN_AFTER_S = 60.0
_MAP_FLOOR_BYTES = 1 << 20
_PROCESS_BITS = 22  # of a note of a commit; above them is the transaction. No system gives higher numbers
_NOTE_LOOKS, _NOTE_PAUSE_S = 50, 0.001

_verifications: dict[Path, tuple[float, int]] = {}  # begun by this process: when, and which process does it


class Guard:
    """One process's way into one cache directory."""

    def __init__(self, directory: Path) -> None:
        self.premises = Premises(directory)
        self.ledger: Ledger | None = None
        self._directory = directory
        self._entrance_fd = self._users_fd = -1
        self._wrote = False
        self._trusted = True

    def enter(
        self,
        store: Store,
        map_bytes: int,
        *,
        durable: bool,
        wait_s: float = ENTER_WAIT_S,
        max_check_bytes: int | None = None,
    ) -> Ledger:
        """Opens the store, and returns the ledger of its directory.

        Args:
            store: not open yet.
            map_bytes: size of the map, where a file has to be made.
            durable: whether each commit waits for the disk.
            wait_s: how long to wait for others at the entrance.
            max_check_bytes: the largest file to verify; None for any.

        Raises:
            StoreBusy: there is none to be had for now.
            CheckDue: the file has to be verified first, and is larger.
            StoreFault: there is none to be had; `kind` says why.
        """
        try:
            files.make_folders(self._directory)
            with self._entrance(wait_s) as alone:
                self.ledger = ledger = Ledger(self._directory / LEDGER_FILE)
                self._count_deaths(ledger, alone=alone)
                if alone:
                    self.premises.judge(ledger, max_check_bytes)
                    ledger.set("inside", 0)
                self._open(store, ledger, map_bytes, durable=durable, alone=alone)
                files.lock_within(self._users_fd, fcntl.LOCK_SH, wait_s)
                ledger.add({"inside": 1})
                return ledger
        except BaseException as error:  # also after an interrupt: the locks held now would keep out everybody else
            store.close()
            self.abandon()
            if isinstance(error, (OSError, FilesLimited)):
                raise as_fault(error) from error
            raise

    def leave(self, store: Store) -> None:
        """Closes the store, and seals the file if nobody is inside any more."""
        ledger = self.ledger
        try:
            if ledger is not None:
                with contextlib.suppress(OSError, StoreFault, FilesLimited), self._entrance(ENTER_WAIT_S) as last:
                    store.close()
                    if self._trusted:
                        ledger.add({"inside": -1})
                    if ledger.get("deaths"):
                        ledger.set("deaths", 0)
                    if last and not ledger.get("inside"):
                        self.premises.seal()
        finally:
            try:
                store.close()
            finally:
                self.abandon()

    def repair(self) -> list[str]:
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
            with self._entrance(ENTER_WAIT_S) as alone:
                if not alone:
                    raise StoreBusy(reason="other processes are using the cache")
                self.ledger = Ledger(self._directory / LEDGER_FILE)
                yield self.ledger
        except (OSError, FilesLimited) as error:
            raise as_fault(error) from error
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Lets go of all that is held, without leaving properly."""
        self._release_entrance()
        self._release_users()
        ledger, self.ledger = self.ledger, None
        if ledger is not None:
            ledger.close()

    def forked(self) -> None:
        """Closes the parent's handles in a forked child; the locks stay the parent's."""
        entrance, users = self._entrance_fd, self._users_fd
        self._entrance_fd = self._users_fd = -1
        for fd in (entrance, users):
            if fd >= 0:
                os.close(fd)
        self.abandon()

    def before_first_write(self) -> None:
        """Breaks the seal."""
        if not self._wrote:
            self._wrote = True
            self.premises.break_seal()

    def distrust(self) -> None:
        """Makes the next start verify the file, which is damaged. For the count, this process never leaves."""
        self._trusted = False

    @contextlib.contextmanager
    def around_commit(self, transaction: int) -> Iterator[None]:
        """Notes that this process is inside a commit; a note that stays is a death.

        To be entered when LMDB has let it write: then it is the only one, and its note is nobody else's.

        Args:
            transaction: its number, which LMDB gives anew where it was not committed.
        """
        ledger, own = self.ledger, transaction << _PROCESS_BITS | os.getpid()
        if ledger is not None:
            if _stays(ledger, transaction):
                _note_death(ledger)
            ledger.set("writing", own)
        try:
            yield
        finally:
            if ledger is not None and ledger.get("writing") == own:  # else the next writer has begun already
                ledger.set("writing", 0)

    def writing_process(self) -> int:
        """Returns the id of the process that is inside a commit, or died there; 0 if none is, or it is unknown."""
        return self.ledger.get("writing") & ((1 << _PROCESS_BITS) - 1) if self.ledger is not None else 0

    def _count_deaths(self, ledger: Ledger, *, alone: bool) -> None:
        if ledger.get("opening") or (alone and ledger.get("writing")):
            ledger.set("opening", 0)
            ledger.set("writing", 0)
            _note_death(ledger)
        deaths, now_s = ledger.get("deaths"), int(time.time())
        if deaths < DEATHS_ALLOWED:
            return
        if 0 <= now_s - ledger.get("died_at_s") < OFF_FOR_S or not alone:
            raise StoreFault(kind="off_after_deaths", reason=f"{deaths} starts in a row died inside the cache")
        self.premises.quarantine("engine")
        ledger.set("deaths", 0)

    def _open(self, store: Store, ledger: Ledger, map_bytes: int, *, durable: bool, alone: bool) -> None:
        found = self.premises.read_header()
        if not alone and (found is None or not found.fits_this_machine()):
            raise StoreFault(kind="foreign", reason="in use by another kind of process")
        map_bytes = found.map_bytes if found and found.fits_this_machine() else round_map(map_bytes)
        ledger.set("opening", os.getpid())
        try:
            while not store.is_open:
                if alone:
                    self.premises.write_header(Header(map_bytes))
                try:
                    self._open_sound(store, map_bytes, durable=durable)
                except StoreFault as fault:
                    if fault.kind in ("damaged", "engine") and alone and not self.premises.quarantined:
                        self.premises.quarantine("damaged")  # LMDB or the check of the records has refused it
                    elif fault.kind == "unavailable" and alone and map_bytes > _MAP_FLOOR_BYTES:
                        map_bytes = round_map(map_bytes // 2)  # less address space than the plan thought
                    else:
                        raise
        finally:
            ledger.set("opening", 0)

    def _open_sound(self, store: Store, map_bytes: int, *, durable: bool) -> None:
        store.open(self._directory, map_bytes, durable=durable)
        if self.premises.suspect:  # its pages are sound by now, but the records may be damaged
            try:
                problems = store.problems()
            except StoreFault as fault:
                problems = [str(fault)]
            if problems:
                store.close()
                raise StoreFault(kind="damaged", reason=problems[0])

    # An interrupt may come between any two lines. So a handle is forgotten only once it is unlocked, and `abandon`
    # unlocks the rest after an interrupt.

    def _release_users(self) -> None:
        if self._users_fd >= 0:
            files.unlock(self._users_fd)
            fd, self._users_fd = self._users_fd, -1
            os.close(fd)

    def _release_entrance(self) -> None:
        if self._entrance_fd >= 0:
            files.unlock(self._entrance_fd)
            fd, self._entrance_fd = self._entrance_fd, -1
            os.close(fd)

    @contextlib.contextmanager
    def _entrance(self, wait_s: float) -> Iterator[bool]:
        """Holds the entrance; yields whether nobody is inside.

        Raises:
            StoreBusy: somebody else has held it all the time.
        """
        self._entrance_fd = files.opened(self._directory / GUARD_FILE, os.O_RDWR | os.O_CREAT)
        try:
            try:
                files.lock_within(self._entrance_fd, fcntl.LOCK_EX, wait_s)
            except TimeoutError as error:
                raise StoreBusy(reason=f"the entrance: {error}") from error
            # A leaving process counts as inside up to here; else one that enters meanwhile would take it for dead.
            self._release_users()
            self._users_fd = files.opened(self._directory / USERS_FILE, os.O_RDWR | os.O_CREAT)
            yield files.try_lock(self._users_fd, fcntl.LOCK_EX)
        finally:
            self._release_entrance()


def _stays(ledger: Ledger, transaction: int) -> bool:
    """Tells whether a writer died in this transaction: it noted that it began it, and does not take that back.

    One that lives does, in a moment: it aborted, or had nothing to commit.
    """
    for _ in range(_NOTE_LOOKS):
        if ledger.get("writing") >> _PROCESS_BITS != transaction:
            return False
        time.sleep(_NOTE_PAUSE_S)
    return True


def _note_death(ledger: Ledger) -> None:
    ledger.set("deaths", min(ledger.get("deaths"), DEATHS_ALLOWED) + 1)
    ledger.set("died_at_s", int(time.time()))


def verify_beside(directory: Path, map_bytes: int) -> bool:
    """Starts a process that verifies a directory's data file; returns whether it still runs, or will end soon.

    A process, because a command that answers one question ends long before a large file is read, and because a damaged
    file can kill who opens it. Who asks meanwhile finds the entrance locked and goes without the cache. A file that
    could not be verified is tried again after a while.
    """
    now_s = time.monotonic()
    if (found := _verifications.get(directory)) is not None:
        began_s, process = found
        if not _has_ended(process) or now_s - began_s < _VERIFY_AGAIN_AFTER_S:
            return True
    if not sys.executable:
        return False
    package = str(Path(__file__).parent.parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    code = f"from {__name__} import Path, verify; verify(Path({os.fspath(directory)!r}), {map_bytes})"
    try:
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", code],
            {**os.environ, "PYTHONPATH": path},
            file_actions=nowhere,
            setpgroup=0,  # so that Ctrl-C does not reach it
        )
    except (OSError, NotImplementedError):
        return False
    _verifications[directory] = now_s, process
    return True


def _has_ended(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG)[0] == process
    except ChildProcessError:  # it was waited for, or is a forked parent's
        return True


def verify(directory: Path, map_bytes: int) -> None:
    """Verifies a directory's data file and seals it, or puts it aside; gives way to everybody else meanwhile."""
    with contextlib.suppress(OSError):
        os.nice(10)
    guard, store = Guard(directory), Store()
    with contextlib.suppress(StoreFault):
        guard.enter(store, map_bytes, durable=False)
        guard.leave(store)

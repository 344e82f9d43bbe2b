"""The file of a catalogue: SQLite, opened for reading or for its one writer, and checked before it is believed.

In: a collection's directory. Out: facts and rows, in transactions that the caller begins and ends. An error of SQLite
is raised as damage, or as a fault of the system. SQLite has no checksums: `seals` keeps one of the whole file, as each
commit leaves it. A catalogue of edgeqa 0.3 (FORMER) is read, and its writer brings it to this format. The meaning of
the rows is known to `catalogue` alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from typing import TYPE_CHECKING, Any, TypeVar

from edgeqa import files, forking
from edgeqa.collection import seals
from edgeqa.collection.errors import (
    CatalogueDamaged,
    CollectionFormatUnsupported,
    CollectionNotFound,
    CollectionUnreadable,
    CollectionUnwritable,
)
from edgeqa.collection.shard import is_shard
from edgeqa.collection.snapshot import CATALOGUE, FORMAT, FORMER, SHARDS
from edgeqa.errors import CollectionError
from edgeqa.files import create, sync_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T", bound="CatalogueFile")

ID_BYTES = 16
_BUSY_S = 30.0
# SQLite reports some faults of a file's content as errors of the system, whose messages begin so.
_OF_THE_CONTENT = ("Could not decode", "no such table", "no such column", "malformed", "unsupported file format")
_ROWS = 256
_ANY_TABLE = "SELECT 1 FROM sqlite_master"
_CALL = forking.library_call()  # SQLite has locks of the whole process, which a forked child would find held
_BESIDE = ("", "-wal", "-shm", "-journal")  # how the names of SQLite's files end

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE sources (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL,       -- absolute, as bytes: what the file is known by
    name TEXT NOT NULL,       -- as the user wrote it: what its documents' names begin with
    digest BLOB NOT NULL,     -- of its content and of how it was read, or empty, to have it read again
    window_tokens INTEGER NOT NULL,
    encoder TEXT NOT NULL,
    state INTEGER NOT NULL,
    reader TEXT NOT NULL DEFAULT '',       -- what made its text, and of which version
    splitter INTEGER NOT NULL DEFAULT 1    -- version of what cut it
);
CREATE INDEX sources_by_path ON sources (path);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source INTEGER NOT NULL,
    suffix TEXT NOT NULL,     -- what its name has beyond the source's
    title TEXT NOT NULL,
    tag TEXT NOT NULL,        -- of the shard that it was added in
    first INTEGER NOT NULL,   -- its contexts have the ids from here on
    contexts INTEGER NOT NULL,
    whole INTEGER NOT NULL
);
CREATE INDEX documents_by_source ON documents (source, suffix);
CREATE INDEX documents_by_first ON documents (first);
CREATE TABLE shards (
    tag TEXT PRIMARY KEY,
    encoder TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    contexts INTEGER NOT NULL,
    live INTEGER NOT NULL,       -- how many of them belong to a document that is still there
    encodings INTEGER NOT NULL,  -- bytes
    size_bytes INTEGER NOT NULL,
    seen TEXT NOT NULL,          -- what the system said of its files when they were last known to be sound
    manifest BLOB NOT NULL DEFAULT x''  -- the bytes of its manifest
);
CREATE TABLE unindexed (first INTEGER NOT NULL, after INTEGER NOT NULL, wanted INTEGER NOT NULL);
"""

# The columns that a catalogue of the former format lacks.
_ADDED = (
    "ALTER TABLE sources ADD COLUMN reader TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE sources ADD COLUMN splitter INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE shards ADD COLUMN manifest BLOB NOT NULL DEFAULT x''",
)


class CatalogueFile:
    """An open catalogue. For one thread."""

    def __init__(self, file: Path, connection: sqlite3.Connection) -> None:
        self._file, self._connection = file, connection
        self._opened = contextlib.ExitStack()
        self._is_sealed = False
        self.format = FORMAT
        self.buried: list[tuple[int, int]] = []
        """Ranges of the context ids that have come to belong to no document since the last transaction began."""

    @classmethod
    def read(cls: type[T], directory: Path) -> T:
        """Opens the catalogue of the collection in `directory` for reading.

        Raises:
            CollectionNotFound: if there is none.
            CollectionError: if it cannot be read.
        """
        if not (directory / CATALOGUE).exists():
            if any(is_shard(found) for found in (directory / SHARDS).glob("*")):
                raise CatalogueDamaged(directory / CATALOGUE, "it is missing")
            raise CollectionNotFound(directory)
        check_sealed(directory)
        problem = CollectionUnreadable(directory, os.strerror(errno.ENOLCK))
        try:
            if files.has_locks(directory):  # else SQLite would wait for one until it gives up
                return cls._open(directory, make=False)
        except CollectionUnreadable as error:
            problem = error
        # SQLite shares its view of the file by two files beside it, which it cannot make where nothing can be written,
        # or locked. Without a writer there is nothing to share.
        log = directory / f"{CATALOGUE}-wal"
        if log.is_file() and log.stat().st_size:
            raise problem
        return cls._open(directory, make=False, query="?mode=ro&immutable=1")

    @classmethod
    def write(cls: type[T], directory: Path) -> T:
        """Opens the catalogue for its writer; makes it if there is none."""
        return cls._open(directory, make=True)

    @classmethod
    def make(cls: type[T], directory: Path, name: str) -> T:
        """Makes an empty catalogue in another file of the directory."""
        return cls._open(directory, make=True, name=name)

    @classmethod
    def _open(cls: type[T], directory: Path, *, make: bool, query: str = "", name: str = CATALOGUE) -> T:
        file = directory / name
        try:
            files.own(directory)
            beside = (directory / f"{name}{end}" for end in (_BESIDE if not query else ("",)))
            files.check_plain(*beside, written=make)
            if make:
                _prepare(file)
            with contextlib.ExitStack() as unless_opened:
                unless_opened.enter_context(seals.shared_descriptor(file))
                with _CALL:
                    connection = sqlite3.connect(
                        file.absolute().as_uri() + query,
                        timeout=_BUSY_S,
                        isolation_level=None,
                        check_same_thread=False,
                        uri=True,
                    )
                unless_opened.callback(_close, connection)
                catalogue = cls(file, connection)
                if make:
                    _row(connection, "PRAGMA journal_mode = WAL")
                    _row(connection, "PRAGMA synchronous = FULL")
                    _row(connection, "PRAGMA fullfsync = ON")  # on macOS; nothing elsewhere
                    _row(connection, "PRAGMA checkpoint_fullfsync = ON")
                    if not _row(connection, _ANY_TABLE):
                        with catalogue.transaction():
                            for statement in _SCHEMA.split(";"):
                                _row(connection, statement)
                            catalogue.set("format", FORMAT)
                            catalogue.set("id", os.urandom(ID_BYTES).hex())
                            catalogue.set("salt", int.from_bytes(os.urandom(2), "little"))
                elif not _row(connection, _ANY_TABLE):  # its maker was killed
                    raise CollectionNotFound(directory)
                if (found := catalogue.get("format", None)) not in (FORMER, FORMAT):
                    raise CollectionFormatUnsupported(file, found, FORMAT)
                catalogue.format = found
                catalogue._opened = unless_opened.pop_all()
                return catalogue
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _error_of(error, file, CollectionUnwritable if make else CollectionUnreadable) from error
        except OSError as error:
            kind = CollectionUnwritable if make else CollectionUnreadable
            raise kind(directory, error.strerror or str(error)) from error

    def upgrade(self) -> None:
        """Brings a catalogue of the former format to this one, as a part of the transaction under way."""
        for statement in _ADDED:
            self._run(statement)
        self.set("id", os.urandom(ID_BYTES).hex())
        self.set("format", FORMAT)
        self.format = FORMAT

    # --- facts -------------------------------------------------------------------------------------------------------

    def get(self, name: str, default: Any) -> Any:  # noqa: ANN401 - whatever SQLite keeps
        """Returns the fact called `name`."""
        found = self._one("SELECT value FROM facts WHERE name = ?", name)
        return default if found is None else found[0]

    def set(self, name: str, value: object) -> None:
        """Keeps a fact."""
        self._run("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    # --- transactions ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begins a transaction, if none is under way."""
        if not self._connection.in_transaction:
            self.buried = []
            self._run("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Makes all since `begin` permanent."""
        if self._connection.in_transaction:
            if self._is_sealed:
                self.unseal()
                sync_directory(self._file.parent)
            self._run("COMMIT")

    def roll_back(self) -> None:
        """Takes back all since `begin`."""
        if self._connection.in_transaction:
            self._run("ROLLBACK")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits what the block does, or takes it back if it raises."""
        self.begin()
        try:
            yield
        except BaseException:
            self.roll_back()
            raise
        self.commit()

    # --- the file ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Lets the file go; what was not committed is taken back."""
        self._opened.close()

    def seal(self) -> None:
        """Notes what the file is like, if all that is committed is in it. Until the next commit nobody writes to it."""
        if self.checkpoint():
            with contextlib.suppress(OSError):  # without room for it, the next writer looks closer
                seals.store(self._file.parent, (), None)
                self._is_sealed = True

    def unseal(self) -> None:
        """Withdraws what is said of the file; the directory is to be synced before it changes."""
        seals.withdraw(self._file.parent)
        self._is_sealed = False

    def checkpoint(self) -> bool:
        """Puts all that is committed into the one file; returns whether that could be done: a reader may be at work."""
        self._run("PRAGMA busy_timeout = 0")
        try:
            busy: int = self._one("PRAGMA wal_checkpoint(TRUNCATE)")[0]
        except CollectionError:
            return False
        finally:
            self._run(f"PRAGMA busy_timeout = {1000 * _BUSY_S:.0f}")
        return not busy

    def problems(self) -> list[str]:
        """Returns the faults that SQLite finds in the structure of the file, whatever its content."""
        found = [row[0] for row in self._all("PRAGMA integrity_check(10)")]
        return [] if found == ["ok"] else found

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _one(self, query: str, *values: object) -> Any:  # noqa: ANN401 - a row, or None
        cursor = self._run(query, *values)
        try:
            with _CALL:
                found = cursor.fetchone()
                cursor.close()
                return found
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _error_of(error, self._file, CollectionUnreadable) from error

    def _all(self, query: str, *values: object) -> Iterator[Any]:
        cursor = self._run(query, *values)
        try:
            while rows := _next_rows(cursor):
                yield from rows
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _error_of(error, self._file, CollectionUnreadable) from error

    def _run_each(self, query: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Runs a query once for each of some rows."""
        made = list(rows)
        try:
            with _CALL:
                self._connection.executemany(query, made)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _error_of(error, self._file, CollectionUnwritable) from error

    def _run(self, query: str, *values: object) -> sqlite3.Cursor:
        try:
            with _CALL:
                return self._connection.execute(query, values)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise _error_of(error, self._file, CollectionUnwritable) from error


def _row(connection: sqlite3.Connection, query: str) -> Any:  # noqa: ANN401 - a row, or None
    with _CALL:
        return connection.execute(query).fetchone()


def _next_rows(cursor: sqlite3.Cursor) -> list[Any]:
    with _CALL:
        return cursor.fetchmany(_ROWS)


def _close(connection: sqlite3.Connection) -> None:
    with _CALL:
        connection.close()


def _prepare(file: Path) -> None:
    """Makes a file to be written to, and withdraws what is said of its content."""
    if not file.exists():
        create(file).close()
    if file.name == CATALOGUE:
        seals.withdraw(file.parent)


def check_sealed(directory: Path) -> None:
    """Does nothing.

    Raises:
        CatalogueDamaged: if the catalogue is not what its last writer left.
    """
    if (found := seals.find_mismatch(directory, CATALOGUE)) is not None:
        raise CatalogueDamaged(directory / found.name, found.what)


def _error_of(error: Exception, file: Path, otherwise: Callable[[Path, str], CollectionError]) -> CollectionError:
    """Translates an error of SQLite for the user: into damage, or by `otherwise` into an error of the system."""
    of_the_system = isinstance(error, sqlite3.OperationalError) and not str(error).startswith(_OF_THE_CONTENT)
    return otherwise(file.parent, str(error)) if of_the_system else CatalogueDamaged(file, str(error))

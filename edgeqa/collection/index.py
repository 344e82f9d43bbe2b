"""The route index: which contexts share most with a question (BM25, on tantivy), of any number of contexts.

`IndexWriter`: contexts in by their ids, permanent at `commit`; `Index`: a question in, the best ids out, from files
that are mapped into memory. It holds no text and knows nothing of documents; ids mean what the collection says.
`check_index` compares every byte with the checksums that the files end in: the library writes the CRC-32 of a file's
content into a line of JSON at its end, then the length of that and a number (tantivy, src/directory/footer.rs), and
does not compare them when it opens an index. This module mends nothing: the next writer makes an index anew from the
stored contexts.

Why tantivy: `benchmarks/route.py` has it beside SQLite's FTS5 and an inverted index in numpy.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import struct
import tempfile
import threading
import zlib
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from edgeqa import forking, state
from edgeqa.collection.errors import RouteDamaged, RouteUnreadable, RouteUnwritable
from edgeqa.collection.ownership import narrow
from edgeqa.collection.snapshot import ROUTE
from edgeqa.contexts.search import MAX_MENDED, MAX_WORDS, TITLE_WEIGHT, Hit, Hits, weight
from edgeqa.contexts.terms import ENGLISH, one_slip_away, swapped_stop_word, term, terms, words
from edgeqa.errors import FilesLimited, LibraryMissing, ThreadsLimited
from edgeqa.files import check_plain, create, delete, make_folders, read, reading

try:
    import tantivy
except ImportError as error:
    raise LibraryMissing(library="tantivy", what="a collection") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

Ranges: TypeAlias = "Sequence[tuple[int, int]]"
_M_ARENA_MAX = -8  # of mallopt(3)
WRITER_HEAP_BYTES = 15_000_000  # tantivy takes no less
_ATTEMPTS = 10  # a directory may change while it is read
_TOKENIZER = "whitespace"  # texts come as terms already
META = "meta.json"  # names all other files
_PARTS = ("fast", "fieldnorm", "idx", "pos", "store", "term")
# The library also calls damage in a file an IoError { io_error: Custom { kind: InvalidData, ...; that does not match.
_OF_THE_SYSTEM = re.compile(r"(?is)(?:io ?error|os error)(?!.*custom \{ kind: (?:invaliddata|unexpectedeof))|lockfile")
_NO_FILE = re.compile(r"(?i)too many open files")
_NO_THREAD = re.compile(r"(?i)failed to spawn|threads? ?pool|resource temporarily unavailable")
WRITER_LOCK = ".tantivy-writer.lock"
META_LOCK = ".tantivy-meta.lock"  # held for a moment: while an index is opened, or a commit deletes what it replaced
MANAGED = ".managed.json"  # of the library: what may be deleted when it is not in use any more
_END = struct.Struct("<II")  # length of the line of JSON, and what shows that there is one
_MAGIC = 1337
_BLOCK_BYTES = 1 << 20
_SEGMENT_FILE = re.compile(r"([0-9a-f]{32})\.(?:(\d+)\.)?[a-z]+")


class _LockFiles:
    """The library's locks (flock) in a forked child, which has a handle of each that a thread of its parent holds.

    Nobody would give that back: the index could be opened by nobody, this process included, until the child ends. What
    does not tell the names of open files has no child that adds while its parent does.
    """

    def __init__(self) -> None:
        forking.tell(self)

    def forked(self) -> None:
        """Leaves them to the parent. In their place comes what the library may close, whenever it does."""
        nothing = os.open(os.devnull, os.O_RDWR)
        with contextlib.suppress(OSError):
            for handle in _HANDLES.iterdir():
                with contextlib.suppress(OSError):  # that of the listing itself
                    if handle.readlink().name in (WRITER_LOCK, META_LOCK):
                        os.dup2(nothing, int(handle.name), inheritable=False)
        os.close(nothing)


_HANDLES = Path("/proc/self/fd")
_lock_files = _LockFiles()


class IndexWriter:
    """The one that changes an index; for one thread. To be held by the collection's only writer."""

    def __init__(self, directory: Path, language: str = ENGLISH) -> None:
        """Opens the index in `directory`, and makes it if there is none; `language` is that of stop words and stems.

        Raises:
            RouteDamaged: if what is there cannot be read.
            RouteUnwritable: if the disk is full, or read-only.
        """
        self._directory, self._language = directory, language
        with self._fallible():
            make_folders(directory)
            check_plain(*_own(directory))
            _share_arenas()
            _check_thread()
            self._path = contextlib.ExitStack()
            self._index = tantivy.Index(_schema(), self._path.enter_context(_utf8(directory)), reuse=True)
            self._writer = self._index.writer(WRITER_HEAP_BYTES, num_threads=1)
            _sweep(directory)
            # The library numbers operations, and gives the first after opening the number of the last commit. A merge
            # that begins before the next commit (a killed process leaves some to do) takes that for done where it is
            # not: a deletion would be lost. So the first operation is one that nothing is lost with.
            self._writer.delete_documents_by_query(tantivy.Query.empty_query())
        self._open = True

    def add(self, context_id: int, text: str, title: str) -> tuple[list[str], list[str]]:
        """Adds a context: its text, and what it is called, "" if it is not; returns the terms of both."""
        found = terms(text, self._language), terms(title, self._language)
        document = tantivy.Document()
        document.add_unsigned("id", context_id)
        document.add_text("text", " ".join(found[0]))
        document.add_text("title", " ".join(found[1]))
        with self._fallible():
            self._writer.add_document(document)
        return found

    def delete(self, first_id: int, after_id: int) -> None:
        """Deletes the contexts with ids from `first_id` on and below `after_id`."""
        if first_id >= after_id:
            return
        ids = tantivy.Query.range_query(
            self._index.schema,
            "id",
            tantivy.FieldType.Unsigned,
            lower_bound=first_id,
            upper_bound=after_id,
            include_upper=False,
        )
        with self._fallible():
            self._writer.delete_documents_by_query(ids)

    def commit(self) -> None:
        """Makes what was added and deleted permanent, and seen by those who open the index from now on.

        Raises:
            RouteUnwritable: if the disk is full.
        """
        with self._fallible():
            self._writer.commit()

    def close(self) -> None:
        """Lets the index go; what was not committed is lost. Waits for merges. Harmless when repeated."""
        if not self._open:
            return
        self._open = False
        with self._fallible():
            self._writer.wait_merging_threads()  # takes the writer, and with it the lock
            self._path.close()
            narrow(self._directory, ROUTE)

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _fallible(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RouteUnwritable(self._directory, error.strerror or str(error)) from error
        except BaseException as error:
            if not _is_of_the_library(error):
                raise
            _check_limits(error)
            kind = RouteUnwritable if _OF_THE_SYSTEM.search(str(error)) else RouteDamaged
            raise kind(self._directory, str(error)) from error


class Index:
    """An index as it was when it was opened. It is safe to use from many threads."""

    def __init__(self, directory: Path, language: str = ENGLISH, *, mapped: bool = True) -> None:
        """Opens the index in `directory`, which need not be writable.

        Args:
            directory: where it is.
            language: of its stop words and stems.
            mapped: whether its files are mapped into memory where they are. Otherwise what is searched is a copy that
                nobody else can reach: what it takes is as much memory as the index is large.

        Raises:
            RouteDamaged: if there is none, or it cannot be read.
        """
        self._directory, self._language = directory, language
        self._schema = _schema()
        self._mapped: dict[str, tuple[int, int]] = {}
        try:
            check_plain(*_own(directory))
        except OSError as error:
            raise RouteDamaged(directory, error.strerror or str(error)) from error
        _share_arenas()  # before any thread has one of its own
        _check_thread()
        if not mapped:
            self._searcher = _searcher_elsewhere(directory, None, _copy)
            return
        try:
            self._searcher = _searcher(directory)
        except BaseException as error:
            if not _is_of_the_library(error):
                raise
            _check_limits(error)
            self._searcher = _searcher_elsewhere(directory, error, _link)
        self._mapped = _sizes(directory)

    @property
    def contexts(self) -> int:
        """How many contexts it has."""
        found: int = self._searcher.num_docs
        return found

    def search(self, question: str, most: int, within: Ranges | None = None) -> Hits:
        """Returns the `most` best contexts, best first; of equal scores the one added first. None without a match.

        Args:
            question: as it was asked.
            most: how many to give.
            within: ranges of context ids, each from its first on and below its second, and no others are looked at; how
                much a word weighs is still that of all. None to look at all.

        Raises:
            RouteDamaged: if what is read for it is seen to be wrong.
        """
        self._check_sizes()
        try:
            with forking.library_call():
                return self._search(question, most, within)
        except BaseException as error:
            if not _is_of_the_library(error):
                raise
            raise RouteDamaged(self._directory, str(error)) from error

    def _check_sizes(self) -> None:
        """Does nothing; raises where a file was cut short: to touch what is missing of its map ends the process."""
        for file, (inode, size_bytes) in self._mapped.items():
            try:
                found = os.stat(file)  # noqa: PTH116 - half of what a Path takes
            except OSError:  # without a name, nobody can cut it short
                continue
            if found.st_ino == inode and found.st_size < size_bytes:
                raise RouteDamaged(self._directory, f"{Path(file).name} was cut short")

    def _search(self, question: str, most: int, within: Ranges | None) -> Hits:
        mended: dict[str, str] = {}
        looked_for = dict.fromkeys(
            self._known(islice(dict.fromkeys(words(question, self._language)), MAX_WORDS), mended)
        )
        contexts = self.contexts
        holding = {one: self._contexts_with(one) for one in looked_for}
        weights = {one: weight(contexts, count) for one, count in holding.items()}
        unknown = frozenset(one for one, count in holding.items() if not count)
        passages = contexts if within is None else min(contexts, sum(after - first for first, after in within))
        if not looked_for:
            return Hits([], passages, weights)
        query = self._query(looked_for)
        if within is not None:
            query = tantivy.Query.boolean_query([(tantivy.Occur.Must, query), (tantivy.Occur.Must, self._only(within))])
        found = self._searcher.search(query, limit=most, count=False).hits
        ids = self._searcher.fast_field_values("id", [address for _, address in found])
        hits = [Hit(cast("int", context_id), score) for context_id, (score, _) in zip(ids, found, strict=True)]
        return Hits(sorted(hits, key=lambda hit: (-hit.score, hit.number)), passages, weights, mended, unknown)

    def _query(self, looked_for: Iterable[str]) -> tantivy.Query:
        parts = []
        for one in looked_for:
            in_title = tantivy.Query.term_query(self._schema, "title", one, "freq")
            parts.append((tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "text", one, "freq")))
            parts.append((tantivy.Occur.Should, tantivy.Query.boost_query(in_title, TITLE_WEIGHT)))
        return tantivy.Query.boolean_query(parts)

    def _only(self, within: Ranges) -> tantivy.Query:
        """Returns a query that finds the contexts in ranges of ids, and adds nothing to their scores."""
        parts = [
            tantivy.Query.range_query(
                self._schema, "id", tantivy.FieldType.Unsigned, lower_bound=a, upper_bound=b, include_upper=False
            )
            for a, b in within
        ]
        any_of = tantivy.Query.boolean_query([(tantivy.Occur.Should, part) for part in parts])
        return tantivy.Query.const_score_query(any_of, 0.0)

    def _known(self, asked: Iterable[str], mended: dict[str, str]) -> Iterator[str]:
        """Yields the terms to look for: instead of one that no context has, the commonest of those one slip away.

        Notes in `mended` what words were taken for.
        """
        tried = 0
        for word in dict.fromkeys(asked):
            looked_for = term(word, self._language)
            if tried < MAX_MENDED and not self._contexts_with(looked_for):
                tried += 1
                if (meant := swapped_stop_word(word, self._language)) is not None:
                    mended[word] = meant
                    continue
                near = ((self._contexts_with(term(one, self._language)), one) for one in one_slip_away(word))
                count, likely = max(near, default=(0, word))
                if count:
                    mended[word] = likely
                    looked_for = term(likely, self._language)
            yield looked_for

    def _contexts_with(self, one: str) -> int:
        in_text: int = self._searcher.doc_freq("text", one)
        return in_text or self._searcher.doc_freq("title", one)


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("id", fast=True)
    builder.add_text_field("text", tokenizer_name=_TOKENIZER, index_option="freq")
    builder.add_text_field("title", tokenizer_name=_TOKENIZER, index_option="freq")
    return builder.build()


def _searcher(directory: Path) -> tantivy.Searcher:
    """Opens the index to search it; all its files are mapped from then on."""
    with forking.library_call(), _utf8(directory) as path:
        index = tantivy.Index.open(path)
        if index.schema != _schema():
            message = "it has other fields"
            raise ValueError(message)
        index.config_reader("manual")
        index.reload()
        return index.searcher()


@contextlib.contextmanager
def _utf8(directory: Path) -> Iterator[str]:
    """Gives a path of a directory that is UTF-8, as the library needs it: its own, or that of a link to it."""
    path = str(directory)
    if path.isascii() or path == os.fsencode(path).decode(errors="replace"):
        yield path
        return
    with _scratch(directory, None) as made:
        link = Path(made, "index")
        link.symlink_to(directory.absolute())
        yield str(link)


@cache
def _share_arenas() -> None:
    """Where address space is limited, has all threads take memory from one arena of glibc: it reserves 64 MiB for each.

    The library starts some ten threads, each of which takes a few KB; the model is to find room beside them.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    import ctypes  # a library of its own, which nobody else needs

    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _check_thread() -> None:
    """Does nothing if a thread can be started; where the library cannot start one, it writes pages to standard error.

    Raises:
        ThreadsLimited: if none can.
    """
    try:
        one = threading.Thread(target=int, name="edgeqa-thread")
        one.start()
        one.join()
    except RuntimeError as error:
        raise ThreadsLimited from error


def _is_of_the_library(error: BaseException) -> bool:
    """Tells whether tantivy has raised it: a ValueError, or where it trusted what it read, a panic of Rust."""
    return isinstance(error, ValueError) or type(error).__name__ == "PanicException"


def _check_limits(error: BaseException) -> None:
    """Does nothing; raises where the library ran into a limit of the process, and nothing is wrong with the index."""
    if _NO_THREAD.search(str(error)):
        raise ThreadsLimited from error
    if _NO_FILE.search(str(error)):
        raise FilesLimited from error


def _searcher_elsewhere(
    directory: Path, first: BaseException | None, bring: Callable[[Path, Path], None]
) -> tantivy.Searcher:
    """Returns a searcher of an index in another directory, to which `bring` brings its files.

    The library wants to lock a file, so an index that cannot be written to is opened there, and so is one that must not
    be mapped in its place. The files there are not needed any more once they are mapped.
    """
    for _ in range(_ATTEMPTS):
        with _scratch(directory, first) as made:
            there = Path(made)
            try:
                meta = read(directory / META)
                for name in files_of(meta):
                    bring(directory / name, there / name)
                for name, content in ((META, meta), (MANAGED, b"[]")):
                    with create(there / name) as stream:
                        stream.write(content)
                return _searcher(there)
            except FileNotFoundError as error:  # gone since its name was read: somebody else writes there
                first = first or error
            except BaseException as error:
                if not (isinstance(error, (OSError, KeyError, TypeError)) or _is_of_the_library(error)):
                    raise
                _check_limits(error)
                raise RouteDamaged(directory, str(first or error)) from error
    raise RouteDamaged(directory, str(first)) from first


def _link(file: Path, to: Path) -> None:
    to.symlink_to(file.resolve(strict=True))


def _copy(file: Path, to: Path) -> None:
    with reading(file) as stream, create(to) as copy:
        while block := stream.read(_BLOCK_BYTES):
            copy.write(block)


def _own(directory: Path) -> Iterator[Path]:
    """Yields what the library may open in the directory, whatever it is."""
    with contextlib.suppress(FileNotFoundError):
        for found in directory.iterdir():
            if _SEGMENT_FILE.fullmatch(found.name) or found.name in {META, MANAGED} or found.suffix == ".lock":
                yield found


def _sizes(directory: Path) -> dict[str, tuple[int, int]]:
    """Returns inode and size of the files that make up an index."""
    sizes = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        for name in files_of(read(directory / META)):
            file = str(directory / name)
            found = os.stat(file)  # noqa: PTH116 - half of what a Path takes
            sizes[file] = found.st_ino, found.st_size
    return sizes


def _scratch(directory: Path, first: BaseException | None) -> tempfile.TemporaryDirectory[str]:
    """Returns a directory to be deleted again, of a few bytes, wherever one can be made.

    Raises:
        RouteUnreadable: if that is nowhere.
    """
    for place in (None, os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm", state.home()):  # noqa: S108 - of our own name
        with contextlib.suppress(OSError):
            if place is None or Path(place).is_dir():
                return tempfile.TemporaryDirectory(prefix="edgeqa-route-", dir=place)
    raise RouteUnreadable(directory) from first


def _sweep(directory: Path) -> None:
    """Deletes what a killed writer left: the library would not, and a later commit finds its file names taken."""
    kept = files_of(read(directory / META))
    for found in directory.iterdir():
        if _SEGMENT_FILE.fullmatch(found.name) and found.name not in kept:
            delete(found)


def files_in(directory: Path) -> set[str]:
    """Returns the names of the files that make up the index, as its last commit has it; none if there is none."""
    try:
        return {META, *files_of(read(directory / META))}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def files_of(meta: bytes) -> set[str]:
    """Returns the names of the files that the last commit made up the index of."""
    names: set[str] = set()
    for segment in json.loads(meta)["segments"]:
        stem_of_names = segment["segment_id"].replace("-", "")
        names |= {f"{stem_of_names}.{part}" for part in _PARTS}
        if segment["deletes"]:
            names.add(f"{stem_of_names}.{segment['deletes']['opstamp']}.del")
    return names


def check_index(directory: Path) -> int:
    """Reads the whole index in `directory`; returns how many contexts it has.

    Raises:
        RouteDamaged: if it is not what was written.
    """
    for attempt in range(_ATTEMPTS):
        name = META
        try:
            meta = read(directory / META)
            files = files_of(meta)
            for name in sorted(files):
                _check(directory / name)
            name = MANAGED
            with contextlib.suppress(FileNotFoundError):  # the library does not need it
                _check_listed({META, *files}, directory / MANAGED)
            return Index(directory).contexts
        except RouteDamaged:
            raise
        except FileNotFoundError as error:
            # If somebody else writes there, the file may be gone since its name was read; then there are new names.
            if name == META or attempt + 1 == _ATTEMPTS or read(directory / META) == meta:
                raise RouteDamaged(directory, f"{name} is missing") from error
        except OSError as error:
            raise RouteDamaged(directory, f"{name}: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RouteDamaged(directory, f"{name}: {error}") from error
    raise RouteDamaged(directory, "it changes all the time")


def _check_listed(files: set[str], file: Path) -> None:
    """Raises ValueError if what the library lists to delete some day lacks a file that is in use."""
    if files - set(json.loads(read(file))):
        message = "it lacks files"
        raise ValueError(message)


def _check(file: Path) -> None:
    """Raises ValueError if a file's content is not that of its checksum."""
    with reading(file) as stream:
        size_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size_bytes - _END.size))
        end = stream.read()
        length, magic = _END.unpack(end) if len(end) == _END.size else (0, 0)
        left_bytes = size_bytes - _END.size - length
        if magic != _MAGIC or left_bytes < 0:
            message = "it is cut off"
            raise ValueError(message)
        stream.seek(left_bytes)
        wanted = json.loads(stream.read(length))["crc"]
        stream.seek(0)
        found = 0
        while left_bytes and (block := stream.read(min(left_bytes, _BLOCK_BYTES))):
            found = zlib.crc32(block, found)
            left_bytes -= len(block)
    if found != wanted:
        message = "wrong checksum"
        raise ValueError(message)

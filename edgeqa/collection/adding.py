"""Adding: files in, contexts in a collection out, by three threads that work at the same time.

    prepare: find, skip, read, split, tokenise  ->  encode (the caller's thread)  ->  store: shards, catalogue, index

Encoding takes nearly all of the time, and the other two threads must not delay it: they work while onnxruntime computes
without Python's lock. Blocks of events go through channels, so that threads take turns a few times a second and not at
every context. There is a commit every few seconds, and an interruption costs no more than that: whole documents are
kept, and adding the same again goes on from there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from edgeqa import forking
from edgeqa.collection.catalogue_rows import PENDING
from edgeqa.collection.shard_format import ALIGNMENT, encoding_bytes
from edgeqa.errors import ThreadsLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edgeqa.collection.catalogue_rows import SourceRow
    from edgeqa.collection.damage import Damage
    from edgeqa.collection.shard_format import TokenGroups
    from edgeqa.collection.snapshot import EncoderIdentity
    from edgeqa.collection.writer import Writer
    from edgeqa.contexts import Tokens
    from edgeqa.contexts.windows import Limits, Window
    from edgeqa.errors import EdgeQAError
    from edgeqa.formats.folders import Skipped
    from edgeqa.models.readers import Encoding, Ids
    from edgeqa.models.reading import PassageReader

    Watched: TypeAlias = Callable[[int, int], None]
    """Called with how many bytes of the files were gone through, and how many contexts were stored."""

MAX_SKIPPED = 100  # so many are named; a folder may hold any number of pictures
MAX_ENDINGS = 1000  # so many are counted apart
BLOCK_CONTEXTS, BLOCK_EVENTS, BLOCKS = 16, 256, 4
COMMIT_S, COMMIT_BYTES = 10.0, 64 << 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SourceBegins:
    """A file that is new, or changed."""

    path: bytes
    name: str
    digest: bytes
    window_tokens: int
    reader: str
    """The reader of its format, with its version."""
    splitter: int
    """The version of the code that cuts it into contexts."""
    size_bytes: int = 0
    """Size of the file; 0 where it is not read."""


@dataclass(frozen=True, slots=True)
class DocumentBegins:
    """A document of it."""

    suffix: str
    title: str
    resumed: bool


@dataclass(slots=True)
class ContextMade:
    """A context of that."""

    passage: Window
    groups: TokenGroups
    encoding: Encoding | None = field(default=None)
    """Its encoding; None until it is made, and where there is no room for it."""


@dataclass(frozen=True, slots=True)
class DocumentEnds:
    """The document is whole."""


@dataclass(frozen=True, slots=True)
class SourceEnds:
    """The file is whole."""

    waits: bool = False
    """Whether it is to take the place of what was there only together with all others."""
    is_reread: bool = False
    """Whether it has not changed since an older reader or splitter read it."""


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """The file cannot be read to its end."""

    name: str
    error: EdgeQAError
    begun: bool
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SourceUnchanged:
    """The file is there already, as it is."""

    path: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SourceGone:
    """The file is not there any more."""

    source: SourceRow


Event: TypeAlias = (
    "SourceBegins | DocumentBegins | ContextMade | DocumentEnds | SourceEnds | SourceFailed | SourceUnchanged | "
    "SourceGone"
)


@dataclass(slots=True)
class Added:
    """The result of one `add` or `sync`. Files are counted, not listed: there may be a million.

    Examples:
        >>> report = qa.add("examples")
        >>> report.files_unchanged, report.failed
        (2, [])
    """

    collection: str
    """Name of the collection."""
    files_added: int = 0
    files_changed: int = 0
    files_reread: int = 0
    """Unchanged files that were read anew, because an older version of their reader had read them."""
    files_unchanged: int = 0
    files_removed: int = 0
    files_re_encoded: int = 0
    """Files that were encoded anew from the text that the collection holds."""
    documents: int = 0
    """How many documents were added."""
    contexts: int = 0
    """How many contexts were added."""
    encoded: int = 0
    """How many of these contexts have an encoding."""
    failed: list[tuple[str, EdgeQAError]] = field(default_factory=list)
    """Files that could not be read, each with what is wrong."""
    skipped: list[Skipped] = field(default_factory=list)
    """The first files and folders that were left out of folders; `skipped_count` counts all."""
    skipped_count: int = 0
    skipped_kinds: dict[str, dict[str, int]] = field(default_factory=dict)
    """Files and folders that were left out only for their kind or name, counted by reason, then by ending."""
    piped: list[str] = field(default_factory=list)
    """The names in the collection of texts that came through pipes."""
    damaged: list[Damage] = field(default_factory=list)
    """Shards that are still damaged: the files of their documents were not among those that were added."""
    timings_ms: dict[str, float] = field(default_factory=dict)
    """Time by step; the steps overlap."""

    def skip(self, skipped: Skipped) -> None:
        """Notes something that was left out."""
        self.skipped_count += 1
        if skipped.is_kind:
            counts = self.skipped_kinds.setdefault(skipped.reason, {})
            ending = skipped.ending if skipped.ending in counts or len(counts) < MAX_ENDINGS else ".*"
            counts[ending] = counts.get(ending, 0) + 1
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(skipped)

    @property
    def files_done(self) -> int:
        """How many files the collection now holds as they are, or has dropped."""
        return self.files_added + self.files_changed + self.files_reread + self.files_unchanged + self.files_removed

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        kinds = ("added", "changed", "reread", "unchanged", "removed", "re_encoded")
        files = [f"files_{kind}" for kind in kinds]
        return {
            "collection": self.collection,
            **{name: getattr(self, name) for name in (*files, "documents", "contexts", "encoded")},
            "failed": [{"name": name, "error": str(error), "hint": error.hint} for name, error in self.failed],
            "skipped": [{"name": s.name, "reason": s.reason} for s in self.skipped],
            "skipped_count": self.skipped_count,
            "skipped_kinds": self.skipped_kinds,
            "piped": list(self.piped),
            "damaged": [d.to_json() for d in self.damaged],
            "timings_ms": {step: round(ms, 3) for step, ms in self.timings_ms.items()},
        }


class TimedModel:
    """One run's model, loaded when the first document needs it, and how long each of its parts took.

    Its first use, and all of `tokenize`, are for one thread; `encode` may be for another.
    """

    def __init__(self, load: Callable[[], PassageReader]) -> None:
        self._load = load
        self.load_s = self.tokenize_s = self.encode_s = 0.0

    @forking.cached_property
    def _reading(self) -> PassageReader:
        began = time.perf_counter()
        reading = self._load()
        self.load_s = time.perf_counter() - began
        return reading

    @property
    def limits(self) -> Limits:
        """The lengths of contexts."""
        return self._reading.limits

    def tokenize(self, text: str) -> Tokens:
        """Returns the tokens of `text`."""
        tokenize = self._reading.tokenize
        began = time.perf_counter()
        tokens = tokenize(text)
        self.tokenize_s += time.perf_counter() - began
        return tokens

    def encode(self, ids: Ids) -> Encoding:
        """Returns the encoding of a context from its token ids."""
        encode = self._reading.encode_context
        began = time.perf_counter()
        encoding: Encoding = encode(ids)
        self.encode_s += time.perf_counter() - began
        return encoding


class _Stage:
    """A thread's state, for other threads. They do not `join`: an interrupted join makes Python think it has ended."""

    def __init__(self) -> None:
        self.has_begun = False
        self.ended = threading.Event()


class AddingRun:
    """One run of adding. Its writer's collection is changed by nobody else meanwhile."""

    def __init__(
        self, writer: Writer, encoder: EncoderIdentity, model: TimedModel, *, encodings_left_bytes: int
    ) -> None:
        """Prepares a run.

        Args:
            writer: of the collection.
            encoder: what of the model its collection depends on.
            model: what the events are made with, too, so that the time is counted.
            encodings_left_bytes: how many bytes of encodings may be added.
        """
        self.report = Added(writer.directory.name)
        self._writer, self._encoder, self._model = writer, encoder, model
        self._left_bytes = encodings_left_bytes if encoder.width else 0
        self._prepared: Channel[list[Event]] = Channel(BLOCKS)
        self._encoded: Channel[list[Event]] = Channel(BLOCKS)
        self._failures: list[BaseException] = []
        self._storing = StoreStage(writer, self.report)
        self._read_s = 0.0
        self._is_broken_off = False

    def run(self, events: Iterator[Event], watched: Watched) -> Added:
        """Does what the events say, which are asked for in another thread; returns what was done.

        Raises:
            CollectionError: if the collection cannot be written to; what was committed stays.
        """
        began = time.perf_counter()
        stages = _Stage(), _Stage()
        threads = [
            threading.Thread(target=self._guarded, args=(stages[0], self._prepare, events)),
            threading.Thread(target=self._guarded, args=(stages[1], self._write)),
        ]
        try:
            _start(threads)
            self._encode_all(watched)
        except BaseException:
            self._is_broken_off = True
            raise
        finally:
            self._finish(stages)
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        left = {shard.tag for shard in self._writer.catalogue.shards()}
        self.report.damaged = [damage for damage in self._writer.damages if damage.tag in left]
        seconds = {
            "load": self._model.load_s,
            "read": self._read_s,
            "tokenise": self._model.tokenize_s,
            "encode": self._model.encode_s,
            "store": self._storing.store_s,
            "commit": self._storing.commit_s,
            "total": time.perf_counter() - began,
        }
        self.report.timings_ms = {step: 1e3 * spent for step, spent in seconds.items()}
        return self.report

    def _finish(self, stages: Iterable[_Stage]) -> None:
        """Stops the preparing, and waits until everything that has come through is written, however this ends.

        An interrupt does not end the waiting: the writer is not to be closed while a thread is inside of it. Neither
        thread waits for anybody else: files are opened without waiting, and pipes were copied before.
        """
        try:
            self._prepared.close()
            self._encoded.end()
            for stage in stages:
                if stage.has_begun or not self._is_broken_off:
                    stage.ended.wait()
        except BaseException:
            self._is_broken_off = True
            self._finish(stages)
            raise

    def _guarded(self, stage: _Stage, work: Callable[..., None], *arguments: object) -> None:
        stage.has_begun = True
        try:
            if not self._is_broken_off:  # else an interrupt came while this was started, and nobody waits for it
                self._work(work, *arguments)
        finally:
            stage.ended.set()

    def _work(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except ChannelClosed:
            pass
        except BaseException as error:
            self._failures.append(error)
            self._prepared.close()
            self._encoded.close()

    # --- the three stages --------------------------------------------------------------------------------------------

    def _prepare(self, events: Iterator[Event]) -> None:
        began, waited_s = time.perf_counter(), 0.0
        for block in _blocks(events):
            before = time.perf_counter()
            self._prepared.put(block)
            waited_s += time.perf_counter() - before
        self._read_s = time.perf_counter() - began - waited_s - self._model.load_s - self._model.tokenize_s
        self._prepared.end()

    def _encode_all(self, watched: Watched) -> None:
        try:
            while True:
                block = self._prepared.get()
                for event in block:
                    if isinstance(event, ContextMade):
                        self._encode_one(event)
                self._encoded.put(block)
                watched(self._storing.done_bytes, self.report.contexts)
        except ChannelClosed:
            return

    def _encode_one(self, made: ContextMade) -> None:
        tokens = len(made.passage.tokens)
        size_bytes = encoding_bytes(tokens, self._encoder.width) + ALIGNMENT
        if self._left_bytes < size_bytes:
            self._left_bytes = 0  # later contexts get none either, however short they are
            return
        made.encoding = self._model.encode(made.passage.tokens.ids)
        self._left_bytes -= size_bytes

    def _write(self) -> None:
        while True:
            try:
                block = self._encoded.get()
            except ChannelClosed:
                break
            self._storing.take(block)
        self._storing.commit()


def _start(threads: Iterable[threading.Thread]) -> None:
    try:
        for thread in threads:
            thread.start()
    except RuntimeError as error:
        raise ThreadsLimited from error


def _blocks(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Yields the events in blocks, each with a few contexts."""
    block: list[Event] = []
    contexts = 0
    for event in events:
        block.append(event)
        contexts += isinstance(event, ContextMade)
        if contexts >= BLOCK_CONTEXTS or len(block) >= BLOCK_EVENTS:
            yield block
            block, contexts = [], 0
    if block:
        yield block


class ChannelClosed(Exception):
    """The other side has broken off, or is done."""


class Channel(Generic[T]):
    """First in, first out, for one thread on each side.

    Its waits end with the work of the other side, which ends or closes it however that goes (`_work`, `_finish`).
    """

    def __init__(self, most: int) -> None:
        """Makes it for `most` items at a time."""
        self._most = most
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = self._broken = False
        self.waited_s = 0.0
        """How long `get` has waited for items so far."""

    def put(self, item: T) -> None:
        """Waits for room, and puts an item in.

        Raises:
            ChannelClosed: if nobody takes items out any more.
        """
        with self._changed:
            while len(self._items) >= self._most and not self._broken:
                self._changed.wait()
            if self._broken:
                raise ChannelClosed
            self._items.append(item)
            self._changed.notify_all()

    def get(self) -> T:
        """Waits for an item, and takes it out.

        Raises:
            ChannelClosed: if no item will come any more.
        """
        began = time.perf_counter()
        with self._changed:
            while not self._items and not self._ended and not self._broken:
                self._changed.wait()
            self.waited_s += time.perf_counter() - began
            if self._broken or not self._items:
                raise ChannelClosed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self) -> None:
        """Says that no more items will be put in; those in it can still be taken out."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Breaks off: nothing goes in or out any more."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()


class StoreStage:
    """Takes events in their order."""

    def __init__(self, writer: Writer, report: Added) -> None:
        self.done_bytes = 0
        """How much of the files was read: exact for whole files, and estimated by its text for the current one."""
        self._source_end_bytes = 0
        self._counted = (0, 0, 0)
        """Documents, contexts and encodings of all sources before the one under way."""
        self.store_s = self.commit_s = 0.0
        self._writer, self._report = writer, report
        self._committed = time.monotonic()
        self._take: dict[type, Callable[[Any], None]] = {
            ContextMade: self._context,
            DocumentBegins: self._document,
            DocumentEnds: self._document_ends,
            SourceBegins: self._source,
            SourceEnds: self._source_ends,
            SourceUnchanged: self._unchanged,
            SourceFailed: self._failed,
            SourceGone: self._gone,
        }

    def take(self, block: Iterable[Event]) -> None:
        """Stores what the events say, and commits if it is time."""
        began = time.perf_counter()
        for event in block:
            self._take[type(event)](event)
        self.store_s += time.perf_counter() - began
        if self._writer.waiting_bytes > COMMIT_BYTES or time.monotonic() - self._committed > COMMIT_S:
            self.commit()

    def commit(self) -> None:
        """Makes all that was taken permanent."""
        began = time.perf_counter()
        self._writer.commit()
        self.commit_s += time.perf_counter() - began
        self._committed = time.monotonic()

    def _context(self, event: ContextMade) -> None:
        self._writer.add(event.passage, event.groups, event.encoding)
        self._report.contexts += 1
        self._report.encoded += event.encoding is not None
        self.done_bytes = min(self.done_bytes + len(event.passage.text), self._source_end_bytes)

    def _document(self, event: DocumentBegins) -> None:
        self._writer.begin_document(event.suffix, event.title, resumed=event.resumed)

    def _document_ends(self, _: DocumentEnds) -> None:
        self._writer.end_document()
        self._report.documents += 1

    def _source(self, event: SourceBegins) -> None:
        self._source_end_bytes = self.done_bytes + event.size_bytes
        self._counted = self._report.documents, self._report.contexts, self._report.encoded
        self._writer.begin_source(
            event.path,
            event.name,
            event.digest,
            event.window_tokens,
            reader=event.reader,
            splitter=event.splitter,
        )

    def _source_ends(self, event: SourceEnds) -> None:
        self.done_bytes = self._source_end_bytes
        if event.waits:
            self._writer.set_source_by()
            self._report.files_re_encoded += 1
        elif not self._writer.end_source():
            self._report.files_added += 1
        elif event.is_reread:
            self._report.files_reread += 1
        else:
            self._report.files_changed += 1

    def _unchanged(self, event: SourceUnchanged) -> None:
        self._writer.keep_source(event.path)
        self._report.files_unchanged += 1
        self.done_bytes += event.size_bytes

    def _failed(self, event: SourceFailed) -> None:
        if event.begun:
            self._writer.fail_source()
            # What was taken of it is taken back, and was never added.
            self._report.documents, self._report.contexts, self._report.encoded = self._counted
            self.done_bytes = self._source_end_bytes
        else:
            self.done_bytes += event.size_bytes
        self._report.failed.append((event.name, event.error))

    def _gone(self, event: SourceGone) -> None:
        self._writer.remove_source(event.source)
        self._report.files_removed += event.source.state > PENDING  # not what was begun to replace one

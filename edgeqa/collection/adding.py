"""Adding: files in, contexts in a collection out, by three threads that work at the same time.

    prepare: find, skip, read, split, tokenise  ->  encode (the caller's thread)  ->  write: shards, catalogue, index

Encoding takes nearly all of the time, so that the other two are to keep out of its way: what they do overlaps with what
onnxruntime does without Python's lock. Commits come every few seconds, so that an interruption costs that much; then
what is whole is kept, and adding the same again goes on from there.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeAlias

from edgeqa.collection.channel import Channel, ChannelClosed
from edgeqa.collection.events import ContextMade
from edgeqa.collection.layout import ALIGNMENT, encoding_bytes
from edgeqa.collection.report import Added
from edgeqa.collection.storing import Storing
from edgeqa.errors import ThreadsLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edgeqa.collection.encoder import Encoder
    from edgeqa.collection.events import Event
    from edgeqa.collection.model import Model
    from edgeqa.collection.writer import Writer

    Watched: TypeAlias = Callable[[int, int], None]
    """Called with how many bytes of the files were gone through, and how many contexts were stored."""

BLOCK_CONTEXTS, BLOCK_EVENTS, BLOCKS = 16, 256, 4


class Adding:
    """One run of adding. Its writer's collection is changed by nobody else meanwhile."""

    def __init__(self, writer: Writer, encoder: Encoder, model: Model, *, encodings_left_bytes: int) -> None:
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
        self._storing = Storing(writer, self.report)
        self._read_s = 0.0

    def run(self, events: Iterator[Event], watched: Watched | None = None) -> Added:
        """Does what the events say, which are asked for in another thread; returns what was done.

        Raises:
            CollectionError: if the collection cannot be written to; what was committed stays.
        """
        began = time.perf_counter()
        threads = [
            threading.Thread(target=self._guarded, args=(self._prepare, events)),
            threading.Thread(target=self._guarded, args=(self._write,)),
        ]
        started: list[threading.Thread] = []
        try:
            for thread in threads:
                thread.start()
                started.append(thread)
            self._encode_all(watched)
        except RuntimeError as error:
            if len(started) == len(threads):
                raise
            raise ThreadsLimited from error
        finally:
            # However this ends, what has come through is written, and no more is prepared.
            self._prepared.close()
            self._encoded.end()
            for thread in started:
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

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
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

    def _encode_all(self, watched: Watched | None) -> None:
        try:
            while True:
                block = self._prepared.get()
                for event in block:
                    if isinstance(event, ContextMade):
                        self._encode_one(event)
                self._encoded.put(block)
                if watched is not None:
                    watched(self._storing.done_bytes, self.report.contexts)
        except ChannelClosed:
            return

    def _encode_one(self, made: ContextMade) -> None:
        tokens = len(made.passage.tokens)
        size_bytes = encoding_bytes(tokens, self._encoder.width) + ALIGNMENT
        if self._left_bytes < size_bytes:
            self._left_bytes = 0  # what comes later does without, too, however short it is
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

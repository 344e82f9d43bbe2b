"""`Engine`: every protocol asks its questions here, and nowhere else.

In: callers, and their requests. Out: results of the Python API, or one of `serving.errors`. An engine belongs to one
event loop. An answer at hand is given at once. Everything else goes through `lanes`, which decide on order and
deadline. The outcome of each question is counted by its protocol. The engine knows no protocol itself, and keeps no
question.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import edgeqa
from edgeqa.serving import allocator
from edgeqa.serving.callers import (
    ADD,
    ASK,
    DEFAULT_TIMEOUT_S,
    MAX_NAME_CHARACTERS,
    MAX_QUESTION_CHARACTERS,
    MAX_TIMEOUT_S,
)
from edgeqa.serving.errors import (
    CollectionNotServed,
    DeadlinePassed,
    NameInSeveral,
    Refused,
    ValueOutOfRange,
)
from edgeqa.serving.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgeqa import Added, Answer, ClosePassage, CollectionInfo, Counters, EdgeQA, ListedDocument, Shown

    Given = str | Path | Sequence[str | Path]
    from edgeqa.serving.callers import Caller, Reader

T = TypeVar("T")

KEEP_MODEL_S = 600.0


class Engine:
    """The engine of a process. Made by `Engine.open`, to be used in one event loop, and closed there by `drain`."""

    def __init__(self, runtimes: Mapping[str, EdgeQA], *, keep_model_s: float = KEEP_MODEL_S) -> None:
        """Serves collections, each by its runtime; the first is the default. It closes them in the end."""
        self._runtimes = dict(runtimes)
        self._first = next(iter(self._runtimes.values()))
        self._by_reader: dict[tuple[EdgeQA, str], EdgeQA] = {}
        self._lanes = Lanes(lambda: self._first.plan.callers.value, self._unload, idle_after_s=keep_model_s)
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """How often each way (`Caller.way`) came to each outcome: remembered, read, no_answer, refused, error."""

    @classmethod
    def open(
        cls,
        collections: Sequence[str | Path] = ("default",),
        *,
        keep_model_s: float = KEEP_MODEL_S,
        bundle: str | None = None,
        reader: Reader | None = None,
        provider: str | None = None,
    ) -> Engine:
        """Returns an engine for collections, which need not be there yet; raises as `edgeqa.open` and `EdgeQA.key` do.

        Args:
            collections: names or directories; the first is asked if a question names none.
            keep_model_s: how long the model is kept while nothing has to be read.
            bundle: as for `edgeqa.open`.
            reader: as for `edgeqa.open`; a question may name another.
            provider: as for `edgeqa.open`.
        """
        first = edgeqa.open(collection=collections[0], bundle=bundle, reader=reader, provider=provider)
        others = {_name(other): first.with_collection(other) for other in collections[1:]}
        for qa in (first, *others.values()):
            with contextlib.suppress(LookupError):  # nothing was added to it yet
                qa.remembered("?")  # has it opened: what is wrong with it is said now, and not at each question
        return cls({_name(collections[0]): first, **others}, keep_model_s=keep_model_s)

    # --- asking --------------------------------------------------------------------------------------------------

    async def ask(
        self,
        caller: Caller,
        question: str,
        *,
        collection: str | None = None,
        context: Given | None = None,
        within: Sequence[str] | None = None,
        top: int = 1,
        force: bool = False,
        contexts: int | None = None,
        reader: Reader | None = None,
        refresh: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Returns the answer to a question: the remembered one, or one that is read now.

        Args:
            caller: who asks.
            question: as for `EdgeQA.ask`.
            collection: the collection to ask; by default the first.
            context: texts to ask instead: a str, a Path, or several. A path must never be the caller's own choice.
            within: as for `EdgeQA.ask`.
            top: as for `EdgeQA.ask`.
            force: as for `EdgeQA.ask`.
            contexts: how many passages to read, as `most_contexts` of `EdgeQA.ask`.
            reader: the reader that decides; by default that of the server.
            refresh: as for `EdgeQA.ask`.
            timeout_s: how long the caller waits, up to a minute.

        Raises:
            NotAllowed: if the caller may not ask.
            CollectionNotServed: if there is no such collection here.
            Refused: if the question cannot be read in time.
            DeadlinePassed: if it was not read in time.
            EdgeQAError: for the same reasons as `EdgeQA.ask`.
        """
        with self._counted(caller):
            caller.require(ASK)
            qa = self._read_by(collection, reader)
            _check_length("question", question, MAX_QUESTION_CHARACTERS)
            timeout_s = _checked_timeout(timeout_s)
            names = None if within is None else tuple(within)
            look = partial(qa.remembered, question, context, top=top, force=force, most_contexts=contexts, within=names)
            if not refresh:
                found = look(at_hand=True)
                if found is None and not self._lanes.has_free_reader:  # a free reader looks it up itself
                    found = await self._lanes.look_up(look)
                if found is not None:
                    return self._noted(caller, found)
            texts = context if context is None or isinstance(context, (str, os.PathLike)) else tuple(context)
            key = (id(qa), question, texts, names, top, force, contexts, refresh)
            ask = partial(qa.ask, question, context, top=top, force=force, most_contexts=contexts, within=names)
            work = partial(ask, refresh=refresh)
            return self._noted(caller, await self._lanes.read(caller.name, key, work, timeout_s))

    async def get(
        self,
        caller: Caller,
        name: str,
        *,
        collection: str | None = None,
        force: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Returns the answer of a name (`bertqa{TAG}_DOCUMENT:{TAG}:N_QUESTION`), which is remembered or read now.

        Args:
            caller: who asks.
            name: the name of the answer.
            collection: the collection with its context; by default any that is served.
            force: as for `EdgeQA.get`.
            timeout_s: how long the caller waits, up to a minute.

        Raises:
            NotAllowed, CollectionNotServed, Refused, DeadlinePassed: as for `ask`.
            NameInSeveral: if more than one collection has a context of this name.
            EdgeQAError: for the same reasons as `EdgeQA.get`: the name is invalid, or no collection has its context.
        """
        with self._counted(caller):
            caller.require(ASK)
            _check_length("name", name, MAX_NAME_CHARACTERS)
            timeout_s = _checked_timeout(timeout_s)
            only = self._only(collection)
            found = only.remembered_name(name, force=force, at_hand=True) if only is not None else None
            if found is not None:
                return self._noted(caller, found)
            qa, found = await self._lanes.look_up(partial(self._named, name, only, force=force))
            if found is not None:
                return self._noted(caller, found)
            key = (id(qa), "get", name, force)
            return self._noted(
                caller, await self._lanes.read(caller.name, key, partial(qa.get, name, force=force), timeout_s)
            )

    def remembered(
        self,
        caller: Caller,
        question: str,
        *,
        collection: str | None = None,
        context: str | None = None,
        top: int = 1,
        force: bool = False,
        contexts: int | None = None,
        reader: Reader | None = None,
    ) -> Answer | None:
        """Returns the answer if it is at hand in this process, at once, and counts it.

        None does not say that it is not remembered.

        Raises:
            NotAllowed, CollectionNotServed: as for `ask`.
        """
        caller.require(ASK)
        qa = self._read_by(collection, reader)
        found = qa.remembered(question, context, top=top, force=force, most_contexts=contexts, at_hand=True)
        return None if found is None else self._noted(caller, found)

    async def is_looked_at_again(self, caller: Caller, question: str, *, collection: str | None = None) -> bool | None:
        """Tells whether the careful reader would decide, so that the fast one can answer first.

        The result is None if the careful answer is remembered, since nobody has to wait for it then.
        """
        caller.require(ASK)
        qa = self._runtime(collection)

        def look() -> bool | None:
            if qa.remembered(question) is not None:
                return None
            return qa.plan.reader.value == "careful"

        return await self.look(look)

    def name_at_hand(self, caller: Caller, name: str) -> Answer | None:
        """Returns the answer of a name if it is at hand in this process, at once, and counts it.

        None does not say that it is not remembered; where several collections are served, it is always None.

        Raises:
            NotAllowed: as for `ask`.
        """
        caller.require(ASK)
        only = self._only(None)
        found = None if only is None else only.remembered_name(name, at_hand=True)
        return None if found is None else self._noted(caller, found)

    def remembered_name(
        self, caller: Caller, name: str, *, collection: str | None = None, force: bool = False
    ) -> Answer | None:
        """Returns the answer of a name if it is remembered, and None if it would have to be read; looks at files.

        Raises:
            NotAllowed, CollectionNotServed, NameInSeveral: as for `get`.
            EdgeQAError: as `EdgeQA.remembered_name` does.
        """
        caller.require(ASK)
        _check_length("name", name, MAX_NAME_CHARACTERS)
        only = self._only(collection)
        if only is not None:
            return only.remembered_name(name, force=force)
        return self._named(name, None, force=force)[1]

    async def look_up_name(self, caller: Caller, name: str) -> Answer | None:
        """Returns the result of `remembered_name`, and raises as that does; another thread looks at files."""
        return await self._lanes.look_up(partial(self.remembered_name, caller, name))

    async def forget_name(self, caller: Caller, name: str, *, collection: str | None = None) -> bool:
        """Deletes the remembered answer of a name; returns whether it was there.

        Raises:
            NotAllowed: if the caller may not change the collection.
            CollectionNotServed, NameInSeveral, EdgeQAError: as for `get`.
        """
        caller.require(ADD)
        only = self._only(collection)

        def forget() -> bool:
            qa, found = self._named(name, only, force=False)
            return found is not None and qa.forget_name(name)

        return await self.look(forget)

    # --- looking -------------------------------------------------------------------------------------------------

    async def closest(
        self,
        caller: Caller,
        question: str,
        most: int = 5,
        *,
        collection: str | None = None,
        within: Sequence[str] | None = None,
    ) -> list[ClosePassage]:
        """Returns the passages (`ClosePassage`) that share the most with the question, best first, without reading."""
        caller.require(ASK)
        _check_length("question", question, MAX_QUESTION_CHARACTERS)
        return await self.look(partial(self._runtime(collection).closest, question, most, within=within))

    async def passage(self, caller: Caller, address: str, *, collection: str | None = None) -> Shown:
        """Returns the passage at an address with the text around it (`Shown`); no file is read for it.

        Raises:
            ContextGone: if no collection has such a passage.
        """
        return await self._shown(caller, address, collection)

    async def text(self, caller: Caller, document: str, *, collection: str | None = None) -> Shown:
        """Returns the whole text of a document of a collection (`Shown`); no file is read for it.

        Raises:
            ContextGone: if no collection has such a document.
        """
        return await self._shown(caller, document, collection)

    async def documents(
        self, caller: Caller, *, collection: str | None = None, after: str = "", most: int = 1000
    ) -> list[ListedDocument]:
        """Returns documents (`ListedDocument`), by name: those whose names come after `after`, at most `most`."""
        caller.require(ASK)
        qa = self._runtime(collection)

        def listed() -> list[ListedDocument]:
            try:
                every = qa.list()
            except LookupError:  # nothing was added yet
                return []
            return sorted((one for one in every if one.document > after), key=lambda one: one.document)[:most]

        return await self.look(listed)

    async def collections(self, caller: Caller) -> list[CollectionInfo]:
        """Returns facts about the served collections that exist, the default one first."""
        caller.require(ASK)
        known = {found.name: found for found in await self.look(edgeqa.collections)}
        return [known[name] for name in self._runtimes if name in known]

    @property
    def collection_names(self) -> tuple[str, ...]:
        """The names of the collections that are served; the first is the default."""
        return tuple(self._runtimes)

    # --- changing ------------------------------------------------------------------------------------------------

    async def add(
        self,
        caller: Caller,
        path: Path,
        name: str,
        *,
        collection: str | None = None,
        format: str | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Added:
        """Adds one file under a given name, by which it is known from then on; returns a report.

        Args:
            caller: who adds.
            path: the path of the file, which need not stay there.
            name: the file's name in the collection; it replaces a document of that name.
            collection: the collection to add to; by default the first.
            format: the file's format; by default the ending of its path and its content decide.
            progress: a function that is called in another thread as the work goes on.

        Raises:
            NotAllowed: if the caller may not add.
            Refused: if the server is being stopped.
            EdgeQAError: as `EdgeQA.add` does.
        """
        caller.require(ADD)
        qa = self._runtime(collection)
        add = partial(qa.add, path, name=name, copied=True, format=format)
        return await self._lanes.write(lambda: add(progress=self._lanes.giving_way(progress)))

    async def sync(self, caller: Caller, path: Path, *, collection: str | None = None) -> Added:
        """Adds new files at a path, and removes those that are gone; returns a report, and raises as `add` does."""
        caller.require(ADD)
        sync = partial(self._runtime(collection).sync, path)
        return await self._lanes.write(lambda: sync(progress=self._lanes.giving_way(None)))

    async def remove(self, caller: Caller, name: str, *, collection: str | None = None) -> list[str]:
        """Removes a document, or all of one file, from a collection; returns the names of the documents that are gone.

        Raises:
            NotAllowed: if the caller may not change the collection.
            ContextGone: if there is none of this name.
            EdgeQAError: as `EdgeQA.remove` does.
        """
        caller.require(ADD)
        qa = self._runtime(collection)

        def remove() -> list[str]:
            # Only a name counts: no folder, and no path of this machine, though `EdgeQA.remove` takes these, too.
            known = (one.document for one in qa.list())
            if not any(one == name or one.startswith(f"{name}#") for one in known):
                raise edgeqa.ContextGone(name)
            return qa.remove(name)

        return await self._lanes.write(remove)

    # --- the engine itself ---------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """The number of questions that wait to be read."""
        return self._lanes.waiting

    @property
    def reading(self) -> int:
        """The number of questions that are being read."""
        return self._lanes.reading

    @property
    def draining(self) -> bool:
        """Whether it is being stopped, so that nothing new begins."""
        return self._lanes.draining

    @property
    def is_busy(self) -> bool:
        """Whether work still runs in a thread; after `drain`, this is work that has not ended in time."""
        return self._lanes.is_busy

    def counters(self) -> dict[str, Counters]:
        """Returns the result of `EdgeQA.counters` for each collection."""
        return {name: qa.counters() for name, qa in self._runtimes.items()}

    @property
    def model_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._first.counters().model_loaded

    @property
    def runtime(self) -> EdgeQA:
        """The runtime of the default collection, for its model and its plan; no question may be asked of it here."""
        return self._first

    async def look(self, work: Callable[[], T]) -> T:
        """Returns the result of `work`, run in another thread; it may look at files, but reads no question.

        Raises:
            Draining: if the server is being stopped.
            Refused: if too much waits for it.
        """
        return await self._lanes.look(work)

    async def drain(self) -> None:
        """Begins nothing more, waits until all reading and writing has ended, and closes. It may be called again."""
        if not self.draining and await self._lanes.drain():
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for qa in reversed(self._runtimes.values()):  # the first one holds the parts that the others share
            qa.close()

    def _unload(self) -> None:
        self._first.unload()
        allocator.give_back()

    def _runtime(self, collection: str | None) -> EdgeQA:
        if collection is None:
            return self._first
        if collection not in self._runtimes:
            raise CollectionNotServed(collection, self._runtimes)
        return self._runtimes[collection]

    def _read_by(self, collection: str | None, reader: Reader | None) -> EdgeQA:
        """Returns the runtime of a collection in which this reader decides; by default that of the server."""
        qa = self._runtime(collection)
        if reader is None:
            return qa
        if (qa, reader) not in self._by_reader:
            self._by_reader[qa, reader] = qa.with_reader(reader)
        return self._by_reader[qa, reader]

    def _only(self, collection: str | None) -> EdgeQA | None:
        """Returns the one runtime that a name can be of; None where there are several."""
        return self._runtime(collection) if collection is not None or len(self._runtimes) == 1 else None

    def _named(self, name: str, only: EdgeQA | None, *, force: bool) -> tuple[EdgeQA, Answer | None]:
        """Returns the runtime that has the context of a name, and the answer if it is remembered."""
        if only is not None:
            return only, only.remembered_name(name, force=force)
        found = self._of_each(lambda qa: (qa, qa.remembered_name(name, force=force)))
        if len(found) > 1:
            raise NameInSeveral(name, found)
        return next(iter(found.values()))

    def _of_each(self, look: Callable[[EdgeQA], T]) -> dict[str, T]:
        """Returns the results of the collections that have the thing; raises the first one's error if none has."""
        found: dict[str, T] = {}
        gone: list[LookupError] = []
        for name, qa in self._runtimes.items():
            try:
                found[name] = look(qa)
            except LookupError as error:  # noqa: PERF203 - it has no such thing, or is not there
                gone.append(error)
        if not found:
            raise gone[0]
        return found

    async def _shown(self, caller: Caller, name: str, collection: str | None) -> Shown:
        caller.require(ASK)
        only = self._only(collection)
        if only is not None:
            return await self.look(partial(only.show, name, files=False))
        found = await self.look(lambda: self._of_each(lambda qa: qa.show(name, files=False)))
        return next(iter(found.values()))

    @contextlib.contextmanager
    def _counted(self, caller: Caller) -> Iterator[None]:
        try:
            yield
        except (Refused, DeadlinePassed):
            self.outcomes[caller.way, "refused"] += 1
            raise
        except edgeqa.EdgeQAError:
            self.outcomes[caller.way, "error"] += 1
            raise

    def _noted(self, caller: Caller, answer: Answer) -> Answer:
        if answer.cached:
            self._lanes.note_hit()
        outcome = "remembered" if answer.cached else "read"
        self.outcomes[caller.way, "no_answer" if answer.text is None else outcome] += 1
        return answer


def _name(collection: str | Path) -> str:
    return collection if isinstance(collection, str) else collection.name


def _checked_timeout(timeout_s: float) -> float:
    if isinstance(timeout_s, (int, float)) and 0 < timeout_s <= MAX_TIMEOUT_S:
        return float(timeout_s)
    raise ValueOutOfRange(name="timeout_s", value=timeout_s, expected=f"a number of seconds, up to {MAX_TIMEOUT_S:g}")


def _check_length(what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise ValueOutOfRange(name=what, value=f"{text[:40]}...", expected=f"at most {most} characters long")

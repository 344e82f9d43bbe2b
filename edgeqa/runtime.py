"""`EdgeQA`: the equipment, opened and wired; `ask` is the pipe from a question and texts to an `Answer`.

In: questions, and texts as strings or paths. Out: answers cut from the texts, remembered or read now. This module
decides nothing itself: `capabilities` plans what fits the device, `cache` remembers, and `models.reading` runs the
model. The device is probed and the model loaded when a question misses the cache. No network is used.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from edgeqa import state
from edgeqa.answer import Answer
from edgeqa.asking.documents import Given, documents, on_one_line
from edgeqa.asking.equipment import Equipment
from edgeqa.asking.records import Options
from edgeqa.asking.text_scope import TextScope
from edgeqa.capabilities import NAMED, Overrides
from edgeqa.counting import Counters, Counts
from edgeqa.errors import OptionError
from edgeqa.models.bundle import Bundle
from edgeqa.models.shelf import find_bundle
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from types import TracebackType

    from edgeqa.answer import ClosePassage
    from edgeqa.asking.collection_scope import CollectionScope
    from edgeqa.asking.surroundings import Shown
    from edgeqa.cache import Key
    from edgeqa.cache.front import Front
    from edgeqa.capabilities import Persist, Reader
    from edgeqa.capabilities.plan import Plan
    from edgeqa.collection.adding import Added
    from edgeqa.collection.collection import LiveCollection, Stamp
    from edgeqa.collection.managing import Later, Paths
    from edgeqa.collection.naming import Within
    from edgeqa.collection.overview import ListedDocument
    from edgeqa.collection.verifying import Verified
    from edgeqa.formats.blocks import FormatOptions
    from edgeqa.models.selftest import Verdict
    from edgeqa.timing import Progress

AT_HAND_CHARACTERS = 1 << 14  # of a longer text, only the digest is kept at hand
READER_VARIABLE = "EDGEQA_READER"
AT_HAND_TEXTS = 16  # for so many texts, the beginnings of their keys are kept


def open(
    *,
    bundle: str | Path | None = None,
    threads: int | None = None,
    batch_contexts: int | None = None,
    window_tokens: int | None = None,
    budget_bytes: int | None = None,
    encoding_store_bytes: int | None = None,
    answer_cache_bytes: int | None = None,
    persist: Persist | None = None,
    mmap: bool | None = None,
    collection: str | Path = "default",
    cluster: str | None = None,
    reader: Reader | None = None,
    provider: str | None = None,
) -> EdgeQA:
    """Returns a runtime for this device; close it, or use it as a context manager.

    Examples:
        >>> with edgeqa.open(persist="off", threads=1) as small:
        ...     small.ask("When was it built?", "The bridge was built in 1932.").text
        '1932'
        >>> edgeqa.open(threads=0)
        Traceback (most recent call last):
        edgeqa.errors.OptionError: threads must be a whole number from 1, not 0

    Args:
        bundle: a model's name, or its directory; by default the model in use (`edgeqa models use`), which is the
            bundled one where none was chosen.
        threads: cores to use, instead of the plan's choice.
        batch_contexts: contexts held in memory at a time.
        window_tokens: length of the contexts that a long text is split into.
        budget_bytes: memory that edgeqa may use, instead of what the probe finds free.
        encoding_store_bytes: memory for encodings of contexts seen before.
        answer_cache_bytes: size of the answer cache, when it is made.
        persist: whether answers are remembered on "disk", in "memory" until the process ends, or not at all ("off").
        mmap: whether files are mapped into memory; they are by default, unless the environment has EDGEQA_MMAP=0. With
            False, files are read, which takes more memory, and answers are not kept on disk. False is for files on a
            network mount, and for places where somebody may cut a file short while it is in use: that ends a process
            which has it mapped.
        collection: name of the collection that `add` adds to, and that `ask` without a context is about; or the Path of
            its directory, to keep it anywhere.
        cluster: address of a Valkey Cluster, valkey://HOST:PORT, to use instead of a collection; needs edgeqa[cluster].
        reader: the reader that decides: "fast", or "careful", which reads the passages that the fast one found. With
            "auto", the default, it is the careful one if that is installed and fits this device. Without this argument,
            `$EDGEQA_READER` decides.
        provider: "cpu", or an execution provider of onnxruntime ("openvino", "cuda"), which is tried before its first
            use. By default it is the one that was quickest when `edgeqa capabilities` or `edgeqa models prepare` tried
            them; if none was tried, it is the CPU.

    Raises:
        ClusterError: if `cluster` is no address, or the extra is missing.
        BundleError: if the bundle differs from its manifest, or the careful reader was asked for and is missing.
        OptionError: for an override that makes no sense.
    """
    overrides = Overrides(
        threads=threads,
        batch_contexts=batch_contexts,
        window_tokens=window_tokens,
        budget_bytes=budget_bytes,
        encoding_store_bytes=encoding_store_bytes,
        answer_cache_bytes=answer_cache_bytes,
        persist=persist,
        reader=wanted_reader(reader),
        provider=provider,
        mmap=state.maps_files() if mmap is None else mmap,
    )
    if not isinstance(bundle, (str, Path, type(None))):
        raise OptionError(name="bundle", value=bundle, expected="the name of a model, or the path of its directory")
    if cluster is not None:
        # The cluster is an extra, in a room above this one. It starts here, and nothing else here depends on it.
        extra = importlib.import_module("edgeqa.cluster.runtime")
        return cast("EdgeQA", extra.opened(cluster, bundle=bundle, overrides=overrides))
    return EdgeQA(Bundle.load(find_bundle(bundle)), overrides, collection)


def wanted_reader(reader: Reader | None) -> Reader | None:
    """Returns the reader that was asked for, here or by `$EDGEQA_READER`.

    Raises:
        OptionError: if `$EDGEQA_READER` names no reader.
    """
    if reader is not None:
        return reader
    wanted = os.environ.get(READER_VARIABLE) or None
    if wanted is not None and wanted not in NAMED["reader"]:
        raise OptionError(READER_VARIABLE, wanted, f"one of {', '.join(NAMED['reader'])}")
    return cast("Reader | None", wanted)


class EdgeQA:
    """Answers questions from texts. Safe from many threads. Made by `edgeqa.open`.

    Examples:
        >>> with edgeqa.open() as qa:
        ...     answer = qa.ask("Who built it?", "The bridge was built in 1932 by Dorman Long.")
        >>> answer.text
        'Dorman Long'
    """

    def __init__(
        self,
        bundle: Bundle,
        overrides: Overrides,
        collection: str | Path = "default",
        *,
        others: Equipment | None = None,
    ) -> None:
        if others is None:
            equipment = Equipment(bundle, overrides, collection)
        else:
            equipment = others.beside(collection, overrides.reader)
        equipment.second.check()
        self._equipment = equipment
        # An answer also depends on these, besides the question, the texts and the options of `ask`. A window that the
        # plan has shrunk is left out: else remembered answers would come and go with the free memory.
        self._identity = f"{bundle.digest}|{equipment.computed_with}|{overrides.window_tokens}|{overrides.reader}"
        self._counts = Counts()
        self._front: Front | None = None
        self._scope: LiveCollection | None = None
        self._texts: dict[str, TextScope] = {}

    def ask(
        self,
        question: str,
        context: Given | None = None,
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int | None = None,
        refresh: bool = False,
        within: Within | None = None,
        progress: Progress | None = None,
    ) -> Answer:
        """Returns the answer to `question` from `context`: the remembered one, or one that is read now and remembered.

        Examples:
            >>> answer = qa.ask("Who built it?", "The bridge was built in 1932 by Dorman Long.")
            >>> answer.text, answer.context[answer.start : answer.end] == answer.text
            ('Dorman Long', True)
            >>> print(qa.ask("Who won the cup?", "The bridge was built in 1932 by Dorman Long.").text)
            None

        Args:
            question: in the model's language; a question beyond the limit of tokens is cut, and the answer says so.
            context: a text (str), a file (Path), or several of them, of any length; None for the collection.
            top: how many distinct spans to give as `candidates`.
            force: give the best span even if "no answer" is likelier.
            most_contexts: how many passages to read, of those that share the most with the question; by default as many
                as can change the answer.
            refresh: read anew even if the answer is remembered.
            within: names or paths of files, folders or documents of the collection; only these are asked.
            progress: called as reading goes on.

        Raises:
            ContextGone: if the collection has nothing of a name in `within`.
            QuestionError: for an empty question.
            ContextError: for a text that cannot be read, or is empty.
            CapabilityError: if the device lacks what the smallest plan needs.
            BundleError: if the model fails its self-test on this device.
            CollectionError: if there is no collection, or it cannot be read.
        """
        # This path takes well under a microsecond: it looks up answers that are in this process's memory. A function
        # with closures is slow to enter, so all the rest is in `_ask`.
        if type(question) is str and not refresh and within is None and (front := self._front) is not None:
            entry = None
            if type(context) is str:
                entry = front.get((self._identity, question, context, top, force, most_contexts))
            elif context is None and (scope := self._scope):
                entry = front.get((scope.stamp(), self._identity, question, top, force, most_contexts))
            if entry is not None:
                at_hand: Answer = entry.value  # such an alias is bound to answers only
                return at_hand
        return self._ask(
            question, context, top, force, most_contexts, refresh=refresh, within=within, progress=progress
        )

    def _ask(
        self,
        question: str,
        context: Given | None,
        top: int,
        force: bool,  # noqa: FBT001 - as `ask` was given it
        most_contexts: int | None,
        *,
        refresh: bool,
        within: Within | None,
        progress: Progress | None,
    ) -> Answer:
        """Returns the answer from the cache, or reads it and remembers it."""
        from edgeqa.asking.pipe import ask

        watch = Stopwatch()
        asked = on_one_line(question)
        options = Options.of(top=top, force=force, most_contexts=most_contexts)
        scope, alias = self._asked_of(context, within, question, top, force, most_contexts)
        if not refresh and (known := self._found_at_hand(alias)) is not None:
            return known
        progress = progress or _no_progress
        answer = ask(self._equipment, scope, asked, options, watch, alias=alias, refresh=refresh, progress=progress)
        self._counts.note(answer)
        return answer

    def _asked_of(
        self,
        context: Given | None,
        within: Within | None,
        question: str,
        top: int,
        force: bool,  # noqa: FBT001 - as `ask` was given it
        most_contexts: int | None,
    ) -> tuple[TextScope | CollectionScope, tuple[Hashable, ...] | None]:
        """Returns the scope, and the alias under which its answer may be at hand."""
        self._front = self._equipment.cache.front
        if context is None:
            self._scope = self._equipment.scope
            scope, stamp = self._collected(within)
            at_hand = stamp is not None and within is None
            return scope, (stamp, self._identity, question, top, force, most_contexts) if at_hand else None
        if within is not None:
            raise OptionError(name="within", value=within, expected="nothing where texts are given")
        texts = self._texts_of(context)
        known_by = context if _is_short(context) else texts.known_by
        return texts, (self._identity, question, known_by, top, force, most_contexts)

    def _found_at_hand(self, alias: tuple[Hashable, ...] | None) -> Answer | None:
        """Returns an answer that is at hand under the content of files, which had to be read for it."""
        front = self._front
        entry = front.get(alias) if front is not None and alias is not None else None
        return None if entry is None else cast("Answer", entry.value)

    def remembered(
        self,
        question: str,
        context: Given | None = None,
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int | None = None,
        within: Within | None = None,
        at_hand: bool = False,
    ) -> Answer | None:
        """Returns the answer if it is remembered, and None if it would have to be read. The model is never loaded.

        Examples:
            >>> text = "The tower was painted by Vera Klein."
            >>> print(qa.remembered("Who painted the tower?", text))
            None
            >>> qa.ask("Who painted the tower?", text).text
            'Vera Klein'
            >>> qa.remembered("Who painted the tower?", text).cached
            True

        Args:
            question: as for `ask`.
            context: as for `ask`.
            top: as for `ask`.
            force: as for `ask`.
            most_contexts: as for `ask`.
            within: as for `ask`.
            at_hand: look only into this process's memory: no file is opened or read, and no lock is taken. What another
                process has changed in the last 5 ms may not be seen.

        Raises:
            QuestionError, ContextError, ContextGone, CollectionError: as for `ask`, but none with `at_hand`.
        """
        # These lines repeat those of `ask`, where a call would make a hit more than 3 % slower.
        if type(question) is str and within is None and (front := self._front) is not None:
            entry = None
            if type(context) is str:
                entry = front.get((self._identity, question, context, top, force, most_contexts))
            elif context is None and (scope := self._scope):
                stamp = scope.recent_stamp() if at_hand else scope.stamp()
                entry = front.get((stamp, self._identity, question, top, force, most_contexts))
            if entry is not None:
                known: Answer = entry.value  # such an alias is bound to answers only
                return known
        if at_hand:
            return None
        from edgeqa.asking.pipe import remembered

        watch = Stopwatch()
        asked = on_one_line(question)
        options = Options.of(top=top, force=force, most_contexts=most_contexts)
        asked_of, alias = self._asked_of(context, within, question, top, force, most_contexts)
        if (answer := self._found_at_hand(alias)) is not None:
            return answer
        answer = remembered(self._equipment, asked_of, asked, options, watch, alias=alias)
        if answer is not None:
            self._counts.note(answer)
        return answer

    def get(self, name: str, *, force: bool = False) -> Answer:
        """Returns the answer to a question on one context of a collection, which is remembered, or read and remembered.

        Examples:
            >>> address = qa.closest("To what depth may the pump be submerged?")[0].address
            >>> qa.get(f"bertqa{{{address.split('{')[1][:3]}}}_{address}_To what depth may it be submerged?").text
            '12 metres'

        Args:
            name: bertqa{TAG}_DOCUMENT:{TAG}:N_QUESTION, in which DOCUMENT:{TAG}:N is the context's `address`.
            force: give the best span even if "no answer" is likelier.

        Raises:
            AnswerNameInvalid: if the name is not of this form.
            ContextGone: if the collection has no such context.
            QuestionError, CapabilityError, BundleError, CollectionError: as for `ask`.
        """
        alias = ("get", self._identity, name, bool(force))
        if (answer := self._named_at_hand(alias)) is not None:
            return answer
        from edgeqa.asking.named import get

        self._front, self._scope = self._equipment.cache.front, self._equipment.scope
        answer = get(self._equipment, name, force=force, alias=alias)
        self._counts.note(answer)
        return answer

    def remembered_name(self, name: str, *, force: bool = False, at_hand: bool = False) -> Answer | None:
        """Returns the answer of `get` if it is remembered, and None if it would have to be read.

        The model is never loaded, and SQLite is not opened for an answer in this process's memory.

        Examples:
            >>> address = qa.closest("To what depth may the pump be submerged?")[0].address
            >>> name = f"bertqa{{{address.split('{')[1][:3]}}}_{address}_To what depth may it be submerged?"
            >>> print(qa.remembered_name(name))
            None
            >>> qa.get(name).text, qa.remembered_name(name).cached
            ('12 metres', True)

        Args:
            name: as for `get`.
            force: as for `get`.
            at_hand: look only into this process's memory: no file is opened or read, and no lock is taken. What another
                process has changed in the last 5 ms may not be seen.

        Raises:
            AnswerNameInvalid, ContextGone, QuestionError, CollectionError: as for `get`, but none with `at_hand`.
        """
        alias = ("get", self._identity, name, bool(force))
        answer = self._named_at_hand(alias, is_recent=at_hand)
        if answer is not None or at_hand:
            return answer
        from edgeqa.asking.named import remembered

        self._front, self._scope = self._equipment.cache.front, self._equipment.scope
        answer = remembered(self._equipment, name, force=force, alias=alias)
        if answer is not None:
            self._counts.note(answer)
        return answer

    def forget_name(self, name: str, *, force: bool = False) -> bool:
        """Deletes the remembered answer of `get`, in all processes; returns whether there was one.

        Examples:
            >>> address = qa.closest("To what depth may the pump be submerged?")[0].address
            >>> name = f"bertqa{{{address.split('{')[1][:3]}}}_{address}_To what depth may it be submerged?"
            >>> qa.get(name).text
            '12 metres'
            >>> qa.forget_name(name), qa.forget_name(name)
            (True, False)

        Args:
            name: as for `get`.
            force: as for `get`.

        Raises:
            AnswerNameInvalid, ContextGone, QuestionError, CollectionError: as for `get`.
        """
        from edgeqa.asking.named import forget

        alias = ("get", self._identity, name, bool(force))
        return forget(self._equipment, name, force=force, alias=alias)

    def _named_at_hand(self, alias: tuple[str, str, str, bool], *, is_recent: bool = False) -> Answer | None:
        if type(alias[2]) is str and (scope := self._scope) and (front := self._front) is not None:
            entry = front.get((scope.recent_stamp() if is_recent else scope.stamp(), *alias))
            if entry is not None and type(answer := entry.value) is Answer:
                return answer
        return None

    def closest(self, question: str, most: int = 5, *, within: Within | None = None) -> list[ClosePassage]:
        """Returns the passages of the collection that share the most with the question, best first, but reads none.

        Examples:
            >>> closest = qa.closest("Who commanded the Beagle?", most=1)
            >>> closest[0].document, closest[0].source_start
            ('examples/voyage-of-the-beagle.txt', 89)

        Args:
            question: in the model's language.
            most: how many to return at most.
            within: names or paths of files, folders or documents of the collection; only these are searched.

        Raises:
            ContextGone: if the collection has nothing of a name in `within`.
            QuestionError: for an empty question.
            CollectionError: if there is no collection, or it cannot be read.
        """
        from edgeqa.asking.collection_scope import closest

        return closest(self._equipment, on_one_line(question), most, within)

    def ask_many(
        self,
        pairs: Iterable[tuple[str, Given | None]],
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int | None = None,
        refresh: bool = False,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """Returns the answers to (question, context) pairs, in their order; options and errors as for `ask`.

        Questions on the same context are asked one after the other, so that it is encoded once.

        Examples:
            >>> text = "The bridge was built in 1932 by Dorman Long."
            >>> [answer.text for answer in qa.ask_many([("Who built the bridge?", text), ("When was it built?", text)])]
            ['Dorman Long', '1932']
        """
        asked = list(pairs)
        for pair in asked:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise OptionError(name="pairs", value=pair, expected="[(question, context), ...]")
        first_use: dict[object, int] = {}
        for number, (_, context) in enumerate(asked):
            first_use.setdefault(_which(context), number)
        found: dict[int, Answer] = {}
        for number in sorted(range(len(asked)), key=lambda n: first_use[_which(asked[n][1])]):
            question, context = asked[number]
            found[number] = self.ask(
                question, context, top=top, force=force, most_contexts=most_contexts, refresh=refresh
            )
            if progress:
                progress("asking", len(found), len(asked))
        return [found[number] for number in range(len(asked))]

    def key(
        self,
        question: str,
        context: Given | None = None,
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int | None = None,
    ) -> Key:
        """Returns the key under which the answer to a question is remembered; arguments and errors as for `ask`.

        Examples:
            >>> same = qa.key("Who built it? ", "A text.") == qa.key("Who  built it?", "A text.")
            >>> same, qa.key("Who built it?", "Another text.") == qa.key("Who built it?", "A text.")
            (True, False)
        """
        from edgeqa.asking.pipe import answer_key

        options = Options.of(top=top, force=force, most_contexts=most_contexts)
        asked = on_one_line(question)
        scope = self._collected()[0] if context is None else self._texts_of(context)
        careful = self._equipment.looks_again()
        return answer_key(self._equipment, scope, asked, options, careful=careful)

    def _collected(self, within: Within | None = None) -> tuple[CollectionScope, Stamp | None]:
        """Returns the collection as it is now, and a stamp that changes with it."""
        from edgeqa.asking.collection_scope import CollectionScope

        digest, stamp = self._equipment.scope.now()
        ranges = None if within is None else self._equipment.scope.ranges_within(within)
        return CollectionScope(self._equipment.scope, digest, ranges), stamp

    def _texts_of(self, context: Given) -> TextScope:
        """Returns the texts to ask; short texts that were asked before are at hand."""
        if not _is_short(context):
            return TextScope(self._equipment, documents(context))
        found = self._texts.get(context)
        if found is None:
            found = TextScope(self._equipment, documents(context))
            if len(self._texts) >= AT_HAND_TEXTS:
                self._texts.clear()
            self._texts[context] = found
        return found

    def add(
        self,
        paths: Paths,
        *,
        text_field: str | None = None,
        title_field: str | None = None,
        name: str | None = None,
        copied: bool = False,
        format: str | None = None,
        exclude: str | Iterable[str] = (),
        encodings_bytes: int | Later | None = None,
        re_encode: bool = False,
        progress: Progress | None = None,
    ) -> Added:
        """Adds files and folders to the collection; a file that it holds already, unchanged, is not read again.

        If it is interrupted, whole documents stay in the collection, and adding the same again goes on from there.

        Examples:
            >>> qa.add("examples").files_unchanged
            2

        Args:
            paths: one path or several; a folder stands for all files in and below it.
            text_field: the field that holds the text in JSON Lines, JSON and CSV; by default one with a usual name.
            title_field: the field that holds the title.
            name: the name of a text that comes through a pipe ("-"); it replaces a text of that name. By default the
                text is named after its content, and replaces no other.
            copied: treat a file as if it had come through a pipe: it is known by `name`, not by its path, and need not
                stay there.
            format: the format of all named files; by default each file's name and content decide.
            exclude: patterns of files to leave out of folders, as in a `.gitignore`: "drafts/", "*.log".
            encodings_bytes: how much disk the collection's encodings may take, from now on. Texts beyond that give the
                same answers, more slowly. By default it is 10 % of the free space, at most 8 GiB. With "later", none is
                made now, so that adding is much faster; `re_encode` makes them.
            re_encode: first make the whole collection anew, for another model or for another `encodings_bytes`.
            progress: called as the work goes on.

        Returns:
            A report; files that could not be read are in its `failed`.

        Raises:
            ContextError: if no file could be read.
            CollectionError: if the collection cannot be written to, or was made with another model.
            CapabilityError: if the device lacks what the smallest plan needs.
        """
        from edgeqa.formats.blocks import FormatOptions
        from edgeqa.formats.folders import several

        return self._add(
            paths,
            FormatOptions(text_field, title_field, format, several(exclude)),
            name=name,
            copied=copied,
            encodings_bytes=encodings_bytes,
            anew=re_encode,
            progress=progress,
        )

    def sync(
        self,
        paths: Paths,
        *,
        text_field: str | None = None,
        title_field: str | None = None,
        name: str | None = None,
        format: str | None = None,
        exclude: str | Iterable[str] = (),
        encodings_bytes: int | Later | None = None,
        drop_all: bool = False,
        progress: Progress | None = None,
    ) -> Added:
        """Adds like `add`, and removes documents that were added from these paths and are gone from there.

        Examples:
            >>> import os
            >>> os.rename("examples/pump-manual.txt", "pump.txt")
            >>> qa.sync("examples").files_removed
            1
            >>> os.rename("pump.txt", "examples/pump-manual.txt")
            >>> qa.sync("examples").files_added
            1

        Args:
            paths: as for `add`.
            text_field: as for `add`.
            title_field: as for `add`.
            name: as for `add`.
            format: as for `add`.
            exclude: as for `add`; a file that it leaves out stays in the collection if it was added before.
            encodings_bytes: as for `add`.
            drop_all: remove documents even if all that were added from a path are gone, as from an unmounted disk.
            progress: called as the work goes on.

        Raises:
            CollectionError: if all documents that were added from a path are gone, unless `drop_all` is set; then
                nothing is changed. Also for the same reasons as `add`.
            ContextError, CapabilityError: as for `add`.
        """
        from edgeqa.formats.blocks import FormatOptions
        from edgeqa.formats.folders import several

        return self._add(
            paths,
            FormatOptions(text_field, title_field, format, several(exclude)),
            name=name,
            drop_gone=True,
            drop_all=drop_all,
            encodings_bytes=encodings_bytes,
            progress=progress,
        )

    def _add(self, paths: Paths, options: FormatOptions, **how: Any) -> Added:  # noqa: ANN401 - as `managing.add` has them
        from edgeqa.collection import managing

        equipment = self._equipment
        equipment.check_open()
        return managing.add(self._directory, equipment.bundle, lambda: equipment.reading, paths, options, **how)

    @property
    def _directory(self) -> Path:
        from edgeqa.collection import directory

        return directory(self._equipment.collection)

    def remove(self, names: Paths) -> list[str]:
        """Removes files, folders or documents from the collection; returns the names of the documents that are gone.

        Examples:
            >>> qa.remove("examples/pump-manual.txt")
            ['examples/pump-manual.txt']
            >>> qa.add("examples").files_added
            1

        Raises:
            OptionError: if a name is empty.
            ContextGone: if the collection has nothing of one of the names; then nothing is removed.
            CollectionError: if there is no collection, or it cannot be written to.
        """
        from edgeqa.collection import managing

        return [gone.name for gone in managing.remove(self._directory, names)]

    def list(self) -> tuple[ListedDocument, ...]:
        """Returns the documents of the collection, in the order in which they were added.

        Examples:
            >>> sorted((document.document, document.contexts) for document in qa.list())
            [('examples/pump-manual.txt', 4), ('examples/voyage-of-the-beagle.txt', 3)]

        Raises:
            CollectionError: if there is no collection, or it cannot be read.
        """
        from edgeqa.collection.overview import listed

        return tuple(listed(self._directory))

    def verify(self, *, repair: bool = False) -> Verified:
        """Reads every byte of the collection; returns a report of the damage.

        Examples:
            >>> qa.verify().damaged
            ()

        Args:
            repair: first rebuild the parts that can be rebuilt from the rest, without the files that were added.

        Raises:
            CollectionError: if there is no collection, or it cannot be read or rebuilt.
        """
        from edgeqa.collection import managing, verifying

        if repair:
            managing.repair(self._directory)
        return verifying.verified(self._directory)

    def show(self, source: str | Path, place: tuple[int, int] | None = None, *, files: bool = True) -> Shown:
        """Returns a part of a document with the text around it.

        Examples:
            >>> shown = qa.show("examples/pump-manual.txt", (410, 419))
            >>> start, end = shown.marked
            >>> shown.text[start:end]
            '12 metres'

        Args:
            source: the address of a passage; or a file, one of its documents (`manual.pdf#12`), or a document of the
                collection.
            place: where the part begins and ends in such a document, as answers tell; None for the whole text.
            files: whether files are read. If not, `source` is an address or a document of the collection, whose text is
                joined from its passages.

        Raises:
            ContextGone: if there is no such passage or document, or the document ends before the place.
            ContextError: if the file cannot be read.
            CollectionError: if the collection cannot be read.
        """
        from edgeqa.asking import surroundings
        from edgeqa.collection.naming import Address

        home, name = self._directory, os.fspath(source)
        if place is not None:
            return surroundings.in_document(home, name, *place, files=files)
        address = Address.parse(name)
        return (
            surroundings.whole(home, name, files=files) if address is None else surroundings.at_address(home, address)
        )

    @property
    def equipment(self) -> Equipment:
        """The equipment of this runtime, for the rooms above."""
        return self._equipment

    @property
    def bundle(self) -> Bundle:
        """The model's files and facts.

        Examples:
            >>> qa.bundle.manifest.name
            'edgeqa-mini'
        """
        return self._equipment.bundle

    @property
    def decider(self) -> Bundle:
        """The model of the reader that decides on this device. To know, the careful one may be loaded and timed first.

        Raises:
            NotEnoughMemory, BundleError: if the careful reader was asked for, and does not fit, or is damaged.
        """
        return self._equipment.second.bundle if self._equipment.looks_again() else self.bundle

    @property
    def plan(self) -> Plan:
        """The plan for this device, with the reason for each choice; made when it is first needed.

        Examples:
            >>> print(qa.plan.threads.value, "threads:", qa.plan.threads.reason)
            ... threads: ...

        Raises:
            NotEnoughMemory: if not even the smallest plan fits.
        """
        return self._equipment.plan

    @property
    def cache_off_reason(self) -> str:
        """The reason why nothing is remembered, if the cache has killed processes that opened it; else empty."""
        return self._equipment.cache.off_reason

    def with_collection(self, collection: str | Path) -> EdgeQA:
        """Returns a runtime for another collection, with the model, the plan and the answer cache of this one.

        To close it closes nothing of this one. Once this one is closed, the other cannot be asked any more.

        Examples:
            >>> with qa.with_collection("support") as support:
            ...     support.add("examples/pump-manual.txt").files_added
            1

        Args:
            collection: as for `edgeqa.open`.
        """
        return EdgeQA(self._equipment.bundle, self._equipment.overrides, collection, others=self._equipment)

    def with_reader(self, reader: Reader) -> EdgeQA:
        """Returns a runtime in which another reader decides; both share everything in memory.

        To close it closes nothing of this one. Once this one is closed, the other cannot be asked any more.

        Examples:
            >>> with qa.with_reader("fast") as fast:
            ...     fast.ask("Who built it?", "The bridge was built by Dorman Long.").reader
            'fast'

        Args:
            reader: as for `edgeqa.open`.

        Raises:
            OptionError: if there is no such reader.
            CarefulReaderMissing: if the careful reader is meant, and is not installed.
        """
        equipment = self._equipment
        overrides = equipment.overrides.but(reader=reader)
        return EdgeQA(equipment.bundle, overrides, equipment.collection, others=equipment)

    def unload(self) -> None:
        """Frees the model, and all encodings in memory, until a question has to be read.

        It may be called again. A reading that has begun goes on to its end. The answer cache and the collection stay
        open.

        Examples:
            >>> qa.unload()
            >>> qa.counters().model_loaded
            False
        """
        self._equipment.unload()

    def capabilities(self) -> dict[str, Any]:
        """Returns the output of `edgeqa capabilities --json`, without the model's self-test, which is not run here.

        Examples:
            >>> facts = qa.capabilities()
            >>> facts["plan"]["threads"]["value"] == qa.plan.threads.value
            True
        """
        from edgeqa.capabilities.report import SelfTestLine, to_json
        from edgeqa.errors import NotEnoughMemory

        plan: Plan | NotEnoughMemory
        try:
            plan = self._equipment.plan
        except NotEnoughMemory as refused:
            plan = refused
        return to_json(self._equipment.device, plan, SelfTestLine("not run here", passed=None))

    def counters(self) -> Counters:
        """Returns counts of this runtime's work since it was opened, to watch a process that runs long.

        Examples:
            >>> text = "The tower was painted by Vera Klein."
            >>> answers = [qa.ask("Who painted the tower?", text) for _ in range(3)]
            >>> qa.counters().read, qa.counters().at_hand
            (1, 2)
        """
        front = self._front
        return self._counts.counters(model_loaded=self._equipment.has_model, at_hand=front.hits if front else 0)

    def fingerprint(self) -> str:
        """Returns a digest of the golden cases' logits, as this device computes them with the model.

        Answers are remembered under it. Devices, or versions of onnxruntime, with the same fingerprint compute alike,
        and may share answers. It comes from the self-test, which is run if it has not been run before.

        Examples:
            >>> len(qa.fingerprint())
            32

        Raises:
            CapabilityError: if the model has to be tested, and does not fit.
            BundleError: if it cannot be loaded, or fails its self-test.
        """
        return self._equipment.fingerprint

    def self_test(self) -> Verdict:
        """Returns the verdict of the self-test with the bundle's golden cases, run now or remembered.

        Examples:
            >>> qa.self_test().path
            'int8'

        Raises:
            BundleSelfTestFailed: if a result is wrong.
        """
        return self._equipment.reading.verdict

    def close(self) -> None:
        """Frees the model and closes the cache. It may be called again; a question after it is an error.

        Examples:
            >>> qa.close()
            >>> qa.ask("Who?", "Somebody.")
            Traceback (most recent call last):
            edgeqa.errors.Closed: this EdgeQA is closed
        """
        self._front = self._scope = None
        self._texts.clear()
        self._equipment.close()

    def __enter__(self) -> EdgeQA:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _is_short(context: Given) -> TypeGuard[str]:
    """Tells whether a context is a text short enough to be kept at hand itself, instead of its digest."""
    return type(context) is str and len(context) <= AT_HAND_CHARACTERS


def _no_progress(doing: str, done: int, total: int) -> None:
    """Takes the place of a progress callback if nobody watches."""


def _which(context: Given | None) -> object:
    return context if isinstance(context, (str, Path)) else id(context)

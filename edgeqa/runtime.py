"""`EdgeQA`: the parts, opened and wired; `ask` is the pipe from a question and texts to an `Answer`.

In: questions, and texts as strings or paths. Out: answers cut from the texts, remembered or read now. What fits the
device is decided in `capabilities`, what is remembered in `cache`, what the model says in `reading`; here they only
meet. The device is probed and the model loaded when a question misses the cache. Nothing goes to the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from edgeqa.answer import Answer, as_remembered, decide, in_parts
from edgeqa.cache import answer_keys, answers
from edgeqa.capabilities.overrides import Overrides
from edgeqa.contexts import MOST_CONTEXTS
from edgeqa.contexts.documents import HELD_BYTES, Given, documents
from edgeqa.contexts.normal import one_line
from edgeqa.errors import ContextChanged, ContextMissing, OptionError
from edgeqa.models.bundle import Bundle, chosen
from edgeqa.parts import Parts
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from edgeqa.answer import ClosePassage, Found
    from edgeqa.cache import Key
    from edgeqa.cache.front import Front
    from edgeqa.capabilities.overrides import Persist
    from edgeqa.capabilities.plan import Plan
    from edgeqa.collection.managing import Paths
    from edgeqa.collection.report import Added
    from edgeqa.contexts.documents import Document
    from edgeqa.contexts.routing import Progress
    from edgeqa.models.selftest import Verdict
    from edgeqa.routing.asking import Options
    from edgeqa.routing.scope import Scope

    KeyOf = Callable[[str], Key]

AT_HAND_CHARACTERS = 1 << 14  # of a longer text, nothing is kept at hand: it would be kept too
AT_HAND_TEXTS = 16  # what the keys of questions on them begin with


class _Options(TypedDict):
    top: int
    force: bool
    most_contexts: int


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
    collection: str | Path = "default",
) -> EdgeQA:
    """Returns a runtime for this device; close it, or use it as a context manager.

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
        collection: name of the collection that `add` adds to, and that `ask` without a context is about; or the Path of
            its directory, to keep it anywhere.

    Raises:
        BundleError: if the bundle is not what its manifest says.
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
    )
    if not isinstance(bundle, (str, Path, type(None))):
        raise OptionError(name="bundle", value=bundle, expected="the name of a model, or the path of its directory")
    return EdgeQA(Bundle.load(chosen(bundle)), overrides, collection)


class EdgeQA:
    """Answers questions from texts. Safe from many threads. Made by `edgeqa.open`."""

    def __init__(self, bundle: Bundle, overrides: Overrides, collection: str | Path = "default") -> None:
        self._parts = parts = Parts(bundle, overrides, collection)
        # What an answer depends on besides the question, the texts and the options of `ask`. A window that the plan
        # shrank is left out: answers would come and go with the memory that happens to be free.
        self._identity = f"{bundle.digest}|{parts.precision}|{overrides.window_tokens}"
        self._front: Front | None = None
        self._scope: Scope | None = None
        self._texts: dict[tuple[str, int, bool, int], tuple[list[Document], KeyOf]] = {}

    def ask(
        self,
        question: str,
        context: Given | None = None,
        *,
        top: int = 1,
        force: bool = False,
        most_contexts: int | None = None,
        refresh: bool = False,
        progress: Progress | None = None,
    ) -> Answer:
        """Returns the answer to `question` from `context`: the one remembered, or one read now and then remembered.

        Args:
            question: in the model's language; what is beyond its limit of tokens is cut, and the answer says so.
            context: a text (str), a file (Path), or several of them, of any length; None for the collection.
            top: how many distinct spans to give as `candidates`.
            force: give the best span even where "no answer" is likelier.
            most_contexts: how many contexts to read: of a text at most so many (1,000 by default), those that share
                most with the question; of a collection the closest, by default as many as can change the answer.
            refresh: read anew even if the answer is remembered.
            progress: called as reading goes on.

        Raises:
            QuestionError: for an empty question.
            ContextError: for a text that cannot be read, or is empty.
            CapabilityError: if the device lacks what the smallest plan needs.
            BundleError: if the model fails its self-test on this device.
            CollectionError: if there is no collection, or it cannot be read.
        """
        if context is None:
            if type(question) is str and not refresh and (scope := self._scope) and (front := self._front) is not None:
                entry = front.get((scope.stamp(), self._identity, question, top, force, most_contexts))
                if entry is not None and type(answer := entry.value) is Answer:
                    return answer
            return self._ask_collection(question, top, force, most_contexts, refresh=refresh, progress=progress)
        if most_contexts is None:
            most_contexts = MOST_CONTEXTS
        # What is at hand in this process is found in well under a microsecond; all else is in `_ask`, because a
        # function with closures is slow to enter.
        if type(question) is type(context) is str and not refresh and (front := self._front) is not None:
            entry = front.get((self._identity, question, context, top, force, most_contexts))
            if entry is not None and type(answer := entry.value) is Answer:
                return answer
        options: _Options = {"top": top, "force": force, "most_contexts": most_contexts}
        return self._ask(question, context, options, refresh=refresh, progress=progress or _no_progress)

    def _ask(self, question: str, context: Given, options: _Options, *, refresh: bool, progress: Progress) -> Answer:
        """Returns the answer from the cache, or reads it and remembers it."""
        watch = Stopwatch()
        cache = self._parts.cache
        self._front = cache.front
        asked = one_line(question)
        texts, key_of = self._texts_of(context, options)
        read_now: list[Found] = []

        def read() -> dict[str, Any]:
            watch.over("remember")
            reading = self._parts.reading
            watch.over("load")
            found = reading.read(
                asked,
                texts,
                top=options["top"],
                most_contexts=options["most_contexts"],
                progress=progress,
                watch=watch,
            )
            if any(t.size_bytes > HELD_BYTES for t in texts) and key != self._key_of(texts, options)(asked):
                raise ContextChanged(", ".join(t.name for t in texts))
            read_now.append(found)
            return answers.record(found)

        key = key_of(asked)
        watch.over("key")
        record = cache.compute(key, read, refresh=refresh)
        found = None if read_now else answers.found_again(record, texts)
        if found is None and not read_now:  # what is remembered does not fit the texts
            cache.put(key, read())
        found = in_parts(found or read_now[0], texts)
        watch.over("remember")
        answer = decide(
            asked,
            found,
            no_answer_below=0.0 if options["force"] else self.bundle.manifest.calibration.no_answer_below,
            model=self._parts.model,
            cached=not read_now,
            timings_ms=watch.timings_ms(),
        )
        if isinstance(context, str) and len(context) <= AT_HAND_CHARACTERS:
            alias = (self._identity, question, context, *options.values())
            cache.bind(alias, key, answer if answer.cached else as_remembered(answer), of=record)
        return answer

    def _ask_collection(
        self,
        question: str,
        top: int,
        force: bool,  # noqa: FBT001 - as `ask` was given it
        most_contexts: int | None,
        *,
        refresh: bool,
        progress: Progress | None,
    ) -> Answer:
        from edgeqa.routing.asking import ask

        asked = one_line(question)
        self._front, self._scope = self._parts.cache.front, self._parts.scope
        return ask(
            self._parts,
            asked,
            {"top": top, "force": bool(force), "most_contexts": most_contexts},
            alias=(self._identity, question, top, force, most_contexts),
            refresh=refresh,
            progress=progress or _no_progress,
        )

    def get(self, name: str, *, force: bool = False) -> Answer:
        """Returns the answer to a question on one context of a collection, remembered, or read now and then remembered.

        Args:
            name: bertqa{TAG}_DOCUMENT:{TAG}:N_QUESTION; what comes before the question is the context's `address`.
            force: give the best span even where "no answer" is likelier.

        Raises:
            AnswerNameInvalid: if the name is not of this form.
            ContextGone: if the collection has no such context.
            QuestionError, CapabilityError, BundleError, CollectionError: as for `ask`.
        """
        alias = ("get", self._identity, name, bool(force))
        if type(name) is str and (scope := self._scope) and (front := self._front) is not None:
            entry = front.get((scope.stamp(), *alias))
            if entry is not None and type(answer := entry.value) is Answer:
                return answer
        from edgeqa.routing.getting import get

        self._front, self._scope = self._parts.cache.front, self._parts.scope
        return get(self._parts, name, force=force, alias=alias)

    def closest(self, question: str, most: int = 5) -> list[ClosePassage]:
        """Returns the passages of the collection that share most with the question, best first, without reading them.

        Raises:
            QuestionError: for an empty question.
            CollectionError: if there is no collection, or it cannot be read.
        """
        from edgeqa.routing.getting import closest

        return closest(self._parts, one_line(question), most)

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
        """Returns what the answer to a question is remembered under; arguments and errors as for `ask`."""
        if context is None:
            from edgeqa.routing.asking import answer_key

            chosen: Options = {"top": top, "force": bool(force), "most_contexts": most_contexts}
            return answer_key(self._parts, one_line(question), chosen)
        most = MOST_CONTEXTS if most_contexts is None else most_contexts
        options: _Options = {"top": top, "force": force, "most_contexts": most}
        return self._texts_of(context, options)[1](one_line(question))

    def _texts_of(self, context: Given, options: _Options) -> tuple[list[Document], KeyOf]:
        """Returns the texts, and what makes keys of questions on them; both are at hand for a short text, again."""
        for name, value in (("top", options["top"]), ("most_contexts", options["most_contexts"])):
            if type(value) is not int or value < 1:
                raise OptionError(name, value, "a whole number from 1 on")
        if type(context) is not str or len(context) > AT_HAND_CHARACTERS:
            texts = documents(context)
            return texts, self._key_of(texts, options)
        asked_before = (context, options["top"], bool(options["force"]), options["most_contexts"])
        found = self._texts.get(asked_before)
        if found is None:
            texts = documents(context)
            found = texts, self._key_of(texts, options)
            if len(self._texts) >= AT_HAND_TEXTS:
                self._texts.clear()
            self._texts[asked_before] = found
        return found

    def _key_of(self, texts: list[Document], options: _Options) -> KeyOf:
        if not texts:
            raise ContextMissing
        return answer_keys(
            bundle_digest=self.bundle.digest,
            precision=self._parts.precision,
            options={
                **options,
                "force": bool(options["force"]),
                "window_tokens": self._parts.overrides.window_tokens,
            },
            scope_digest=answers.scope_digest(texts),
            lowercase=self.bundle.manifest.lowercase,
        )

    def add(
        self,
        paths: Paths,
        *,
        text_field: str | None = None,
        title_field: str | None = None,
        name: str | None = None,
        format: str | None = None,
        exclude: str | Iterable[str] = (),
        encodings_bytes: int | None = None,
        re_encode: bool = False,
        progress: Progress | None = None,
    ) -> Added:
        """Adds files and folders to the collection; what is there already, and has not changed, is not read again.

        Broken off at any moment, it leaves whole documents; adding the same again goes on from there.

        Args:
            paths: one path or several; a folder stands for all that is in and below it.
            text_field: of JSON Lines, JSON and CSV, the field that holds the text; by default one with a usual name.
            title_field: the field that holds the title.
            name: what a text is called that comes through a pipe ("-"); another of that name takes its place. By
                default it is called after its content, and takes no other's place.
            format: how to read everything named; by default told from each file's name and content.
            exclude: what to leave out of folders, in patterns as in a `.gitignore`: "drafts/", "*.log".
            encodings_bytes: how much disk the collection's encodings may take, from now on; what is beyond that gives
                the same answers, slower. By default 10 % of what is free, at most 8 GiB.
            re_encode: first make the whole collection anew, for another model or for another `encodings_bytes`.
            progress: called as it goes on.

        Returns:
            What was done; files that could not be read are in its `failed`.

        Raises:
            ContextError: if there was nothing that could be read.
            CollectionError: if the collection cannot be written to, or was made with another model.
            CapabilityError: if the device lacks what the smallest plan needs.
        """
        from edgeqa.collection import managing
        from edgeqa.formats import FormatOptions
        from edgeqa.formats.ignored import several

        options = FormatOptions(text_field, title_field, format, several(exclude))
        return managing.add(
            self._parts,
            paths,
            options,
            name=name,
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
        encodings_bytes: int | None = None,
        drop_all: bool = False,
        progress: Progress | None = None,
    ) -> Added:
        """Adds like `add`, and removes what was added from these paths and is not there any more.

        Args:
            paths: as for `add`.
            text_field: as for `add`.
            title_field: as for `add`.
            name: as for `add`.
            format: as for `add`.
            exclude: as for `add`; what it leaves out and was added before stays.
            encodings_bytes: as for `add`.
            drop_all: remove it even where all that was added from a path is gone, as from a disk that is not mounted.
            progress: called as it goes on.

        Raises:
            CollectionError: if all that was added from a path is gone, unless `drop_all`: then nothing is changed. Else
                as for `add`.
            ContextError, CapabilityError: as for `add`.
        """
        from edgeqa.collection import managing
        from edgeqa.formats import FormatOptions
        from edgeqa.formats.ignored import several

        options = FormatOptions(text_field, title_field, format, several(exclude))
        return managing.add(
            self._parts,
            paths,
            options,
            name=name,
            drop_gone=True,
            drop_all=drop_all,
            encodings_bytes=encodings_bytes,
            progress=progress,
        )

    def remove(self, names: Paths) -> list[str]:
        """Removes files, folders or documents from the collection; returns the names of the documents that are gone.

        Raises:
            ContextGone: if the collection holds nothing of a name; then nothing is removed.
            CollectionError: if there is no collection, or it cannot be written to.
        """
        from edgeqa.collection import directory, managing

        return [gone.name for gone in managing.remove(directory(self._parts.collection), names)]

    @property
    def bundle(self) -> Bundle:
        """The model's files and facts."""
        return self._parts.bundle

    @property
    def plan(self) -> Plan:
        """What fits this device, and why; made when it is first needed.

        Raises:
            NotEnoughMemory: if not even the smallest plan fits.
        """
        return self._parts.plan

    @property
    def cache_off_reason(self) -> str:
        """Why nothing is remembered: the cache has killed those who opened it. Empty if it has not."""
        return self._parts.cache.off_reason

    def self_test(self) -> Verdict:
        """Returns how the bundle's golden cases come out on this device, tested now or remembered.

        Raises:
            BundleSelfTestFailed: if they come out wrong.
        """
        return self._parts.reading.verdict

    def close(self) -> None:
        """Lets the model and the cache go. May be called again; asking after it is an error."""
        self._front = self._scope = None
        self._texts.clear()
        self._parts.close()

    def __enter__(self) -> EdgeQA:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _no_progress(doing: str, done: int, total: int) -> None:
    """Stands for a progress callback where nobody watches."""


def _which(context: Given | None) -> object:
    return context if isinstance(context, (str, Path)) else id(context)

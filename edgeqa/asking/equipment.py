"""The equipment of a runtime: probe, plan, cache, model, careful reader, collection, each opened when first needed.

In: a bundle and what the user wants. Out: all of these. A question that hits the cache opens nothing but the cache. For
one that misses, the device is probed, the plan is made, and the model is loaded only if it fits. All of it is safe to
use from many threads.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeqa import files, forking, state
from edgeqa.cache import FORMAT_DIRECTORY, Cache
from edgeqa.capabilities.computing import computing, onnxruntime_build, remembered_test
from edgeqa.capabilities.precision import AT
from edgeqa.digests import blake2b
from edgeqa.errors import BundleError, CarefulReaderMissing, Closed, NotEnoughMemory
from edgeqa.models import manifest
from edgeqa.models.bundle import BASE, BUNDLED, Bundle
from edgeqa.models.shelf import base_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.cache import Key
    from edgeqa.capabilities import Overrides, Reader
    from edgeqa.capabilities.device import Capabilities
    from edgeqa.capabilities.plan import Careful, Plan, Provider
    from edgeqa.collection.collection import LiveCollection
    from edgeqa.models.reading import LruTable, PassageReader


READING_VERSION = 6
"""The version of the code that makes contexts of texts, and answers of logits (`models.spans`, `asking.ranking`).

A change that may give another answer for the same text takes a new number, so that older answers are not used again."""
PASSAGES_PART = 12  # one part in so many of the store of encodings is for passages
GET_IT = "pip install 'edgeqa[base]', or, without pip, edgeqa models add WHEEL"
_PASSAGE_TIMES = "passage-times"


class Equipment:
    """The equipment of one runtime."""

    def __init__(self, bundle: Bundle, overrides: Overrides, collection: str | Path = "default") -> None:
        self.bundle = bundle
        self.overrides = overrides
        self.collection = collection
        self.computing = computing(bundle.manifest.precision, overrides.provider)
        """How this device computes, as far as that can be known without the model."""
        self.precision = f"{self.computing.precision}, {_code()}"
        """How answers are computed, for a person: the plan's precision, and by which code."""
        self.computed_with = f"{self.precision}, {self.computing.kernels}"
        """The same with the processor: what is at hand in this process is so under it."""
        self.model = f"{bundle.manifest.name} {bundle.manifest.version}"
        """Name and version of the bundle."""
        self._lock = threading.RLock()
        self._loading = threading.RLock()  # for slow work only, so that nobody who looks up an answer waits for it
        self._closed = False
        self._device: Capabilities | None = None
        self._plan: Plan | None = None
        self._fingerprint: str | None = None
        self._tested_on = ""
        self._cache: Cache | None = None
        self._reading: PassageReader | None = None
        self._scope: LiveCollection | None = None
        self._passages: LruTable[Any] | None = None
        self.second = CarefulReader(bundle.manifest.name, overrides)
        """The careful reader, as far as it is known."""
        self._careful: PassageReader | None = None
        self._looks_again: bool | None = None
        forking.tell(self)

    def forked(self) -> None:
        """Lets go of a lock that a thread of the parent may have held."""
        self._lock, self._loading = threading.RLock(), threading.RLock()

    def check_open(self) -> None:
        """Does nothing.

        Raises:
            Closed: after `close`.
        """
        if self._closed:
            raise Closed

    @property
    def device(self) -> Capabilities:
        """The device, as the probe found it."""
        with self._loading:
            if self._device is None:
                from edgeqa.capabilities.probe import probe

                self._device = probe(providers=False)
            return self._device

    @property
    def plan(self) -> Plan:
        """The plan: how edgeqa fits the device.

        Raises:
            NotEnoughMemory: if not even the smallest plan fits.
        """
        with self._loading:
            if self._plan is None:
                self._plan = self._planned()
            return self._plan

    def _planned(self, passage_ms: float | None = None) -> Plan:
        from edgeqa.capabilities.plan import make_plan

        careful, needs = self.second.known(self.device, passage_ms), self.bundle.needs()
        if self.overrides.mmap is False:
            needs = replace(needs, unmapped_bytes=self._index_bytes())
        provider = None
        _ = self.has_fingerprint
        if AT in self._tested_on or self.overrides.provider is not None:
            from edgeqa.models.providers import provider_for

            provider = provider_for(self.bundle, self.device, self.overrides, self._tested_on)
        holds_cache = self._cache is not None
        return make_plan(self.device, needs, self.overrides, careful, provider, holds_cache=holds_cache)

    @property
    def cache(self) -> Cache:
        """The answer cache; of a size that is planned when it is made, and kept as it is from then on.

        Raises:
            Closed: after `close`.
        """
        with self._lock:
            if self._closed:
                raise Closed
            if self._cache is None:
                persist, map_bytes = self._persistence()
                provenance = f"{self.model} {self.precision}"
                self._cache = (
                    Cache.open(persist=persist, provenance=provenance)
                    if map_bytes is None
                    else Cache.open(persist=persist, provenance=provenance, map_bytes=map_bytes)
                )
            return self._cache

    @property
    def passages(self) -> LruTable[Any]:
        """Passages of texts that were asked lately, by the texts' digest."""
        with self._loading:
            if self._passages is None:
                from edgeqa.models.reading import LruTable

                self._passages = LruTable(self.plan.encoding_store_bytes.value // PASSAGES_PART)
            return self._passages

    @property
    def reading(self) -> PassageReader:
        """The model, loaded and tested.

        Raises:
            Closed: after `close`.
            NotEnoughMemory: if it does not fit.
            BundleError: if it cannot be loaded, or fails its self-test.
        """
        with self._loading:
            if self._closed:
                raise Closed
            if self._reading is None:
                plan = self.plan  # this refuses before anything large is imported
                from edgeqa.models.reading import PassageReader

                self._reading = PassageReader(self.bundle, plan, self.device)
                self._plan, self._fingerprint = self._reading.plan, self._reading.verdict.fingerprint
            return self._reading

    @property
    def fingerprint(self) -> str:
        """The fingerprint of this device: a digest of the golden cases' logits, which is part of every key.

        Remembered from the self-test; where that was not run under these conditions, the model is loaded and tested.
        Devices that compute alike have the same.

        Raises:
            Closed: after `close`, if it was not asked for before.
            NotEnoughMemory: if the model has to be tested, and does not fit.
            BundleError: if it cannot be loaded, or fails its self-test.
        """
        if not self.has_fingerprint:
            self._fingerprint = self.reading.verdict.fingerprint
        return self._fingerprint  # type: ignore[return-value]  # known by now

    @property
    def computed(self) -> str:
        """The part of every key that says how answers are computed: the digest of our code, and the fingerprint."""
        return f"reading {READING_VERSION}, {self.fingerprint}"

    @property
    def has_fingerprint(self) -> bool:
        """Whether the fingerprint is known without the model; if not, no answer of this device can be remembered."""
        if self._fingerprint is None:
            tested = remembered_test(self.bundle.digest, self.computing)
            self._fingerprint, self._tested_on = tested or (None, "")
        return self._fingerprint is not None

    @property
    def may_compute_otherwise(self) -> bool:
        """Whether it may yet turn out that another provider computes than the fingerprint is of: it is not loaded."""
        return AT in self._tested_on and not self.has_model

    @property
    def careful(self) -> PassageReader:
        """The careful reader, loaded and tested; asked for only where `looks_again` says so.

        Raises:
            Closed: after `close`.
            NotEnoughMemory: if it does not fit.
            BundleError: if it cannot be loaded, or fails its self-test.
        """
        with self._loading:
            if self._closed:
                raise Closed
            if self._careful is None:
                self._careful = self.second.load(self.plan, self.device)
            return self._careful

    def _let_careful_go(self) -> None:
        self._careful = None

    @property
    def careful_key(self) -> str:
        """The part of a key that stands for the careful reader, which is loaded where it was not tested here before.

        Raises: as `careful` does.
        """
        return self.second.key or self.second.tested(self.careful)

    def looks_again(self) -> bool:
        """Tells whether the careful reader decides; found out once, for which it may have to be loaded and timed.

        Raises:
            NotEnoughMemory: if it was asked for, and does not fit.
            BundleError: if it was asked for, and cannot be loaded.
        """
        with self._loading:
            if self._looks_again is None:
                self._looks_again = self.plans_careful and self._is_in_time()
            return self._looks_again

    def is_careful(self, key: Callable[[], Key], *, may_load: bool) -> bool:
        """Tells whether the careful reader decides.

        Args:
            key: gives what it would be remembered under, which is looked for before the device is looked at.
            may_load: whether it may be loaded, to be timed; raises as `looks_again` then, else as `plans_careful`.
        """
        if not self.second.is_there:
            return False
        may_know = self._looks_again is None and self.second.key is not None and self.has_fingerprint
        if may_know and self.cache.peek(key()) is not None:
            return True
        return self.looks_again() if may_load else self.plans_careful

    @property
    def plans_careful(self) -> bool:
        """Whether the careful reader decides by the plan, which may yet find that it is too slow.

        Raises:
            NotEnoughMemory: if it was asked for, and does not fit.
            BundleError: if it was asked for, and is damaged.
        """
        try:
            return self.second.is_there and self.plan.reader.value == "careful"
        except NotEnoughMemory:
            if self.overrides.reader == "careful":
                raise
            return False  # no plan fits, but remembered answers are given all the same

    def _is_in_time(self) -> bool:
        """Tells whether the careful reader is quick enough; has it timed where it was not yet, on this device.

        One that cannot be loaded is none to wait for, unless it was asked for. The plan is made anew, with the reason.
        """
        from edgeqa.capabilities.plan import Choice

        if self.second.passage_ms(self.device) is not None:  # the plan was made by it
            return True
        try:
            passage_ms = self.careful.passage_ms()
        except BundleError as error:
            if self.overrides.reader == "careful":
                raise
            self._plan = replace(self.plan, reader=Choice("fast", f"{error}: {error.hint}"))
            return False
        self.second.was_timed(self.device, passage_ms)
        self._plan = self._planned(passage_ms)
        if self._plan.reader.value == "careful":
            return True
        self._let_careful_go()
        return False

    @property
    def scope(self) -> LiveCollection:
        """The collection that is asked where no text is given; nothing of it is opened before it is asked.

        Raises:
            CollectionNameInvalid: if a collection cannot have this name.
        """
        with self._lock:
            if self._scope is None:
                from edgeqa.collection import directory
                from edgeqa.collection.collection import LiveCollection
                from edgeqa.collection.snapshot import EncoderIdentity

                mapped = self.overrides.mmap is not False
                self._scope = LiveCollection(directory(self.collection), EncoderIdentity.of(self.bundle), mapped=mapped)
            return self._scope

    @property
    def has_model(self) -> bool:
        """Whether a model is in memory."""
        return self._reading is not None or self._careful is not None

    def unload(self) -> None:
        """Lets the model go, with what it has made of texts, until it is needed again. Harmless when repeated."""
        with self._loading:
            self._reading = self._careful = self._passages = None

    def close(self) -> None:
        """Lets model and cache go. Harmless when repeated."""
        with self._lock, self._loading:
            self._closed = True
            self._reading = self._careful = self._scope = self._passages = None
            if self._cache is not None:
                self._cache.close()
                self._cache = None

    def beside(self, collection: str | Path, reader: Reader | None) -> Equipment:
        """Returns the same parts for another collection, or with another reader that decides."""
        return _SharedEquipment(self, collection, reader)

    def _index_bytes(self) -> int:
        """Returns the bytes of memory that a copy of the collection's index takes."""
        from edgeqa.collection import directory
        from edgeqa.collection.snapshot import ROUTE

        with contextlib.suppress(OSError):
            return sum(found.lstat().st_size for found in (directory(self.collection) / ROUTE).iterdir())
        return 0

    def _persistence(self) -> tuple[str, int | None]:
        """Returns the place where answers are kept and, if a cache has to be made there, its size."""
        wanted = self.overrides.persist
        if wanted == "off":
            return wanted, None
        if (
            wanted != "memory"
            and self.overrides.mmap is not False
            and os.path.exists(state.home() / "cache" / FORMAT_DIRECTORY)  # noqa: PTH110 - pathlib's raises for most errors
        ):
            return "disk", None
        plan = self.plan
        return (plan.persist.value, plan.answer_cache_bytes.value) if plan.answer_cache_bytes.value else ("off", None)


class _SharedEquipment(Equipment):
    """The parts of another runtime, for another collection or reader; closing it closes nothing of theirs."""

    def __init__(self, others: Equipment, collection: str | Path, reader: Reader | None) -> None:
        super().__init__(others.bundle, others.overrides.but(reader=reader), collection)
        self._others = others
        self._is_alike = self.second.wanted == others.second.wanted

    @property
    def device(self) -> Capabilities:
        return self._others.device

    @property
    def plan(self) -> Plan:
        return self._others.plan if self._is_alike else super().plan

    @property
    def cache(self) -> Cache:
        self.check_open()
        return self._others.cache

    @property
    def passages(self) -> LruTable[Any]:
        return self._others.passages

    @property
    def reading(self) -> PassageReader:
        self.check_open()
        return self._others.reading

    @property
    def has_fingerprint(self) -> bool:
        is_known = self._others.has_fingerprint
        self._fingerprint, self._tested_on = self._others._fingerprint, self._others._tested_on  # noqa: SLF001
        return is_known

    @property
    def careful(self) -> PassageReader:
        self.check_open()
        return self._others.careful

    def _let_careful_go(self) -> None:
        self._others._let_careful_go()  # noqa: SLF001 - a class of this one

    def looks_again(self) -> bool:
        return self._others.looks_again() if self._is_alike else super().looks_again()

    @property
    def scope(self) -> LiveCollection:
        return self._others.scope if self.collection == self._others.collection else super().scope

    @property
    def has_model(self) -> bool:
        return self._others.has_model

    def unload(self) -> None:
        self._others.unload()


class CarefulReader:
    """The facts about the careful reader; nothing is looked up before it is asked for.

    An answer that is remembered waits for its key alone: the digest of the model's manifest, and its fingerprint. A
    device finds out once that the reader is too slow there, and remembers it.
    """

    def __init__(self, model: str, overrides: Overrides) -> None:
        """Takes the name of the model that reads first, and what the user wants."""
        self._model, self._overrides = model, overrides
        self.wanted = overrides.reader or "auto"
        self._key: str | None = None
        self._tested_on = ""  # the precision path

    @forking.cached_property
    def why_not(self) -> str:
        """Why there is none to ask, whatever the device has; "" if there is."""
        if self.wanted == "fast":
            return "not asked for"
        if self.wanted == "auto" and self._model != BUNDLED:
            return f"{BASE} looks again at what {BUNDLED} found; with {self._model}, if --reader careful asks for it"
        return "" if self._path is not None else f"the careful one, {BASE}, is not installed: {GET_IT}"

    @forking.cached_property
    def _path(self) -> Path | None:
        return base_bundle()

    def check(self) -> None:
        """Does nothing.

        Raises:
            CarefulReaderMissing: if it was asked for, and is not installed.
        """
        if self.why_not and self.wanted == "careful":
            raise CarefulReaderMissing(BASE, GET_IT)

    @property
    def is_there(self) -> bool:
        """Whether there is one to ask, if the device has room and time for it."""
        return not self.why_not

    @property
    def key(self) -> str | None:
        """Its model's digest and its fingerprint, which its answers depend on; None where they are not known yet."""
        if self._key is None and self.is_there and self._path is not None:
            try:
                raw = files.read(self._path / manifest.NAME)
                how = computing(json.loads(raw)["precision"], self._overrides.provider)
            except (OSError, ValueError, LookupError, TypeError):  # the fault is reported when it is loaded
                return None
            digest = blake2b(raw, digest_size=32).hexdigest()
            tested = remembered_test(digest, how)
            if tested is not None:
                self._key, self._tested_on = f"{digest} {tested.fingerprint}", tested.path
        return self._key

    @forking.cached_property
    def bundle(self) -> Bundle:
        """Its model's files and facts.

        Raises:
            BundleError: if it is not there, or damaged.
        """
        if self._path is None:
            raise CarefulReaderMissing(BASE, GET_IT)
        return Bundle.load(self._path)

    def known(self, device: Capabilities, passage_ms: float | None = None) -> Careful:
        """Returns the facts of the careful reader that a plan has to know.

        Args:
            device: what the device has.
            passage_ms: how long it takes for a passage, where that was timed just now.

        Raises:
            BundleError: if it was asked for, and is missing or damaged.
        """
        from edgeqa.capabilities.plan import Careful

        if not self.is_there:
            return Careful(why_not=self.why_not)
        try:
            needs = self.bundle.needs()
            if (provider := self._provider(device)) is not None:
                needs = replace(needs, unmapped_bytes=provider.takes_bytes)
        except BundleError as error:
            if self.wanted == "careful":
                raise
            return Careful(why_not=f"{error}: {error.hint}")
        return Careful(needs, passage_ms=self.passage_ms(device) if passage_ms is None else passage_ms)

    def passage_ms(self, device: Capabilities) -> float | None:
        """Returns the milliseconds that it takes to read a passage; None if it was not timed on this device."""
        if device.processor_digest.value is None:  # the processor is unknown, and the next one may be another
            return None
        passage_ms = state.recall(_PASSAGE_TIMES, self._timed_as(device))
        return passage_ms if isinstance(passage_ms, float) else None

    def was_timed(self, device: Capabilities, passage_ms: float) -> None:
        """Remembers how long it takes for a passage."""
        state.remember(_PASSAGE_TIMES, self._timed_as(device), passage_ms)

    def load(self, plan: Plan, device: Capabilities) -> PassageReader:
        """Returns the reader, loaded and tested.

        Raises:
            BundleError: if it cannot be loaded, or fails its self-test.
        """
        from edgeqa.capabilities.plan import Choice, Provider, precision_on
        from edgeqa.capabilities.precision import CPU
        from edgeqa.models.reading import PassageReader

        precision = self.bundle.manifest.precision
        provider = self._provider(device) or Provider(CPU, "as everywhere", precision)
        own = replace(
            plan,
            provider=provider,
            precision=precision_on(provider, device, precision),
            callers=Choice(1, "a careful reading takes all threads"),
            encoding_store_bytes=Choice(0, "nothing of it could be kept"),
        )
        reader = PassageReader(self.bundle, own, device)
        self._tested_on = reader.verdict.path
        return reader

    def _provider(self, device: Capabilities) -> Provider | None:
        """Returns the provider that computes; None where that is the CPU, as everywhere."""
        _ = self.key  # with which it is known what it was tested on
        if AT not in self._tested_on and self._overrides.provider is None:
            return None
        from edgeqa.models.providers import provider_for

        return provider_for(self.bundle, device, self._overrides, self._tested_on)

    def tested(self, reader: PassageReader) -> str:
        """Returns the key, which is known from the self-test; also where that cannot be remembered."""
        self._key = f"{self.bundle.digest} {reader.verdict.fingerprint}"
        return self._key

    def _timed_as(self, device: Capabilities) -> str:
        threads = self._overrides.threads or "all"
        on = f"|{self._tested_on}" if AT in self._tested_on else ""
        return f"{self.bundle.digest}|{device.kernels}|{threads} threads|{onnxruntime_build()}{on}"


def _code() -> str:
    """Returns the versions of the code that computes answers, without importing it: numbers differ between versions."""
    return f"reading {READING_VERSION}, {onnxruntime_build()}"

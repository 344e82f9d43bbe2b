"""What a runtime asks with, each opened when it is first needed: probe, plan, cache, model, collection.

In: a bundle and what the user wants. Out: all of these. A question that hits the cache opens nothing but the cache; one
that misses has the device probed, the plan made, and only then, if it fits, the model loaded. Safe from many threads.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeqa import forking, state
from edgeqa.asking.careful import CarefulReader
from edgeqa.cache import FORMAT_DIRECTORY, Cache
from edgeqa.capabilities.computing import computing, onnxruntime_version, remembered_test
from edgeqa.capabilities.precision import AT
from edgeqa.errors import BundleError, Closed, NotEnoughMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.cache import Key
    from edgeqa.capabilities import Overrides, Reader
    from edgeqa.capabilities.device import Capabilities
    from edgeqa.capabilities.plan import Plan
    from edgeqa.collection.collection import LiveCollection
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.reading import LruTable, PassageReader


READING_VERSION = 3
"""Of what makes answers of logits (`models.spans`, `asking.ranking`) and contexts of texts: a new one where the same
text may give another answer, so that what was remembered before is read once more."""
PASSAGES_PART = 12  # of the store of encodings, one part is for passages


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
        self._loading = threading.RLock()  # what takes long: whoever looks up an answer does not wait for it
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
        """What is known of the careful reader."""
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
        """What the device has."""
        with self._loading:
            if self._device is None:
                from edgeqa.capabilities.probe import probe

                self._device = probe(providers=False)
            return self._device

    @property
    def plan(self) -> Plan:
        """What fits the device.

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
            from edgeqa.models.trying import provider_for

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
                plan = self.plan  # refuses before anything large is imported
                from edgeqa.models.reading import PassageReader

                self._reading = PassageReader(self.bundle, plan, self.device)
                self._plan, self._fingerprint = self._reading.plan, self._reading.verdict.fingerprint
            return self._reading

    @property
    def fingerprint(self) -> str:
        """How this device computes with the model: a digest of the golden cases' logits, which is part of every key.

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
        """How answers come about, as it stands in every key: by which code of ours, and the fingerprint."""
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
        """What stands in a key for the careful reader; where it was not tested on this device, it is loaded for that.

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
            return False  # nothing fits: what is remembered is given even so

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
        """Returns how much memory a copy of the collection's index takes."""
        from edgeqa.collection import directory
        from edgeqa.collection.snapshot import ROUTE

        with contextlib.suppress(OSError):
            return sum(found.lstat().st_size for found in (directory(self.collection) / ROUTE).iterdir())
        return 0

    def _persistence(self) -> tuple[str, int | None]:
        """Returns where answers are kept and, where a cache has to be made, its size."""
        wanted = self.overrides.persist
        if wanted == "off":
            return wanted, None
        if (
            wanted != "memory"
            and self.overrides.mmap is not False
            and (state.home() / "cache" / FORMAT_DIRECTORY).exists()
        ):
            return "disk", None
        plan = self.plan
        return (plan.persist.value, plan.answer_cache_bytes.value) if plan.answer_cache_bytes.value else ("off", None)


class _SharedEquipment(Equipment):
    """The parts of another runtime, for another collection or reader; closing it closes nothing of theirs."""

    def __init__(self, others: Equipment, collection: str | Path, reader: Reader | None) -> None:
        super().__init__(others.bundle, replace(others.overrides, reader=reader), collection)
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


def _code() -> str:
    """Returns which code computes answers, without importing it: its numbers differ from version to version."""
    return f"reading {READING_VERSION}, onnxruntime {onnxruntime_version()}"

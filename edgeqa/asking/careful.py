"""The careful reader of a runtime: where its model is, what answers of it depend on, whether it is quick enough.

In: what the user wants, and the model in use. Out: what a plan has to know of it, and the reader itself, loaded, tested
and timed. An answer that is remembered waits for nothing but the key: the digest of its manifest, and its fingerprint.
That it reads too slowly is found out once on a device, and remembered there.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from edgeqa import files, state
from edgeqa.capabilities.computing import computing, onnxruntime_version, remembered_test
from edgeqa.capabilities.precision import AT
from edgeqa.digests import blake2b
from edgeqa.errors import BundleError, CarefulReaderMissing
from edgeqa.models import manifest
from edgeqa.models.bundle import BASE, BUNDLED, Bundle
from edgeqa.models.shelf import base_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.capabilities import Overrides
    from edgeqa.capabilities.device import Capabilities
    from edgeqa.capabilities.plan import Careful, Plan, Provider
    from edgeqa.models.reading import PassageReader

GET_IT = "pip install 'edgeqa[base]', or, without pip, edgeqa models add WHEEL"
_REMEMBERED = "passage-times"


class CarefulReader:
    """What a runtime knows of the careful reader; nothing is looked for before it is asked for."""

    def __init__(self, model: str, overrides: Overrides) -> None:
        """Takes the name of the model that reads first, and what the user wants."""
        self._model, self._overrides = model, overrides
        self.wanted = overrides.reader or "auto"
        self._key: str | None = None
        self._tested_on = ""  # the precision path

    @cached_property
    def why_not(self) -> str:
        """Why there is none to ask, whatever the device has; "" if there is."""
        if self.wanted == "fast":
            return "not asked for"
        if self.wanted == "auto" and self._model != BUNDLED:
            return f"{BASE} looks again at what {BUNDLED} found; with {self._model}, if --reader careful asks for it"
        return "" if self._path is not None else f"the careful one, {BASE}, is not installed: {GET_IT}"

    @cached_property
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
        """What its answers depend on besides what all do: model, and fingerprint; None where that is not known yet."""
        if self._key is None and self.is_there and self._path is not None:
            try:
                raw = files.read(self._path / manifest.NAME)
                how = computing(json.loads(raw)["precision"], self._overrides.provider)
            except (OSError, ValueError, LookupError, TypeError):  # what is wrong with it is said when it is loaded
                return None
            digest = blake2b(raw, digest_size=32).hexdigest()
            tested = remembered_test(digest, how)
            if tested is not None:
                self._key, self._tested_on = f"{digest} {tested.fingerprint}", tested.path
        return self._key

    @cached_property
    def bundle(self) -> Bundle:
        """Its model's files and facts.

        Raises:
            BundleError: if it is not there, or damaged.
        """
        if self._path is None:
            raise CarefulReaderMissing(BASE, GET_IT)
        return Bundle.load(self._path)

    def known(self, device: Capabilities, passage_ms: float | None = None) -> Careful:
        """Returns what a plan has to know of it.

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
        """Returns how long it takes for a passage; None where it was not timed on this device."""
        if device.processor_digest.value is None:  # a processor that hides: the next one may be another
            return None
        passage_ms = state.recall(_REMEMBERED, self._timed_as(device))
        return passage_ms if isinstance(passage_ms, float) else None

    def was_timed(self, device: Capabilities, passage_ms: float) -> None:
        """Remembers how long it takes for a passage."""
        state.remember(_REMEMBERED, self._timed_as(device), passage_ms)

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
        from edgeqa.models.trying import provider_for

        return provider_for(self.bundle, device, self._overrides, self._tested_on)

    def tested(self, reader: PassageReader) -> str:
        """Returns the key, which is known from the self-test; also where that cannot be remembered."""
        self._key = f"{self.bundle.digest} {reader.verdict.fingerprint}"
        return self._key

    def _timed_as(self, device: Capabilities) -> str:
        threads = self._overrides.threads or "all"
        on = f"|{self._tested_on}" if AT in self._tested_on else ""
        return f"{self.bundle.digest}|{device.kernels}|{threads} threads|onnxruntime {onnxruntime_version()}{on}"

"""What of a bundle a collection depends on, and the bundle at work as adding uses it.

`EncoderIdentity`: the tokenizer, what encodes a context, and how long a context may be. A bundle whose reading half,
calibration or licence changes keeps its collections; one with another tokenizer or encoder needs `edgeqa add
--re-encode`. `TimedModel`: loaded when the first document needs it, and how long each of its parts took. Where nothing
has changed, nothing asks it for anything. Importing this imports no numpy.
"""

from __future__ import annotations

import json
import time
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.digests import blake2b

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.contexts.context import Tokens
    from edgeqa.contexts.windows import Limits
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.readers import Encoding, Ids
    from edgeqa.models.reading import PassageReader


class EncoderIdentity(NamedTuple):
    """What a collection's token ids, encodings and index are made with."""

    digest: str
    bundle: str
    """Name and version of the bundle, for messages."""
    width: int
    """Of an encoding's rows; 0 for a bundle whose contexts are kept as token ids alone."""
    language: str = "en"
    """Of the stop words and stems of the index."""

    @classmethod
    def of(cls, bundle: Bundle) -> EncoderIdentity:
        """Returns what contexts added with `bundle` depend on."""
        m = bundle.manifest
        split = m.joint is None
        files = {f.name: f.sha256 for f in m.files if f.name == "tokenizer.json" or (split and f.name[:6] == "encode")}
        facts = [m.kind, m.max_context_tokens, files, *((m.context_position, m.sep_id) if split else ())]
        digest = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
        return cls(digest, f"{m.name} {m.version}", m.width if split else 0, m.language)


class TimedModel:
    """One run's model. Its first use, and all of `tokenize`, are for one thread; `encode` may be for another."""

    def __init__(self, load: Callable[[], PassageReader]) -> None:
        self._load = load
        self.load_s = self.tokenize_s = self.encode_s = 0.0

    @cached_property
    def _reading(self) -> PassageReader:
        began = time.perf_counter()
        reading = self._load()
        self.load_s = time.perf_counter() - began
        return reading

    @property
    def limits(self) -> Limits:
        """How long contexts are."""
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

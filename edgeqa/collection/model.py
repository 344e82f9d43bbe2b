"""The model as adding uses it: loaded when the first document needs it, and how long each of its parts took.

In: what loads it. Out: tokens, encodings, how long contexts are. Where nothing has changed, nothing asks it for these.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.contexts.context import Tokens
    from edgeqa.contexts.windows import Limits
    from edgeqa.models.readers import Encoding, Ids
    from edgeqa.models.reading import PassageReader


class Model:
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

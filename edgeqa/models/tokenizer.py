"""Text to token ids with the place and the word of each: the bundle's `tokenizer.json`, loaded once, never changed.

Offsets count code points of the text that was given (callers give NFC text). Nothing is truncated or padded by the
library, and special tokens written out in a text ("[SEP]") are read as the plain characters they are.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np

from edgeqa.contexts.context import Tokens
from edgeqa.errors import BundleGraphInvalid
from edgeqa.models.words import settled

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer as Library

    Ids = NDArray[np.int64]
    Offsets = NDArray[np.int32]

# A single text gains nothing from the library's thread pool, which also warns after a fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class Tokenizer:
    """Safe from many threads: the library's object is not changed after loading."""

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer as Library

        try:
            self._library = Library.from_file(str(file))
        except Exception as error:  # the library raises bare Exception for a file that it cannot read
            raise BundleGraphInvalid(file, f"not a tokenizer ({error})") from error
        self._library.no_truncation()
        self._library.no_padding()
        self._library.encode_special_tokens = True
        self._words_are_its = _cuts_words(self._library)

    def tokenize(self, text: str) -> Tokens:
        """Returns the tokens of `text`, however long."""
        encoding = self._library.encode(text, add_special_tokens=False)
        offsets = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
        ids = np.array(encoding.ids, dtype=np.int64)
        if self._words_are_its:
            return Tokens(ids, offsets, np.array(encoding.word_ids, dtype=np.int32))
        return Tokens(ids, *settled(text, offsets))

    def ids(self, text: str) -> Ids:
        """Returns the token ids of `text` alone: a question needs no places, and finding them takes twice as long."""
        (encoding,) = self._library.encode_batch_fast([text], add_special_tokens=False)
        return np.array(encoding.ids, dtype=np.int64)


def _cuts_words(library: Library) -> bool:
    """Tells whether the library cuts words as BERT does: at white space and around each punctuation mark."""
    cutter = json.loads(library.to_str()).get("pre_tokenizer") or {}
    return bool(cutter.get("type") == "BertPreTokenizer")

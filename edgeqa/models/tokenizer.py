"""Text to token ids with the place and the word of each: the bundle's `tokenizer.json`, loaded once, never changed.

Offsets count code points of the text that was given (callers give NFC text). The library truncates and pads nothing,
and reads special tokens that are written out in a text ("[SEP]") as plain characters.

BERT's tokenizer ends a token where a word ends. Byte-level BPE and SentencePiece put the space before a word into its
first token, give one character several tokens, leave tokens of nothing but white space, and keep a full stop in the
word before it. Here every family gets the same words, BERT's: runs of letters, digits and marks; each other character
alone; and, in scripts that do without spaces, each token.
"""

from __future__ import annotations

import json
import os
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from edgeqa import forking
from edgeqa.contexts import Tokens
from edgeqa.contexts.terms import UNSPACED_RANGES
from edgeqa.errors import BundleGraphInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer as Library

    Ids = NDArray[np.int64]
    Offsets = NDArray[np.int32]
    Words = NDArray[np.int32]

# A single text gains nothing from the library's thread pool, which also warns after a fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

_SPACE, _WORD, _ALONE, _UNSPACED = range(4)


class Tokenizer:
    """Safe from many threads: the library's object is not changed after loading."""

    def __init__(self, file: Path) -> None:
        self._library = load_library(file)
        self._library.encode_special_tokens = True
        self._words_are_its = _cuts_words(self._library)

    def tokenize(self, text: str) -> Tokens:
        """Returns the tokens of `text`, however long."""
        with forking.library_call():
            encoding = self._library.encode(text, add_special_tokens=False)
        offsets = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
        ids = np.array(encoding.ids, dtype=np.int64)
        if self._words_are_its:
            return Tokens(ids, offsets, np.array(encoding.word_ids, dtype=np.int32))
        return Tokens(ids, *place_words(text, offsets))

    def ids(self, text: str) -> Ids:
        """Returns the token ids of `text` alone: a question needs no places, and finding them takes twice as long."""
        with forking.library_call():
            (encoding,) = self._library.encode_batch_fast([text], add_special_tokens=False)
        return np.array(encoding.ids, dtype=np.int64)


def load_library(file: Path) -> Library:
    """Returns the library's own tokenizer, which cuts nothing off and adds no padding.

    Raises:
        BundleGraphInvalid: if the file is none.
    """
    with forking.library_call():
        from tokenizers import Tokenizer as Library

        try:
            library = Library.from_file(str(file))
        except Exception as error:  # the library raises bare Exception for a file that it cannot read
            raise BundleGraphInvalid(file, f"not a tokenizer ({error})") from error
    library.no_truncation()
    library.no_padding()
    return library


def _cuts_words(library: Library) -> bool:
    """Tells whether the library cuts words as BERT does: at white space and around each punctuation mark."""
    cutter = json.loads(library.to_str()).get("pre_tokenizer") or {}
    return bool(cutter.get("type") == "BertPreTokenizer")


def place_words(text: str, offsets: Offsets) -> tuple[Offsets, Words]:
    """Returns offsets without white space at their ends, int32 [tokens, 2], and the word of each token, int32 [tokens].

    A token of white space alone becomes an empty one where the next word begins, and part of it; at the end of the
    text, where the last word ends.
    """
    if not len(offsets):
        return offsets, np.zeros(0, np.int32)
    kinds = _kinds(text)
    length = len(text)
    places = np.arange(length + 1)
    written = np.append(kinds != _SPACE, True)
    # For each place: the next character that is no space, and the end of the last one before it.
    following = np.minimum.accumulate(np.where(written, places, length)[::-1])[::-1]
    ended = np.maximum.accumulate(np.concatenate(([0], np.where(written[:-1], places[1:], 0))))
    start, end = following[offsets[:, 0]], ended[offsets[:, 1]]
    start = np.minimum(np.maximum.accumulate(start), ended[-1])
    end = np.maximum(start, end)
    begins = _begins(np.append(kinds, _SPACE), start, end) & (start < ended[-1])
    begins[0] = True
    return np.stack([start, end], axis=1).astype(np.int32), (np.cumsum(begins) - 1).astype(np.int32)


def _begins(kinds: NDArray[np.int8], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns, bool [tokens], which tokens begin a word."""
    here, before = kinds[start], kinds[start - 1]  # of the text's first character, [-1] is the space after the last
    apart = (here != _WORD) | (before != _WORD)
    # It is not within one character, and not after a token of white space before the word.
    reached = np.maximum.accumulate(end)
    further = np.append(True, (start[1:] >= reached[:-1]) & (start[1:] > start[:-1]))
    begins: NDArray[np.bool_] = apart & further
    return begins


def _kinds(text: str) -> NDArray[np.int8]:
    """Returns the kind of each character of `text`, int8 [characters]."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    distinct, inverse = np.unique(codes, return_inverse=True)
    return np.fromiter(map(_kind, distinct.tolist()), np.int8, len(distinct))[inverse]


def _kind(code: int) -> int:
    character = chr(code)
    if character.isspace():
        return _SPACE
    if any(low <= code <= high for low, high in UNSPACED_RANGES):
        return _UNSPACED
    return _WORD if unicodedata.category(character)[0] in "LNM" else _ALONE

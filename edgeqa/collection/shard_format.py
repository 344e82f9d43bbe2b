"""Shard format 2, byte for byte: rows of a table, records and encodings, packed and unpacked. Pure.

    table.bin      one ROW of 64 bytes a context, by rising context id: where its record and its encoding lie
    records.bin    one record a context: HEAD, then arrays of its tokens, text, pieces, heading path, name and title
    encodings.bin  for the contexts that have one: int8 [tokens + 1, width], then float32 [tokens + 1], at ALIGNMENT

Texts are in UTF-8; those of a heading path each begin with their length in 4 bytes. A piece takes 8 bytes where its
place is near the context's own (NARROW), else 16. Records of format 1, which edgeqa 0.3 wrote, have neither pieces nor
headings, and a shorter head; they are read, and written no more.
All numbers are little-endian. Every row ends in the XXH3-64 of what stands before it in the row, and holds those of its
record and its encoding: against damage, not against forgery. A token takes 5 bytes in a record where its id is below
65,536 and its place is near that of the token before (NARROW), else up to 17. Importing it imports no numpy.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

import xxhash

from edgeqa.contexts import KINDS, Piece

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeqa.contexts.windows import Window


FORMAT = 2
FORMER = 1  # this format is read, too
TABLE, RECORDS, ENCODINGS = "table.bin", "records.bin", "encodings.bin"
DOCUMENTS, GONE, GONE_AGAIN, LATER = "documents.jsonl", "gone.bin", "gone-again.bin", "later.json"  # `catalogue_rows`
ALIGNMENT = 64
NO_ENCODING = (1 << 64) - 1

_ROW_BODY = Struct("<QIIQIIQQQ")
_ROW = Struct("<QIIQIIQQQQ")
ROW_BYTES = _ROW.size
CONTEXT_ID = Struct("<Q")  # a row begins with this
_HEADS = {FORMER: Struct("<Q8sIIII"), FORMAT: Struct("<Q8sIIIIIIB3x")}
_HEAD = _HEADS[FORMAT]
_LENGTH = Struct("<I")
_PIECE, _WIDE_PIECE = Struct("<HHi"), Struct("<IIQ")
_WIDE_IDS, _WIDE_PLACES, _WIDE_PIECES = 1, 2, 4  # bits of `form`
# A mark is one byte a token in the narrow form. Its bits tell how far the numbers of word and paragraph rise from the
# previous token, and whether the token means something by itself.
_WORD_MAX, _PARAGRAPH_SHIFT, _PARAGRAPH_MAX, _MEANINGFUL = 31, 5, 3, 128


class Row(NamedTuple):
    """A context in the table."""

    context_id: int
    document: int
    """Number of its document in the catalogue."""
    number: int
    """Its number among its document's contexts, counted from 1."""
    record_offset: int
    record_bytes: int
    tokens: int
    encoding_offset: int
    """NO_ENCODING for a context that is read from its token ids."""
    record_digest: int
    encoding_digest: int

    def pack(self) -> bytes:
        """Returns the row's ROW_BYTES bytes."""
        body = _ROW_BODY.pack(*self)
        return body + CONTEXT_ID.pack(xxhash.xxh3_64_intdigest(body))


def row_at(table: bytes, position: int) -> Row | None:
    """Returns the row at this position of a part of a table, or None if it is damaged."""
    offset = position * ROW_BYTES
    *fields, digest = _ROW.unpack_from(table, offset)
    sound = xxhash.xxh3_64_intdigest(table[offset : offset + _ROW_BODY.size]) == digest
    return Row(*fields) if sound else None


class TokenGroups(NamedTuple):
    """The facts about a context's tokens that decoding needs besides the logits."""

    words: NDArray[np.int32]
    """int32 [tokens]: number of the word, rising from 0"""
    paragraphs: NDArray[np.int32]
    """int32 [tokens]: number of the paragraph, rising from 0"""
    meaningful: NDArray[np.bool_]
    """bool [tokens]: whether it is more than punctuation"""

    @classmethod
    def of(cls, passage: Window) -> TokenGroups:
        """Returns those of a context that is being added."""
        return cls(passage.tokens.words, passage.paragraphs, passage.meaningful)


class Head(NamedTuple):
    """The head of a record."""

    start: int
    """Place of the context in its document, in characters."""
    tag: bytes
    text_bytes: int
    name_bytes: int
    title_bytes: int
    form: int
    pieces: int = 0
    heading_bytes: int = 0
    kind: int = 0


def pack_record(passage: Window, groups: TokenGroups, *, tag: str, name: str, title: str) -> bytes:
    """Returns a context's record.

    Args:
        passage: the context.
        groups: of its tokens.
        tag: of the shard that its document was added in.
        name: the document's.
        title: the document's; "" if it has none.
    """
    import numpy as np

    tokens = passage.tokens
    ids = tokens.ids
    form = 0 if not len(ids) or int(ids.max()) < 1 << 16 else _WIDE_IDS
    begins, ends = tokens.offsets[:, 0], tokens.offsets[:, 1]
    gaps, lengths = begins - np.concatenate(([0], ends[:-1])), ends - begins
    words, paragraphs = (np.diff(numbers, prepend=0) for numbers in (groups.words, groups.paragraphs))
    narrow = (
        _within(gaps, -128, 127)
        and _within(lengths, 0, 255)
        and _within(words, 0, _WORD_MAX)
        and _within(paragraphs, 0, _PARAGRAPH_MAX)
    )
    if narrow:
        marks = words | (paragraphs << _PARAGRAPH_SHIFT) | np.where(groups.meaningful, _MEANINGFUL, 0)
        places = [gaps.astype("<i1"), lengths.astype("<u1"), marks.astype("<u1")]
    else:
        form |= _WIDE_PLACES
        wide = (begins, lengths, groups.words, groups.paragraphs)
        places = [*(numbers.astype("<i4") for numbers in wide), groups.meaningful.astype("<u1")]
    text, name_in_utf8, title_in_utf8 = (part.encode() for part in (passage.text, name, title))
    sizes = (len(text), len(name_in_utf8), len(title_in_utf8))
    pieces = b""
    if passage.pieces:
        near = [(start, end, place - passage.start) for start, end, place in passage.pieces]
        if all(0 <= start <= end < 1 << 16 and -(1 << 31) <= place < 1 << 31 for start, end, place in near):
            pieces = b"".join(_PIECE.pack(*piece) for piece in near)
        else:
            form |= _WIDE_PIECES
            pieces = b"".join(_WIDE_PIECE.pack(*piece) for piece in passage.pieces)
    heading = b"".join(_LENGTH.pack(len(part)) + part for part in (part.encode() for part in passage.heading))
    kind = KINDS.index(passage.kind)
    head = _HEAD.pack(passage.start, tag.encode(), *sizes, form, len(passage.pieces), len(heading), kind)
    arrays = [ids.astype("<u4" if form & _WIDE_IDS else "<u2"), *places]
    return b"".join([head, *(array.tobytes() for array in arrays), text, pieces, heading, name_in_utf8, title_in_utf8])


def record_again(raw: bytes) -> bytes:
    """Returns a record of format 1 as one of this format."""
    former = _HEADS[FORMER]
    return _HEAD.pack(*former.unpack_from(raw), 0, 0, 0) + raw[former.size :]


def renamed(raw: bytes, tokens: int, name: str) -> bytes:
    """Returns a record of this format with another name of its document."""
    record = Record(raw, tokens)
    begin, end = record.name_place
    head = record.head._replace(name_bytes=len(name.encode()))
    return _HEAD.pack(*head) + raw[_HEAD.size : begin] + name.encode() + raw[end:]


def _within(numbers: NDArray[np.int32], least: int, most: int) -> bool:
    return not len(numbers) or (int(numbers.min()) >= least and int(numbers.max()) <= most)


class Record:
    """A record, unpacked as far as it is asked for."""

    def __init__(self, raw: bytes, tokens: int, format: int = FORMAT) -> None:
        self._raw = raw
        self._tokens = tokens
        head = _HEADS[format]
        self.head = Head(*head.unpack_from(raw))
        form = self.head.form
        self._ids_begin = head.size
        self._ids_end = head.size + tokens * (4 if form & _WIDE_IDS else 2)
        self._text_begin = self._ids_end + tokens * (17 if form & _WIDE_PLACES else 3)
        self._text_end = self._text_begin + self.head.text_bytes
        self._piece = _WIDE_PIECE if form & _WIDE_PIECES else _PIECE
        self._pieces_end = self._text_end + self.head.pieces * self._piece.size
        self._name_begin = self._pieces_end + self.head.heading_bytes
        self._name_end = self._name_begin + self.head.name_bytes

    @property
    def text(self) -> str:
        """The context's NFC text."""
        return self._raw[self._text_begin : self._text_end].decode()

    @property
    def name(self) -> str:
        """The document's name."""
        return self._raw[self._name_begin : self._name_end].decode()

    @property
    def name_place(self) -> tuple[int, int]:
        """Where in the record the document's name begins and ends."""
        return self._name_begin, self._name_end

    @property
    def title(self) -> str:
        """The document's title."""
        return self._raw[self._name_end :].decode()

    @property
    def is_complete(self) -> bool:
        """Whether it ends where its head says."""
        return self._name_end + self.head.title_bytes == len(self._raw)

    @property
    def kind(self) -> str:
        """The kind of passage that the context is, one of `contexts.KINDS`."""
        return KINDS[self.head.kind]

    @property
    def heading(self) -> tuple[str, ...]:
        """The headings that the context stands under, outermost first."""
        found, place = [], self._pieces_end
        while place < self._name_begin:
            (size_bytes,) = _LENGTH.unpack_from(self._raw, place)
            place += _LENGTH.size + size_bytes
            found.append(self._raw[place - size_bytes : place].decode())
        return tuple(found)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Where what of the text stands in the document; empty where all of it stands there as it is."""
        base = 0 if self._piece is _WIDE_PIECE else self.head.start
        raw = self._raw[self._text_end : self._pieces_end]
        return tuple(Piece(start, end, base + place) for start, end, place in self._piece.iter_unpack(raw))

    @property
    def tag(self) -> str:
        """Tag of the shard that the document was added in."""
        return self.head.tag.rstrip(b"\0").decode()

    @property
    def content(self) -> bytes:
        """The bytes that stand for tokens, text and pieces, without what they are called and where they stand.

        They are the same for the same context elsewhere.
        """
        content = self._raw[self._ids_begin : self._pieces_end]
        return content + bytes((self.head.kind,)) if self.head.kind else content

    def ids(self) -> NDArray[np.int64]:
        """Returns the token ids, int64 [tokens]."""
        import numpy as np

        kind = "<u4" if self.head.form & _WIDE_IDS else "<u2"
        return np.frombuffer(self._raw, kind, self._tokens, self._ids_begin).astype(np.int64)

    def offsets(self) -> NDArray[np.int32]:
        """Returns the tokens' places in the text, int32 [tokens, 2]."""
        import numpy as np

        offsets = np.empty((self._tokens, 2), np.int32)
        if self.head.form & _WIDE_PLACES:
            offsets[:, 0], lengths = self._wide(0), self._wide(1)
        else:
            lengths = np.frombuffer(self._raw, "<u1", self._tokens, self._ids_end + self._tokens).astype(np.int32)
            gaps = np.frombuffer(self._raw, "<i1", self._tokens, self._ids_end)
            np.cumsum(gaps + lengths, out=offsets[:, 1])
            np.subtract(offsets[:, 1], lengths, out=offsets[:, 0])
            return offsets
        np.add(offsets[:, 0], lengths, out=offsets[:, 1])
        return offsets

    def groups(self) -> TokenGroups:
        """Returns the tokens' words and paragraphs, and which tokens are meaningful, which decoding a span needs."""
        import numpy as np

        if self.head.form & _WIDE_PLACES:
            meaningful = np.frombuffer(self._raw, "<u1", self._tokens, self._ids_end + 16 * self._tokens)
            return TokenGroups(self._wide(2), self._wide(3), meaningful.astype(np.bool_))
        marks = np.frombuffer(self._raw, "<u1", self._tokens, self._ids_end + 2 * self._tokens)
        words = np.cumsum(marks & _WORD_MAX, dtype=np.int32)
        paragraphs = np.cumsum((marks >> _PARAGRAPH_SHIFT) & _PARAGRAPH_MAX, dtype=np.int32)
        return TokenGroups(words, paragraphs, marks >= _MEANINGFUL)

    def _wide(self, which: int) -> NDArray[np.int32]:
        import numpy as np

        found = np.frombuffer(self._raw, "<i4", self._tokens, self._ids_end + 4 * self._tokens * which)
        return found.astype(np.int32)


def pack_encoding(hidden: NDArray[np.int8], scale: NDArray[np.float32]) -> bytes:
    """Returns an encoding's bytes."""
    return hidden.astype("<i1", copy=False).tobytes() + scale.astype("<f4", copy=False).tobytes()


def encoding_bytes(tokens: int, width: int) -> int:
    """Returns the size of the encoding of so many tokens; the separator adds one more row."""
    return (tokens + 1) * (width + 4)


def unpack_encoding(raw: bytes, tokens: int, width: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Returns the encoding in its bytes, int8 [tokens + 1, width] with one scale a row, which is not copied."""
    import numpy as np

    rows = tokens + 1
    hidden = np.frombuffer(raw, "<i1", rows * width).reshape(rows, width)
    return hidden, np.frombuffer(raw, "<f4", rows, rows * width).reshape(rows, 1)

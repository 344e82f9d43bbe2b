"""Fills collections for tests through the writer, with the real tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

from edgeqa.collection import writer as writing
from edgeqa.collection.shard_format import TokenGroups
from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.collection.writer import Writer
from edgeqa.contexts.windows import Limits, all_windows, meaningful
from edgeqa.formats.blocks import Block
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from edgeqa.contexts.windows import Window
    from edgeqa.models.readers import Encoding

LIMITS = Limits(whole_tokens=40, window_tokens=128)
WINDOW = LIMITS.window_tokens
TOKENIZER = Tokenizer(DEFAULT_BUNDLE / "tokenizer.json")
ENCODER = EncoderIdentity.of(Bundle.load())


class ListedIndex:
    """A route index that is a dictionary in memory, as its commits leave it."""

    def __init__(self, _directory: Path, _language: str) -> None:
        _directory.mkdir(exist_ok=True)
        (_directory / "meta.json").touch()
        self.committed: dict[int, tuple[str, str]] = {}
        self._held: dict[int, tuple[str, str]] = {}

    def add(self, context_id: int, text: str, title: str) -> None:
        assert context_id not in self._held
        self._held[context_id] = (text, title)

    def delete(self, first_id: int, after_id: int) -> None:
        for context_id in [c for c in self._held if first_id <= c < after_id]:
            del self._held[context_id]

    def commit(self) -> None:
        self.committed = dict(self._held)

    def close(self) -> None:
        self._held = dict(self.committed)


class Spaced(str):
    """A text put together from passages, which leave out white space between them: equal where the words are."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # as what is equal has to have the same

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.split() == str(other).split()


def open_writer(
    directory: Path,
    encoder: EncoderIdentity | None = ENCODER,
    *,
    index: Callable[[Path, str], ListedIndex] = ListedIndex,
    anew: bool = False,
) -> Writer:
    with patch.object(writing, "IndexWriter", index):
        return Writer(directory, encoder, anew=anew)


def groups(passage: Window) -> TokenGroups:
    return TokenGroups(passage.tokens.words, passage.paragraphs, meaningful(passage.text, passage.tokens.offsets))


def passages_of(text: str) -> list[Window]:
    return list(all_windows([Block(text)], TOKENIZER.tokenize, LIMITS))


def put(
    writer: Writer,
    name: str,
    texts: Iterable[tuple[str, str]],
    encode: Callable[[Window], Encoding | None] = lambda _: None,
    *,
    digest: bytes = b"1",
) -> None:
    """Puts a source of (suffix, text) documents."""
    writer.begin_source(f"/{name}".encode(), name, digest, WINDOW)
    for suffix, text in texts:
        put_document(writer, suffix, text, encode)
    writer.end_source()


def put_document(
    writer: Writer, suffix: str, text: str, encode: Callable[[Window], Encoding | None] = lambda _: None
) -> None:
    writer.begin_document(suffix, f"title of {suffix}" if suffix else "")
    for passage in passages_of(text):
        writer.add(passage, groups(passage), encode(passage))
    writer.end_document()


def fill(directory: Path, sources: Mapping[str, str]) -> None:
    """Makes a collection of whole texts."""
    with open_writer(directory) as writer:
        for name, text in sources.items():
            put(writer, name, [("", text)])
        writer.commit()


def long_text(words: int, word: str = "pump") -> str:
    return " ".join(f"The {word} {n} runs at {n * 7} metres. " + ("\n\n" if n % 9 == 0 else "") for n in range(words))

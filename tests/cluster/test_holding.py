"""Tests what a worker has of its slots: documents go in, passages have addresses, and all can be made again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from edgeqa.asking.documents import from_text
from edgeqa.cluster.adding import Splitter
from edgeqa.cluster.documents import HeldPassage, StoredDocument, _packed
from edgeqa.cluster.holding import Held, Holding
from edgeqa.collection.naming import Address
from edgeqa.contexts.windows import all_windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgeqa import runtime
    from edgeqa.models.bundle import Bundle

    Document = tuple[str, StoredDocument, list[HeldPassage]]
    Make = Callable[[str, str, int], Document]

OWLS = "The barn owl hunts voles at night.\n\nIts nest is in church towers."


@pytest.fixture
def make(bundle: Bundle) -> Make:
    """Makes a document as it comes from Valkey."""
    splitter = Splitter(bundle)

    def made(name: str, text: str, first: int) -> Document:
        (blocks,) = from_text(text).records()
        windows = list(all_windows(blocks, splitter.tokenizer.tokenize, splitter.limits))
        passages = [
            HeldPassage(_packed(window, "ABCD", "A title"), Address(name, "ABCD", first + place), "A title")
            for place, window in enumerate(windows)
        ]
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return "ABCD", StoredDocument(name, "A title", name, first, len(windows), digest), passages

    return made


@pytest.fixture
def holding(tmp_path: Path, bundle: Bundle, qa: runtime.EdgeQA) -> Iterator[Holding]:
    opened = Holding(tmp_path / "store", bundle, lambda: qa.equipment.reading, None)
    yield opened
    opened.close()


@pytest.fixture
def again(tmp_path: Path, bundle: Bundle, qa: runtime.EdgeQA) -> Callable[[], Holding]:
    """Opens the same once more, after a worker has ended."""
    return lambda: Holding(tmp_path / "store", bundle, lambda: qa.equipment.reading, None)


def addresses(holding: Holding, question: str) -> list[str]:
    return [str(address) for address, _ in holding.search(question, 5)]


def test_passages_are_found_at_their_addresses(holding: Holding, make: Make) -> None:
    document = make("animals/owls.txt", OWLS, 7)
    holding.apply([document, make("animals/whales.txt", "The blue whale feeds on krill.", 40)], [], encode=False)
    assert addresses(holding, "What does the blue whale feed on?") == ["animals/whales.txt:{ABCD}:40"]
    for passage in document[2]:
        context = holding.context(passage.address)
        assert context is not None
        assert (context.text, context.digest, context.title) == (passage.text, passage.digest, "A title")
        assert context.encoding is None
    assert holding.context(Address("animals/owls.txt", "ABCD", 6)) is None
    assert holding.context(Address("animals/owls.txt", "EFGH", 7)) is None
    assert holding.counts.contexts == len(document[2]) + 1


def test_a_document_takes_the_place_of_the_one_before(holding: Holding, make: Make) -> None:
    holding.apply([make("a.txt", "The cat is called Tom.", 1)], [], encode=False)
    holding.apply([make("a.txt", "The cat is called Felix.", 2)], [], encode=False)
    assert addresses(holding, "cat called Tom Felix") == ["a.txt:{ABCD}:2"]
    assert (holding.counts.contexts, holding.counts.texts["tom"], holding.counts.texts["felix"]) == (1, 0, 1)
    holding.apply([], [("ABCD", "a.txt")], encode=False)
    assert addresses(holding, "cat") == []
    assert not holding.documents
    assert holding.counts.contexts == 0


def test_encodings_are_made_later(holding: Holding, make: Make) -> None:
    document = make("animals/owls.txt", OWLS, 1)
    holding.apply([document], [], encode=False)
    before = holding.counts.contexts
    assert holding.encode_some(100)
    assert not holding.encode_some(100)
    for passage in document[2]:
        context = holding.context(passage.address)
        assert context is not None
        assert context.encoding is not None
    assert holding.counts.contexts == before


def test_a_long_document_is_encoded_in_steps_whatever_comes_meanwhile(holding: Holding, make: Make) -> None:
    long = make("long.txt", "\n\n".join(f"Tower {n} was built of stone in {1700 + n}." * 12 for n in range(40)), 1)
    assert len(long[2]) > 8
    holding.apply([long], [], encode=False)
    for number in range(3):
        assert holding.encode_some(2)
        assert all((found := holding.context(one.address)) is not None and not found.encoding for one in long[2])
        holding.apply([make(f"short{number}.txt", f"The cat {number} is called Tom.", 100 + number)], [], encode=True)
    while holding.encode_some(2):
        pass
    for document in (long, make("short1.txt", "The cat 1 is called Tom.", 101)):
        for passage in document[2]:
            context = holding.context(passage.address)
            assert context is not None
            assert context.text == passage.text
            assert context.encoding is not None
            assert context.encoding.hidden.shape[0] == len(passage.tokens) + 1
    holding.apply([make("other.txt", "A dog barks.", 200)], [], encode=False)
    assert holding.encode_some(0)
    holding.apply([], [("ABCD", "other.txt")], encode=False)
    assert not holding.encode_some(2)


class Walked(dict[str, Held]):
    """Documents that note how often all of them are gone through."""

    times = 0

    def items(self) -> Any:  # noqa: ANN401 - as of a dict
        self.times += 1
        return super().items()

    def __iter__(self) -> Iterator[str]:
        self.times += 1
        return super().__iter__()


def test_documents_that_have_encodings_are_not_gone_through_again(
    holding: Holding, make: Make, again: Callable[[], Holding]
) -> None:
    holding.apply([make("old.txt", OWLS, 1), make("gone.txt", "A cat.", 50)], [], encode=True)
    holding.apply([make("changed.txt", "A dog barks.", 60)], [], encode=False)
    holding.apply([make("bare.txt", "The blue whale feeds on krill.", 70)], [("ABCD", "gone.txt")], encode=False)
    holding.apply([make("changed.txt", "A dog sleeps.", 80)], [], encode=True)
    holding.close()
    other = again()
    walked = other.documents["ABCD"] = Walked(other.documents["ABCD"])
    assert [name for _, name, _ in other._to_encode()] == ["bare.txt"]
    assert walked.times == 0
    while other.encode_some(1):
        pass
    walked.times = 0
    assert not other.encode_some(1)
    assert walked.times == 0
    assert all(one.is_encoded for one in walked.values())
    other.close()


def test_it_is_there_when_the_worker_comes_back(holding: Holding, make: Make, again: Callable[[], Holding]) -> None:
    holding.apply([make("animals/owls.txt", OWLS, 3)], [], encode=True)
    documents, contexts, terms = holding.documents, holding.counts.contexts, holding.counts.texts
    holding.close()
    other = again()
    assert other.documents == documents
    assert (other.counts.contexts, +other.counts.texts) == (contexts, +terms)
    other.close()


@pytest.mark.parametrize("damage", ["route/meta.json", "catalogue.sqlite", "shards"])
def test_what_is_damaged_is_begun_anew(
    damage: str, holding: Holding, make: Make, again: Callable[[], Holding], tmp_path: Path
) -> None:
    holding.apply([make("animals/owls.txt", OWLS, 3)], [], encode=False)
    holding.close()
    place = tmp_path / "store" / damage
    for file in list(place.rglob("records.bin")) if place.is_dir() else [place]:
        file.write_bytes(b"nonsense")
    other = again()
    held = make("animals/owls.txt", OWLS, 3)
    if not other.documents:
        other.apply([held], [], encode=False)
    assert addresses(other, "What does the barn owl hunt?")[:1] == ["animals/owls.txt:{ABCD}:3"]
    assert other.counts.contexts == len(held[2])
    other.close()

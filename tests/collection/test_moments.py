"""Tests a collection that changes while it is asked: an answer is of one moment, and remembered only for that one."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from library import DOCUMENTS, add

from edgeqa import collection, runtime
from edgeqa.asking import surroundings
from edgeqa.collection import naming
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import load_snapshot
from edgeqa.collection.damage import note_route
from edgeqa.collection.errors import RouteDamaged
from edgeqa.collection.index import Index, Ranges
from edgeqa.collection.snapshot import Snapshot
from edgeqa.collection.writer import Writer, _IndexKeeper
from edgeqa.contexts.search import Hit, Hits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.collection.catalogue_rows import DocumentRow
    from edgeqa.runtime import EdgeQA

QUESTION = "Who designed the machine?"
WITHIN_S = 60
DULL = {"tea.txt": "Tea is served at four."}
TEA = {"tea.txt": "The machine for tea was designed by Theodora Brewster, who designed each machine of that kind."}


@pytest.fixture
def filled() -> Iterator[EdgeQA]:
    with runtime.open() as opened:
        add(opened, DOCUMENTS)
        yield opened


def add_when_the_index_is_opened(qa: EdgeQA, monkeypatch: pytest.MonkeyPatch, documents: dict[str, str]) -> None:
    """Has somebody add documents after the collection's digest was read, and before its index is."""
    opened: list[Path] = []
    open_index = Index.__init__

    def meddled(self: Index, directory: Path, *others: Any, **options: Any) -> None:  # noqa: ANN401 - as it is called
        opened.append(directory)
        if len(opened) == 1:
            add(qa, documents)
        open_index(self, directory, *others, **options)

    monkeypatch.setattr(Index, "__init__", meddled)


def test_the_index_is_of_the_same_moment_as_the_collection(filled: EdgeQA, monkeypatch: pytest.MonkeyPatch) -> None:
    add_when_the_index_is_opened(filled, monkeypatch, TEA)
    held, index = filled._equipment.scope.routed()
    assert held.digest == load_snapshot(collection.directory()).digest
    assert held.contexts == index.contexts == len(DOCUMENTS) + 1
    assert filled.ask(QUESTION).source == "tea.txt"


def test_what_is_shown_stands_below_its_own_headings(filled: EdgeQA, tmp_path: Path) -> None:
    file = tmp_path / "parts.md"
    file.write_text("# Parts\n\n## Pumps\n\nThe pump is red.\n\n## Valves\n\nThe valve is blue.\n", encoding="utf-8")
    filled.add(file)
    text = filled.show(file).text
    for wanted, below in (("red", ("Parts", "Pumps")), ("blue", ("Parts", "Valves"))):
        start = text.index(wanted)
        for is_of_file in (True, False):
            name = str(file) if is_of_file else filled.list()[-1].document
            shown = filled.show(name, (start, start + len(wanted)), files=is_of_file)
            assert shown.text[slice(*shown.marked)] == wanted
            assert shown.heading == below


@pytest.mark.parametrize("documents", [TEA, DULL])
def test_an_answer_of_a_later_moment_is_not_remembered_for_the_earlier_one(
    filled: EdgeQA, monkeypatch: pytest.MonkeyPatch, documents: dict[str, str]
) -> None:
    before = load_snapshot(collection.directory()).digest
    add_when_the_index_is_opened(filled, monkeypatch, documents)
    filled.ask(QUESTION)
    filled.remove("tea.txt")
    assert load_snapshot(collection.directory()).digest == before
    with runtime.open() as other:  # nothing is at hand
        found = other.ask(QUESTION)
        assert (found.source, found.cached) == ("engine.txt", False)
        assert other.ask(QUESTION).cached


def test_an_answer_that_does_not_fit_the_collection_word_for_word_is_read_again(filled: EdgeQA) -> None:
    right = filled.ask(QUESTION, top=2, force=True)
    assert len(right.candidates) == 2
    key, cache = filled.key(QUESTION, top=2, force=True), filled._equipment.cache
    for span in (0, 1):
        for at, wrong in ((1, "x"), (2, 0), (0, 1 << 40)):
            record = cache.get(key)
            record["spans"][span][at] = wrong
            cache.put(key, record)
            again = filled.ask(QUESTION, top=2, force=True)
            assert (again.cached, again.candidates) == (False, right.candidates)
            assert filled.ask(QUESTION, top=2, force=True).cached


def test_a_context_that_the_index_still_names_and_that_is_gone_is_passed_over(
    filled: EdgeQA, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Index.search

    def with_one_that_is_gone(self: Index, question: str, most: int, within: Ranges | None = None) -> Hits:
        found = search(self, question, most, within)
        found.best.insert(0, Hit(1 << 40, found.best[0].score))
        return found

    monkeypatch.setattr(Index, "search", with_one_that_is_gone)
    assert filled.ask(QUESTION).source == "engine.txt"
    assert filled.closest(QUESTION)[0].document == "engine.txt"


def test_a_question_that_shares_nothing_is_not_asked_of_what_was_removed(filled: EdgeQA) -> None:
    filled.remove("engine.txt")
    held = filled._equipment.scope.collection()
    assert len(list(held.contexts_from(0))) == held.contexts + 1  # it is still in its shard
    found = filled.ask("What is it?", force=True, most_contexts=8, top=8)
    assert found.contexts == held.contexts
    assert "engine.txt" not in {candidate.source for candidate in found.candidates}


def test_a_document_that_is_replaced_while_it_is_looked_up_is_never_said_to_be_gone(
    filled: EdgeQA, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, is_named, is_replaced = naming.document_named, threading.Event(), threading.Event()

    def held(catalogue: Catalogue, name: str) -> DocumentRow:
        row = named(catalogue, name)
        is_named.set()
        assert is_replaced.wait(WITHIN_S)
        return row

    monkeypatch.setattr(surroundings, "document_named", held)
    add(filled, TEA)
    with ThreadPoolExecutor(1) as reader:
        shown = reader.submit(filled.show, "tea.txt", files=False)
        assert is_named.wait(WITHIN_S)
        add(filled, DULL)  # what was there is merged away at once: it was all that its shard had
        is_replaced.set()
        assert shown.result(WITHIN_S).text == DULL["tea.txt"]


@pytest.mark.parametrize("step", ["_publish", "_catch_up", "indexed", "store"])
@pytest.mark.parametrize("lost", [False, True], ids=["index kept", "index lost"])
@pytest.mark.parametrize("documents", [DULL, {}], ids=["one more", "no more"])
def test_who_asks_at_any_step_of_a_writer_is_told_nothing_that_stays_wrong(
    filled: EdgeQA, monkeypatch: pytest.MonkeyPatch, step: str, documents: dict[str, str], *, lost: bool
) -> None:
    if lost:  # so that the writer makes it anew
        note_route(collection.directory(), RouteDamaged(collection.directory(), "for this test"))
    owner: Any = {"_publish": Writer, "_catch_up": _IndexKeeper, "indexed": Catalogue, "store": Snapshot}[step]
    done, steps = getattr(owner, step), []

    def asked_first(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 - as it is called
        steps.append(step)
        with runtime.open() as other, contextlib.suppress(RouteDamaged):  # which has nothing of it in memory
            other.ask(QUESTION)
        with contextlib.suppress(RouteDamaged):
            filled.ask(QUESTION)
        return done(*arguments, **options)

    with runtime.open() as writing, monkeypatch.context() as patched:
        patched.setattr(owner, step, asked_first)
        add(writing, documents)
    assert steps or (step == "indexed" and not lost and not documents)  # nothing is lacking then
    with runtime.open() as later:
        for qa in (filled, later):
            held, index = qa._equipment.scope.routed()
            assert held.contexts == index.contexts == len(DOCUMENTS | documents)
            assert qa.ask(QUESTION).source == "engine.txt"

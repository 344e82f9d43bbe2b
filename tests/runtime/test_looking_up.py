"""Tests what a server is made of: looking up without reading, other collections, asyncio, unloading, counting."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import edgeqa
from edgeqa import errors, runtime
from edgeqa.asking.named import AnswerNameInvalid
from edgeqa.collection import collection as reading
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.errors import ContextGone
from edgeqa.models.reading import PassageReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.runtime import EdgeQA

QUESTION = "Who designed the machine?"
TEXT = "The machine itself was designed by Charles Babbage and never finished."
OTHER = "The bridge over the river was built by Ada Stone in 1932."


@pytest.fixture
def fresh() -> Iterator[EdgeQA]:
    with runtime.open() as opened:
        yield opened


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "machine.txt").write_text(TEXT)
    (folder / "bridge.txt").write_text(OTHER)
    return folder


@pytest.fixture
def never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*_: object) -> None:
        pytest.fail("the model was loaded")

    monkeypatch.setattr(PassageReader, "__init__", loaded)


def test_what_is_not_remembered_is_none_and_nothing_is_read_for_it(fresh: EdgeQA, never_read: None) -> None:  # noqa: ARG001
    assert fresh.remembered(QUESTION, TEXT) is None
    assert fresh.remembered(QUESTION, TEXT, at_hand=True) is None
    assert not fresh.counters().model_loaded


def test_what_was_read_is_remembered_and_at_hand(fresh: EdgeQA) -> None:
    first = fresh.ask(QUESTION, TEXT)
    assert fresh.remembered(QUESTION, TEXT, at_hand=True) == replace(first, cached=True)
    assert fresh.remembered(QUESTION, TEXT, top=2) is None
    assert fresh.remembered("Who designed the bridge?", TEXT) is None


def test_what_is_no_question_is_refused_also_where_answers_are_at_hand(fresh: EdgeQA) -> None:
    fresh.ask(QUESTION, TEXT)
    no_question: Any = [QUESTION]
    for look in (fresh.ask, fresh.remembered):
        with pytest.raises(errors.QuestionType):
            look(no_question, TEXT)


def test_what_another_process_has_read_is_remembered_but_not_at_hand(files: Path) -> None:
    with runtime.open() as first:
        first.add(files)
        name = f"bertqa{{{first.list()[1].tag}}}_{first.closest(QUESTION)[0].address}_{QUESTION}"
        of_texts, of_collection, of_name = first.ask(QUESTION, TEXT), first.ask(QUESTION), first.get(name)
    with runtime.open() as second:
        for _ in range(2):
            for expected, found in (
                (of_texts, second.remembered(QUESTION, TEXT)),
                (of_collection, second.remembered(QUESTION)),
                (of_name, second.remembered_name(name)),
            ):
                assert found is not None
                assert replace(found, cached=False) == replace(expected, cached=False)
        assert second.remembered(QUESTION, at_hand=True) == of_collection_again(of_collection)
        assert second.counters() == second.counters()._replace(read=0, looked_up=3, model_loaded=False)


def of_collection_again(answer: edgeqa.Answer) -> edgeqa.Answer:
    return replace(answer, cached=True)


def test_what_is_at_hand_is_found_without_the_catalogue(
    fresh: EdgeQA, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.add(files)
    name = f"bertqa{{{fresh.list()[0].tag}}}_{fresh.closest(QUESTION)[0].address}_{QUESTION}"
    asked, named = fresh.ask(QUESTION), fresh.get(name)

    def opened(*_: object) -> None:
        pytest.fail("SQLite was opened")

    monkeypatch.setattr(Catalogue, "read", opened)
    assert fresh.remembered(QUESTION) == replace(asked, cached=True)
    assert fresh.remembered_name(name) == replace(named, cached=True)


def test_a_name_is_looked_up_without_reading(fresh: EdgeQA, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.add(files)
    address = fresh.closest(QUESTION)[0].address
    name = f"bertqa{{{fresh.list()[0].tag}}}_{address}_{QUESTION}"
    with monkeypatch.context() as patch:
        patch.setattr(PassageReader, "question", lambda *_: pytest.fail("it was read"))
        assert fresh.remembered_name(name) is None
        with pytest.raises(AnswerNameInvalid):
            fresh.remembered_name("nonsense")
        with pytest.raises(ContextGone):
            fresh.remembered_name(name.replace(f"{address}", f"gone{address}"))
    expected = fresh.get(name)
    assert fresh.remembered_name(name) == replace(expected, cached=True)


def test_what_a_name_says_can_be_forgotten(fresh: EdgeQA, files: Path) -> None:
    fresh.add(files)
    name = f"bertqa{{{fresh.list()[0].tag}}}_{fresh.closest(QUESTION)[0].address}_{QUESTION}"
    assert not fresh.forget_name(name)
    fresh.get(name)
    assert fresh.remembered_name(name, at_hand=True) is not None
    assert fresh.forget_name(name)
    assert fresh.remembered_name(name, at_hand=True) is None
    assert fresh.remembered_name(name) is None
    with pytest.raises(AnswerNameInvalid):
        fresh.forget_name("nonsense")


def test_a_change_of_this_process_is_seen_at_once_and_anothers_soon(
    fresh: EdgeQA, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "RECENT_S", 1e9)
    more = tmp_path / "more.txt"
    for number in range(2):
        fresh.add(files)
        fresh.ask(QUESTION)
        address = fresh.closest(QUESTION)[0].address
        assert address is not None
        name = f"bertqa{{{address.split('{')[1].split('}')[0]}}}_{address}_{QUESTION}"
        fresh.get(name)
        assert fresh.remembered(QUESTION, at_hand=True) is not None
        assert fresh.remembered_name(name, at_hand=True) is not None
        more.write_text(f"The lamp {number} was designed by Grace Lee.")
        fresh.add(more)
        assert fresh.remembered(QUESTION, at_hand=True) is None
        assert fresh.remembered_name(name, at_hand=True) is None
    fresh.ask(QUESTION)
    assert fresh.remembered(QUESTION, at_hand=True) is not None
    subprocess.run(
        [sys.executable, "-m", "edgeqa", "remove", str(files / "bridge.txt")], check=True, capture_output=True
    )
    assert fresh.remembered(QUESTION, at_hand=True) is not None  # within RECENT_S, which is an eternity here
    assert fresh.remembered(QUESTION) is None
    monkeypatch.setattr(reading, "RECENT_S", 0.0)
    fresh._equipment.scope._recent = (0.0, 0, None)  # it is over
    assert fresh.remembered(QUESTION, at_hand=True) is None


def test_nothing_is_remembered_of_a_collection_that_has_changed(fresh: EdgeQA, files: Path, tmp_path: Path) -> None:
    fresh.add(files)
    fresh.ask(QUESTION)
    assert fresh.remembered(QUESTION, at_hand=True) is not None
    (tmp_path / "more.txt").write_text("The lamp was designed by Grace Lee.")
    fresh.add(tmp_path / "more.txt")
    assert fresh.remembered(QUESTION, at_hand=True) is None
    assert fresh.remembered(QUESTION) is None


def test_two_collections_share_one_model(fresh: EdgeQA, files: Path) -> None:
    other = fresh.with_collection("other")
    fresh.add(files / "machine.txt")
    other.add(files / "bridge.txt")
    assert fresh.ask("Who built the bridge?").text is None
    assert other.ask("Who built the bridge over the river?").text == "Ada Stone"
    assert fresh._equipment.reading is other._equipment.reading
    assert other.counters().model_loaded
    other.unload()
    assert not fresh.counters().model_loaded
    other.close()
    assert fresh.ask(QUESTION).text == "Charles Babbage"
    with pytest.raises(errors.Closed):
        other.ask("Who?")


def test_a_runtime_beside_a_closed_one_is_closed(files: Path) -> None:
    with runtime.open() as first:
        other = first.with_collection("other")
        other.add(files)
    with pytest.raises(errors.Closed):
        other.ask(QUESTION)


def test_the_model_is_let_go_and_loaded_again(fresh: EdgeQA) -> None:
    first = fresh.ask(QUESTION, TEXT)
    fresh.unload()
    fresh.unload()
    assert not fresh.counters().model_loaded
    assert fresh.ask(QUESTION, TEXT).cached
    assert not fresh.counters().model_loaded
    again = fresh.ask(QUESTION, TEXT, refresh=True)
    assert again == first
    counters = fresh.counters()
    assert (counters.model_loaded, counters.read, counters.without_answer) == (True, 2, 0)
    assert counters.read_s["total"] >= counters.read_s["load"] > 0


def test_who_looks_up_does_not_wait_for_the_model_to_load(fresh: EdgeQA, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.ask(QUESTION, TEXT)
    fresh.unload()
    begun, go_on = threading.Event(), threading.Event()
    load = PassageReader.__init__

    def slowly(*arguments: object) -> None:
        begun.set()
        assert go_on.wait(60)
        load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(PassageReader, "__init__", slowly)
    reader = threading.Thread(target=fresh.ask, args=("Who built the bridge?", OTHER))
    reader.start()
    try:
        assert begun.wait(60)
        assert fresh.remembered(QUESTION, TEXT) is not None
        assert fresh.remembered("Who?", OTHER) is None  # looked for in the store
    finally:
        go_on.set()
        reader.join()


def test_asyncio_gets_what_is_remembered_without_a_thread(files: Path) -> None:
    with runtime.open() as first:
        first.add(files)
        first.ask(QUESTION)
        first.ask(QUESTION, TEXT)

    async def work() -> None:
        async with edgeqa.aopen() as qa:
            threads = threading.active_count()
            assert (await qa.ask(QUESTION)).text == "Charles Babbage"
            assert (await qa.ask(QUESTION, TEXT)).cached
            assert threading.active_count() == threads
            assert not qa.counters().model_loaded

    asyncio.run(work())


def test_asyncio_reads_adds_and_gets(files: Path) -> None:
    async def work() -> None:
        async with edgeqa.aopen(collection="notes") as qa:
            assert (await qa.add(files)).files_added == 2
            answers = await asyncio.gather(*(qa.ask(QUESTION, refresh=refresh) for refresh in (True, False, False)))
            assert {answer.text for answer in answers} == {"Charles Babbage"}
            address = (await qa.closest(QUESTION))[0].address
            tag = (await qa.list())[0].tag
            for _ in range(2):
                named = await qa.get(f"bertqa{{{tag}}}_{address}_{QUESTION}")
                assert named.text == "Charles Babbage"
            assert (await qa.show(address or "")).text == TEXT
            with pytest.raises(AnswerNameInvalid):
                await qa.get("nonsense")
            (files / "bridge.txt").unlink()
            assert (await qa.sync(files)).files_removed == 1
            qa.unload()
            assert not qa.counters().model_loaded
            closed = qa
        with pytest.raises(errors.Closed):
            await closed.ask(QUESTION)

    asyncio.run(work())


def test_a_cancelled_task_does_not_take_the_reading_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    begin = PassageReader.question
    asked: list[str] = []

    def slowly(self: PassageReader, question: str) -> object:
        asked.append(question)
        begun.set()
        assert go_on.wait(60)
        return begin(self, question)

    monkeypatch.setattr(PassageReader, "question", slowly)

    async def work() -> None:
        async with edgeqa.aopen() as qa:
            impatient = asyncio.create_task(qa.ask(QUESTION, TEXT))
            await asyncio.to_thread(begun.wait, 60)
            patient = asyncio.create_task(qa.ask(QUESTION, TEXT))
            impatient.cancel()
            with pytest.raises(asyncio.CancelledError):
                await impatient
            go_on.set()
            assert (await patient).text == "Charles Babbage"

    asyncio.run(work())
    assert asked == [QUESTION]


def test_opening_for_asyncio_takes_what_opening_takes() -> None:
    async def work() -> None:
        with pytest.raises(errors.OptionError):
            async with edgeqa.aopen(threads=0) as qa:
                await qa.ask(QUESTION, TEXT)
        with pytest.raises(errors.Closed):
            await edgeqa.aopen().ask(QUESTION)

    asyncio.run(work())


def test_importing_edgeqa_imports_no_asyncio() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, edgeqa; edgeqa.open; print('asyncio' in sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "False\n"

"""Tests the engine: hits beside readings, turns, refusals, deadlines, callers who go away, what a caller may do."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING

import pytest

from edgeqa import Answer, EdgeQA, EdgeQAError
from edgeqa.models.reading import PassageReader
from edgeqa.serving import lanes
from edgeqa.serving.callers import ADD, ADMIN, ASK, Caller, scopes_up_to
from edgeqa.serving.engine import Engine
from edgeqa.serving.errors import (
    CollectionNotServed,
    DeadlinePassed,
    Draining,
    NameInSeveral,
    NotAllowed,
    Refused,
    RequestInvalid,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path
    from typing import Any

QUESTION = "Who designed the machine?"
TEXT = "The machine itself was designed by Charles Babbage and never finished."
ONE, OTHER = Caller("one"), Caller("other")
WRITER = Caller("writer", scopes_up_to(ADD))


def run(work: Callable[[Engine], Coroutine[Any, Any, None]], *collections: str, keep_model_s: float = 600) -> None:
    async def opened() -> None:
        engine = Engine.open(collections or ("default",), keep_model_s=keep_model_s)
        try:
            await work(engine)
        finally:
            await engine.drain()

    asyncio.run(opened())


class Gate:
    """Holds readings until it is opened, and notes what is read."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()

    def open_for_these(self) -> None:
        """Lets go those that have begun; who begins afterwards is held."""
        these, self.open = self.open, threading.Event()
        these.set()

    async def until_begun(self, readings: int = 1) -> None:
        for _ in range(readings):
            assert await asyncio.to_thread(self.begun.acquire, timeout=60)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    made = Gate()
    question = PassageReader.question

    def held(self: PassageReader, asked: str) -> object:
        its_own = made.open  # a test may put another one in its place, for those that come later
        made.read.append(asked)
        made.begun.release()
        assert its_own.wait(60)
        return question(self, asked)

    monkeypatch.setattr(PassageReader, "question", held)
    return made


async def full(engine: Engine, gate: Gate, caller: Caller = ONE) -> list[asyncio.Task[Answer]]:
    """Fills all readers; returns the tasks that wait for them."""
    first = asyncio.create_task(engine.ask(caller, "Filling 0?", context=TEXT, timeout_s=60))
    await gate.until_begun()
    readers = engine._lanes.readers
    others = [
        asyncio.create_task(engine.ask(caller, f"Filling {n}?", context=TEXT, timeout_s=60)) for n in range(1, readers)
    ]
    await gate.until_begun(readers - 1)
    return [first, *others]


async def settled(holds: Callable[[], bool]) -> None:
    """Lets the other tasks of the loop go on until something holds."""
    while not holds():
        await asyncio.sleep(0)


async def error_of(awaited: Awaitable[object]) -> BaseException:
    with pytest.raises(EdgeQAError) as caught:
        await awaited
    return caught.value


def test_a_hit_does_not_wait_behind_readings(gate: Gate) -> None:
    async def work(engine: Engine) -> None:
        gate.open.set()
        await engine.ask(ONE, QUESTION, context=TEXT)
        gate.open.clear()
        gate.begun = threading.Semaphore(0)
        reading = await full(engine, gate)
        again = await engine.ask(OTHER, QUESTION, context=TEXT)
        assert again.cached
        assert engine.remembered(OTHER, QUESTION, context=TEXT) == again
        assert engine.reading == len(reading)
        gate.open.set()
        await asyncio.gather(*reading)

    run(work)


def test_what_another_process_remembers_does_not_wait_behind_readings_either(gate: Gate) -> None:
    async def before(engine: Engine) -> None:
        gate.open.set()
        await engine.ask(ONE, QUESTION, context=TEXT)

    async def work(engine: Engine) -> None:
        gate.open.clear()
        gate.begun = threading.Semaphore(0)
        reading = await full(engine, gate)
        assert not engine._lanes.has_free_reader
        assert engine.remembered(ONE, QUESTION, context=TEXT) is None  # not in this process
        assert (await engine.ask(OTHER, QUESTION, context=TEXT)).cached
        gate.open.set()
        await asyncio.gather(*reading)
        assert engine._lanes.has_free_reader

    run(before)
    run(work)


def test_some_readers_rest_while_what_is_remembered_is_asked_for(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(engine: Engine) -> None:
        gate.open.set()
        for _ in range(2):
            await engine.ask(OTHER, QUESTION, context=TEXT)
        gate.open.clear()
        gate.begun = threading.Semaphore(0)
        monkeypatch.setattr(lanes, "HIT_LATELY_S", 1e9)
        readers = engine._lanes.readers
        fewer = max(1, readers - lanes.SPARE_READERS)
        asked = [engine.ask(ONE, f"Number {n}?", context=TEXT, timeout_s=60) for n in range(readers)]
        reading = [asyncio.create_task(one) for one in asked]
        await gate.until_begun(fewer)
        await settled(lambda: engine.waiting == readers - fewer)
        monkeypatch.setattr(lanes, "HIT_LATELY_S", 0.0)
        reading.append(asyncio.create_task(engine.ask(ONE, "One more?", context=TEXT, timeout_s=60)))
        await gate.until_begun(readers - fewer)
        assert (engine.reading, engine.waiting) == (readers, 1)
        gate.open.set()
        await asyncio.gather(*reading)

    run(work)


def test_with_a_free_reader_nothing_is_refused_for_what_others_wait(gate: Gate) -> None:
    async def work(engine: Engine) -> None:
        gate.open.set()
        await engine.ask(ONE, "First?", context=TEXT)
        engine._lanes.reading_s = 30.0
        gate.open.clear()
        gate.begun = threading.Semaphore(0)
        reading = asyncio.create_task(engine.ask(ONE, "Second?", context=TEXT, timeout_s=60))
        await gate.until_begun()
        assert isinstance(await error_of(engine.ask(OTHER, QUESTION, context=TEXT, timeout_s=0.25)), DeadlinePassed)
        gate.open.set()
        await reading

    run(work)


def test_equal_questions_are_read_once(gate: Gate) -> None:
    async def work(engine: Engine) -> None:
        same = [asyncio.create_task(engine.ask(caller, QUESTION, context=TEXT)) for caller in (ONE, ONE, OTHER)]
        await gate.until_begun()
        gate.open.set()
        answers = await asyncio.gather(*same)
        assert len({id(answer) for answer in answers}) == 1

    run(work)
    assert gate.read == [QUESTION]


def test_one_callers_many_questions_do_not_keep_anothers_one_waiting(gate: Gate) -> None:
    async def work(engine: Engine) -> None:
        reading = await full(engine, gate)
        readers = len(reading)
        asked = [engine.ask(ONE, f"Many {n}?", context=TEXT, timeout_s=60) for n in range(3 * readers)]
        many = [asyncio.create_task(one) for one in asked]
        await settled(lambda: engine.waiting == len(many))
        one = asyncio.create_task(engine.ask(OTHER, "One?", context=TEXT, timeout_s=60))
        await settled(lambda: engine.waiting == len(many) + 1)
        for _ in range(2):  # the other caller's turn comes in these
            gate.open_for_these()
            await gate.until_begun(readers)
        after = gate.read[readers:]
        gate.open.set()
        await asyncio.gather(*reading, *many, one)
        assert "One?" in after

    run(work)


def test_a_full_queue_refuses_at_once_but_makes_room_for_who_has_less(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "WAITING_PER_READER", 2)

    async def work(engine: Engine) -> None:
        reading = await full(engine, gate)
        room = 2 * len(reading)
        many = [asyncio.create_task(engine.ask(ONE, f"Many {n}?", context=TEXT, timeout_s=60)) for n in range(room)]
        await settled(lambda: engine.waiting == room)
        refused = await error_of(engine.ask(ONE, "One too many?", context=TEXT, timeout_s=60))
        assert isinstance(refused, Refused)
        assert refused.retry_after_s >= 1
        one = asyncio.create_task(engine.ask(OTHER, "One?", context=TEXT, timeout_s=60))
        (displaced,), others = await asyncio.wait(many, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert isinstance(displaced.exception(), Refused)
        gate.open.set()
        await asyncio.gather(*reading, *others, one)
        assert engine.outcomes["http", "refused"] == 2

    run(work)
    assert "One?" in gate.read
    assert "One too many?" not in gate.read


def test_what_cannot_be_read_in_time_is_refused_before_it_waits(gate: Gate) -> None:
    async def work(engine: Engine) -> None:
        reading = await full(engine, gate)
        engine._lanes.reading_s = 30.0
        assert isinstance(await error_of(engine.ask(OTHER, "Soon?", context=TEXT, timeout_s=1)), Refused)
        gate.open.set()
        await asyncio.gather(*reading)

    run(work)


def test_who_has_waited_long_enough_is_told_and_the_reading_is_remembered(gate: Gate) -> None:
    async def work(engine: Engine) -> None:
        assert isinstance(await error_of(engine.ask(ONE, QUESTION, context=TEXT, timeout_s=0.25)), DeadlinePassed)
        gate.open.set()
        assert (await engine.ask(OTHER, QUESTION, context=TEXT)).text == "Charles Babbage"

    run(work)
    assert gate.read.count(QUESTION) == 1


def test_who_has_gone_is_not_read_for(gate: Gate) -> None:
    async def work(engine: Engine) -> None:
        reading = await full(engine, gate)
        gone = asyncio.create_task(engine.ask(OTHER, "Gone?", context=TEXT, timeout_s=60))
        shared = [asyncio.create_task(engine.ask(c, "Shared?", context=TEXT, timeout_s=60)) for c in (ONE, OTHER)]
        flights = engine._lanes._flights
        await settled(lambda: sum(len(flight.waiters) for flight in flights.values()) == len(reading) + 3)
        assert engine.waiting == 2
        gone.cancel()
        shared[0].cancel()
        await asyncio.gather(gone, shared[0], return_exceptions=True)
        assert engine.waiting == 1
        gate.open.set()
        await asyncio.gather(*reading, shared[1])

    run(work)
    assert "Gone?" not in gate.read
    assert "Shared?" in gate.read


def test_draining_refuses_what_waits_and_finishes_what_is_read(gate: Gate) -> None:
    async def work(engine: Engine) -> None:
        reading = await full(engine, gate)
        waiting = asyncio.create_task(engine.ask(OTHER, "Waiting?", context=TEXT, timeout_s=60))
        await settled(lambda: engine.waiting == 1)
        draining = asyncio.create_task(engine.drain())
        assert isinstance(await error_of(waiting), Draining)
        assert isinstance(await error_of(engine.ask(OTHER, "Later?", context=TEXT)), Draining)
        gate.open.set()
        assert all(answer.question.startswith("Filling") for answer in await asyncio.gather(*reading))
        await draining

    run(work)


def test_an_error_of_reading_is_the_callers_and_counted() -> None:
    async def work(engine: Engine) -> None:
        assert type(await error_of(engine.ask(ONE, " ", context=TEXT))).__name__ == "EmptyQuestion"
        for timeout_s in (0, 61, float("nan"), "5"):
            wrong: Any = timeout_s
            assert isinstance(await error_of(engine.ask(ONE, QUESTION, context=TEXT, timeout_s=wrong)), RequestInvalid)
        assert isinstance(await error_of(engine.ask(ONE, QUESTION, collection="none")), CollectionNotServed)
        assert engine.outcomes["http", "error"] == 6

    run(work)


def test_a_caller_may_do_what_its_scopes_say(tmp_path: Path) -> None:
    nobody = Caller("nobody", frozenset())
    assert scopes_up_to(ASK) < scopes_up_to(ADD) < scopes_up_to(ADMIN)
    (tmp_path / "text.txt").write_text(TEXT)

    async def work(engine: Engine) -> None:
        for forbidden in (
            engine.ask(nobody, QUESTION, context=TEXT),
            engine.get(nobody, "name"),
            engine.closest(nobody, QUESTION),
            engine.passage(nobody, "a:{8YG}:1"),
            engine.text(nobody, "a"),
            engine.documents(nobody),
            engine.collections(nobody),
            engine.add(ONE, tmp_path / "text.txt", "text.txt"),
            engine.sync(ONE, tmp_path),
            engine.remove(ONE, "text.txt"),
        ):
            assert isinstance(await error_of(forbidden), NotAllowed)
        with pytest.raises(NotAllowed):
            engine.remembered(nobody, QUESTION)
        with pytest.raises(NotAllowed):
            engine.remembered_name(nobody, "name")
        assert await engine.documents(ONE) == []

    run(work)


def test_what_is_added_is_asked_listed_shown_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "somewhere.txt"
    path.write_text(TEXT)

    async def work(engine: Engine) -> None:
        added = await engine.add(WRITER, path, "notes/machine.txt")
        assert (added.files_added, added.piped) == (1, ["notes/machine.txt"])
        path.unlink()
        answer = await engine.ask(ONE, QUESTION)
        assert (answer.text, answer.source, answer.path) == ("Charles Babbage", "notes/machine.txt", None)
        (document,) = await engine.documents(ONE)
        assert document.document == "notes/machine.txt"
        assert await engine.documents(ONE, after="notes/machine.txt") == []
        (passage,) = await engine.closest(ONE, QUESTION)
        assert passage.address is not None
        assert (await engine.passage(ONE, passage.address)).text == TEXT
        assert (await engine.text(ONE, "notes/machine.txt")).text == TEXT
        name = f"bertqa{{{document.tag}}}_{passage.address}_{QUESTION}"
        assert (await engine.get(ONE, name)).text == "Charles Babbage"
        assert (await engine.get(ONE, name)).cached
        assert engine.remembered_name(ONE, name) is not None
        (info,) = await engine.collections(ONE)
        assert (info.name, info.documents) == ("default", 1)
        path.write_text(TEXT.replace("Charles Babbage", "Ada Stone"))
        await engine.add(WRITER, path, "notes/machine.txt")
        assert (await engine.ask(ONE, QUESTION)).text == "Ada Stone"
        for other in ("notes", "machine.txt", str(tmp_path), "/"):  # a folder, and paths of this machine
            assert isinstance(await error_of(engine.remove(WRITER, other)), LookupError)
        assert await engine.remove(WRITER, "notes/machine.txt") == ["notes/machine.txt"]
        assert await engine.documents(ONE) == []
        assert engine.runtime.list() == ()

    run(work)


def test_nothing_is_printed_of_a_change_whose_caller_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def broken(*_: object, **__: object) -> None:
        begun.set()
        assert ended.wait(60)
        raise Draining

    monkeypatch.setattr(EdgeQA, "add", broken)

    async def work(engine: Engine) -> None:
        gone = asyncio.create_task(engine.add(WRITER, tmp_path / "text.txt", "text.txt"))
        assert await asyncio.to_thread(begun.wait, 60)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        ended.set()
        await engine.drain()

    run(work)
    gc.collect()
    assert not caplog.records


def test_no_file_is_shown_that_was_not_added(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("The password is swordfish.")
    (tmp_path / "text.txt").write_text(TEXT)

    async def work(engine: Engine) -> None:
        await engine.add(WRITER, tmp_path / "text.txt", "text.txt")
        for shown in (engine.text(ONE, str(secret)), engine.passage(ONE, str(secret))):
            assert isinstance(await error_of(shown), LookupError)

    run(work)


def test_a_name_is_looked_for_in_all_collections(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)

    async def work(engine: Engine) -> None:
        assert engine.collection_names == ("first", "second")
        await engine.add(WRITER, tmp_path / "text.txt", "text.txt", collection="second")
        (passage,) = await engine.closest(ONE, QUESTION, collection="second")
        (document,) = await engine.documents(ONE, collection="second")
        name = f"bertqa{{{document.tag}}}_{passage.address}_{QUESTION}"
        for _ in range(2):
            assert (await engine.get(ONE, name)).text == "Charles Babbage"
        assert engine.remembered_name(ONE, name) is not None
        assert passage.address is not None
        assert (await engine.passage(ONE, passage.address)).document == "text.txt"
        assert isinstance(await error_of(engine.get(ONE, name, collection="first")), LookupError)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(engine.runtime), "remembered_name", lambda *_, **__: None)
            assert isinstance(await error_of(engine.get(ONE, name)), NameInSeveral)
        gone = name.replace("text.txt", "gone.txt")
        assert isinstance(await error_of(engine.get(ONE, gone)), LookupError)

    run(work, "first", "second")


def test_the_model_goes_when_nothing_is_read_for_a_while() -> None:
    async def work(engine: Engine) -> None:
        assert not engine.counters()["default"].model_loaded
        await engine.ask(ONE, QUESTION, context=TEXT)
        for _ in range(600):
            if not engine.counters()["default"].model_loaded:
                break
            await asyncio.sleep(0.1)
        assert not engine.counters()["default"].model_loaded
        assert (await engine.ask(ONE, QUESTION, context=TEXT)).cached
        assert (await engine.ask(ONE, QUESTION, context=TEXT, refresh=True)).text == "Charles Babbage"

    run(work, keep_model_s=0.01)

"""Tests callers who read at once: how many may, what others do, and that one thread each gives the very same."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeqa.models import session as module
from edgeqa.models.readers import SplitReader
from edgeqa.models.session import CROWDED_FOR_S, Callers, Session, SessionOptions

if TYPE_CHECKING:
    from types import FrameType

    from edgeqa.models.bundle import Bundle


class Clock:
    """Stands for `time`, and goes on when told."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_several_are_a_crowd_for_a_moment_longer_than_they_are_there(clock: Clock) -> None:
    callers = Callers(at_once=2)
    with callers.turn():
        assert not callers.crowded
        with callers.turn():  # another one: nothing here looks at whose thread it is
            assert callers.crowded
    assert callers.crowded
    clock.now_s += CROWDED_FOR_S
    assert not callers.crowded
    with callers.turn():
        assert not callers.crowded


def test_no_more_than_so_many_read_at_once_and_all_get_their_turn() -> None:
    callers, lock, gone = Callers(at_once=3), threading.Lock(), threading.Barrier(3)
    inside: list[int] = []
    most = reads = 0

    def work() -> None:
        nonlocal most, reads
        with callers.turn():
            with lock:
                inside.append(1)
                most, reads = max(most, len(inside)), reads + 1
            gone.wait(timeout=60)  # nobody goes on before three are inside, and then no fourth may be
            with lock:
                inside.pop()
            gone.wait(timeout=60)

    threads = [threading.Thread(target=work) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, reads) == (3, 9)


def test_who_is_interrupted_while_waiting_leaves_nothing_behind() -> None:
    callers = Callers(at_once=1)

    class Interrupted:
        def get(self, timeout: float) -> None:  # noqa: ARG002 - as the queue's
            raise KeyboardInterrupt

    turns, callers._turns = callers._turns, Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt), callers.turn():
        pytest.fail("it was not its turn")
    callers._turns = turns
    with callers.turn():
        assert not callers.crowded  # the one who left is not counted any more


def test_an_interrupt_at_any_line_of_a_step_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # what is raised in `__del__`, Python drops
    callers = Callers(at_once=1)
    for line in range(1, 100):
        left = line

        def on_line(frame: FrameType, event: str, _: Any) -> Any:  # noqa: ANN401 - a trace function
            nonlocal left
            if event == "line" and frame.f_code.co_filename == module.__file__:
                left -= 1
                if not left:
                    sys.settrace(None)
                    raise KeyboardInterrupt
            return on_line

        before = sys.gettrace()
        sys.settrace(on_line)
        with suppress(KeyboardInterrupt), callers.turn():
            pass
        sys.settrace(before)
        callers._turns.replace_lost()  # as who waits does
        assert (callers._turns.qsize(), callers._present) == (1, set()), line
        if left > 0:  # there were fewer lines
            assert line > 5
            return
    pytest.fail("it never ends")


def test_a_turn_that_an_interrupt_has_swallowed_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised in `__del__`, a signal's KeyboardInterrupt too, Python drops, and with it went the turn."""
    monkeypatch.setattr(module, "_LOOK_S", 0.01)
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    callers = Callers(at_once=2)

    def interrupted(_: object, __: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(callers._turns), "give", interrupted)
        for _ in range(2):
            with callers.turn():
                pass
    assert callers._turns.qsize() == 0
    with callers.turn(), callers.turn():
        assert callers._turns.qsize() == 0  # and not one more than there were
        callers._turns.replace_lost()
        assert callers._turns.qsize() == 0
    assert callers._turns.qsize() == 2


def test_a_step_that_fails_gives_its_turn_back() -> None:
    callers = Callers(at_once=1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), callers.turn():
            _ = 1 / 0


def test_one_thread_each_gives_the_very_same_logits(bundle: Bundle) -> None:
    """Two threads and one: other kernels at other times, and not one bit of difference."""
    callers = Callers(at_once=2)
    reader = SplitReader(bundle, SessionOptions(threads=2, spinning=True), callers)
    random = np.random.default_rng(11)
    for question_tokens, context_tokens in ((8, 32), (12, 160), (62, 447), (1, 1)):
        question_ids, ids = (random.integers(1000, 30000, n) for n in (question_tokens, context_tokens))
        alone, encoding = reader.encode_question(question_ids), reader.encode_context(ids)
        logits = reader.read(alone, encoding)
        with callers.turn(), callers.turn():
            among, same_encoding = reader.encode_question(question_ids), reader.encode_context(ids)
            same = reader.read(among, same_encoding)
        np.testing.assert_array_equal(among, alone)
        np.testing.assert_array_equal(same_encoding.hidden, encoding.hidden)
        np.testing.assert_array_equal(same_encoding.scale, encoding.scale)
        np.testing.assert_array_equal(same.start, logits.start)
        np.testing.assert_array_equal(same.end, logits.end)
        assert same.no_answer == logits.no_answer
        callers._crowded_until_s = 0.0  # so that the next is alone


@pytest.mark.parametrize(("threads", "loads"), [(2, 2), (1, 1)])
def test_a_graph_is_loaded_again_for_the_first_crowd_only(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, threads: int, loads: int
) -> None:
    import onnxruntime

    loaded: list[str] = []
    real = onnxruntime.InferenceSession

    def load(file: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the library's own signature
        loaded.append(file)
        return real(file, *arguments, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", load)
    callers = Callers(at_once=8)
    session = Session(bundle.file("encode.onnx"), SessionOptions(threads=threads), callers)
    arrays = {"input_ids": np.array([[101, 102]]), "position_ids": np.array([[0, 1]])}
    with callers.turn():
        session.run(arrays)
    assert len(loaded) == 1
    start = threading.Barrier(4)

    def work() -> None:
        with callers.turn():
            start.wait(timeout=60)  # all are in before any of them runs
            session.run(arrays)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(loaded) == loads

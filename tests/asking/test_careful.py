"""Tests the careful reader: when it decides, what is remembered of it, and when it is not asked.

Its model is a small one that points at given words, so that a test can tell its answers from those of the fast reader.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from conftest import EXAMPLES
from families import Made
from second import Bases

from edgeqa import errors, runtime, state
from edgeqa.asking import equipment, ranking
from edgeqa.asking.documents import documents
from edgeqa.asking.question import Asking
from edgeqa.asking.records import Options
from edgeqa.asking.text_scope import TextScope
from edgeqa.capabilities.computing import remembered_test
from edgeqa.models import reading
from edgeqa.models.bundle import BASE
from edgeqa.models.exports.adding import add_model
from edgeqa.models.reading import PassageReader
from edgeqa.models.shelf import BASE_PACKAGE
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.capabilities import Reader
    from edgeqa.capabilities.computing import Computing, Tested
    from edgeqa.runtime import EdgeQA

TEXT = "The engine was designed by Charles Babbage, who lived in London, from 1837 on."
QUESTION = "Who designed the engine?"
PARAGRAPHS = [
    "The bridge over the river was built by Dorman Long in 1932, and London paid for it.",
    "The bridge over the valley was built by Ada Stone in 1950 of steel from London.",
    "Bridges of stone were built by monks before that, far from London.",
]
TABLE = "Tool,Price,Place\nHammer,12 EUR,London\nSaw,20 EUR,Paris\nDrill,99 EUR,Rome\nFile,7 EUR,Bern\n"
DEADLINE_S = 120
REAL = Path(__file__).parents[2] / "models" / "base" / BASE_PACKAGE / BASE


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Bases:
    return Bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture
def careful_base(bases: Bases) -> Path:
    """A careful reader that answers with London wherever it stands."""
    return bases.add("London")


@pytest.fixture
def read_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the careful reader reads."""
    texts: list[str] = []
    usual = PassageReader.spans_again

    def noted(self: PassageReader, question: Any, text: Any, **how: Any) -> Any:  # noqa: ANN401 - passed on
        texts.append(text.text)
        return usual(self, question, text, **how)

    monkeypatch.setattr(PassageReader, "spans_again", noted)
    return texts


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Callable[..., EdgeQA]:
    """Opens runtimes, which are closed after the test."""

    def open_one(**options: Any) -> EdgeQA:  # noqa: ANN401 - those of `open`
        qa = runtime.open(**{"reader": "auto", **options})
        request.addfinalizer(qa.close)
        return qa

    return open_one


@pytest.mark.usefixtures("careful_base")
def test_the_careful_reader_decides_and_says_so(opened: Callable[..., EdgeQA]) -> None:
    answer = opened().ask(QUESTION, TEXT)
    assert (answer.text, answer.reader, answer.model) == ("London", "careful", "edgeqa-base 1")
    assert answer.to_json()["reader"] == "careful"
    assert answer.context is not None
    assert answer.start is not None
    assert answer.context[answer.start : answer.end] == "London"
    fast = opened(reader="fast").ask(QUESTION, TEXT)
    assert (fast.text, fast.reader, fast.model) == ("Charles Babbage", "fast", "edgeqa-mini 4")


@pytest.mark.parametrize(("word", "by"), [("Dorman", 2.0), ("London", 0.0)])
def test_what_both_readers_mean_is_surer(word: str, by: float, bases: Bases, opened: Callable[..., EdgeQA]) -> None:
    file = bases.add(word) / "manifest.json"
    numbers = {"route": 0.1, "repeats": 0, "slope": 0.1, "coverage": 0, "intercept": -1, "no_answer_below": 0}
    logits = []
    for agrees in (0.0, 2.0):
        searched = {**numbers, "chance": [], "agrees": agrees}
        file.write_text(json.dumps(json.loads(file.read_text()) | {"searched": searched}))
        answer = opened().ask("Who built the bridge over the river?", PARAGRAPHS, refresh=True)
        assert (answer.text, answer.reader) == (word, "careful")
        logits.append(math.log(answer.probability / (1 - answer.probability)))
    assert logits[1] - logits[0] == pytest.approx(by)


def test_its_no_answer_decides_too(bases: Bases, opened: Callable[..., EdgeQA]) -> None:
    bases.add("[CLS]", "London")
    answer = opened().ask(QUESTION, TEXT)
    assert (answer.text, answer.reader) == (None, "careful")
    assert opened().ask(QUESTION, TEXT, force=True).text == "London"


@pytest.mark.usefixtures("careful_base")
def test_answers_of_both_are_remembered_apart(opened: Callable[..., EdgeQA]) -> None:
    for reader, text in (("careful", "London"), ("fast", "Charles Babbage")) * 2:
        opened(reader=reader).ask(QUESTION, TEXT)
        again = opened(reader=reader).ask(QUESTION, TEXT)
        assert (again.text, again.reader, again.cached) == (text, reader, True)
    auto, careful_one, fast = (opened(reader=reader).key(QUESTION, TEXT) for reader in ("auto", "careful", "fast"))
    assert auto == careful_one != fast


@pytest.mark.usefixtures("careful_base")
def test_what_is_remembered_loads_neither_reader() -> None:
    with runtime.open(reader="auto") as qa:
        assert qa.ask(QUESTION, TEXT).reader == "careful"
    code = (
        "import sys, edgeqa; qa = edgeqa.open(reader='auto'); answer = qa.ask(*sys.argv[1:])\n"
        "large = {'numpy', 'onnxruntime', 'tokenizers', 'edgeqa.asking.question', 'edgeqa.capabilities.probe'}\n"
        "print(answer.cached, answer.reader, answer.text, sorted(large & sys.modules.keys()))"
    )
    run = [sys.executable, "-c", code, QUESTION, TEXT]
    done = subprocess.run(run, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.stdout == "True careful London []\n", done.stderr


@pytest.mark.usefixtures("careful_base")
def test_remembered_is_what_the_careful_reader_said(opened: Callable[..., EdgeQA]) -> None:
    opened(reader="fast").ask(QUESTION, TEXT)
    qa = opened()
    assert qa.remembered(QUESTION, TEXT) is None
    qa.ask(QUESTION, TEXT)
    for one in (qa, opened()):
        found = one.remembered(QUESTION, TEXT)
        assert found is not None
        assert (found.text, found.reader) == ("London", "careful")


@pytest.mark.usefixtures("careful_base")
def test_where_it_computes_otherwise_its_answers_are_read_anew(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[..., EdgeQA], read_again: list[str]
) -> None:
    with runtime.open(reader="auto") as qa:
        qa.ask(QUESTION, TEXT)
        here = qa.key(QUESTION, TEXT)

    def of_another(digest: str, how: Computing) -> Tested | None:
        found = remembered_test(digest, how)
        return found and found._replace(fingerprint="of another device")

    monkeypatch.setattr(equipment, "remembered_test", of_another)
    there = opened()
    assert there.remembered(QUESTION, TEXT) is None
    assert there.key(QUESTION, TEXT) != here
    answer = there.ask(QUESTION, TEXT)
    assert (answer.cached, answer.reader, read_again) == (False, "careful", [TEXT] * 2)


@pytest.mark.usefixtures("careful_base")
def test_it_reads_the_best_three_passages_at_most(opened: Callable[..., EdgeQA], read_again: list[str]) -> None:
    text = "\n\n".join(f"{PARAGRAPHS[number % 3]} It has number {number}. " * 6 for number in range(8))
    answer = opened(persist="off").ask("Who built the bridge over the river?", text, most_contexts=6)
    assert answer.reader == "careful"
    assert len(read_again) == ranking.CAREFUL_READ
    assert len(set(read_again)) == len(read_again)
    assert len(answer.closest) >= ranking.CAREFUL_READ


@pytest.mark.usefixtures("careful_base")
def test_a_changed_collection_is_read_again_only_where_it_is_new(
    tmp_path: Path, opened: Callable[..., EdgeQA], read_again: list[str]
) -> None:
    question = "Who built the bridge?"
    qa = opened(reader="careful")
    for number in (0, 1):
        (tmp_path / f"{number}.txt").write_text(PARAGRAPHS[number])
    qa.add([tmp_path / "0.txt", tmp_path / "1.txt"])
    assert qa.ask(question).reader == "careful"
    assert sorted(read_again) == sorted(PARAGRAPHS[:2])
    (tmp_path / "2.txt").write_text(PARAGRAPHS[2])
    qa.add(tmp_path / "2.txt")
    again = qa.ask(question)
    assert not again.cached
    assert read_again[2:] == [PARAGRAPHS[2]]
    assert qa.ask(question, refresh=True).text == again.text
    assert len(read_again) == 6


@pytest.mark.usefixtures("careful_base")
def test_the_same_passage_of_another_text_is_not_read_again(
    opened: Callable[..., EdgeQA], read_again: list[str]
) -> None:
    qa = opened()
    first = qa.ask(QUESTION, TEXT)
    assert qa.ask(QUESTION, TEXT, refresh=True).text == "London"
    assert read_again == [TEXT] * 2
    read_again.pop()
    second = qa.ask(QUESTION, f"{'Nothing here is about it. ' * 40}\n\n{TEXT}")
    assert read_again.count(TEXT) == 1
    assert (first.text, second.text, second.cached) == ("London", "London", False)
    assert second.source_start == 40 * 26 + 2 + TEXT.index("London")


@pytest.mark.usefixtures("careful_base")
def test_a_cell_that_is_looked_up_is_the_answer(
    tmp_path: Path, opened: Callable[..., EdgeQA], read_again: list[str]
) -> None:
    (tmp_path / "tools.csv").write_text(TABLE)
    answer = opened().ask("What is the price of the hammer?", tmp_path / "tools.csv")
    assert (answer.text, answer.reader, read_again) == ("12 EUR", "fast", [])
    again = opened().ask("What is the price of the hammer?", tmp_path / "tools.csv")
    assert (again.text, again.reader, again.cached) == ("12 EUR", "fast", True)


@pytest.mark.usefixtures("careful_base")
def test_one_passage_by_its_name_is_read_by_the_careful_reader_alone(
    tmp_path: Path, opened: Callable[..., EdgeQA]
) -> None:
    (tmp_path / "engine.txt").write_text(TEXT)
    qa = opened(reader="fast")
    qa.add(tmp_path / "engine.txt")
    address = qa.ask(QUESTION).address
    assert address is not None
    name = f"bertqa{{{address.rpartition('{')[2].partition('}')[0]}}}_{address}_{QUESTION}"
    assert qa.get(name).text == "Charles Babbage"
    again = opened()
    assert again.remembered_name(name) is None
    got = again.get(name)
    assert (got.text, got.reader, got.cached) == ("London", "careful", False)
    assert again._equipment._reading is None
    assert again.counters().model_loaded
    for one in (again, opened()):
        known = one.remembered_name(name)
        assert known is not None
        assert (known.text, known.reader) == ("London", "careful")
    assert again.forget_name(name)
    assert opened().remembered_name(name) is None
    assert qa.remembered_name(name) is not None


@pytest.mark.usefixtures("careful_base")
def test_another_reader_of_the_same_runtime(tmp_path: Path, opened: Callable[..., EdgeQA]) -> None:
    (tmp_path / "engine.txt").write_text(TEXT)
    qa = opened()
    qa.add(tmp_path / "engine.txt")
    fast = qa.with_reader("fast")
    assert [one.ask(QUESTION).text for one in (fast, qa, fast, qa)] == ["Charles Babbage", "London"] * 2
    assert qa.with_reader("auto").ask(QUESTION).cached
    other = opened(reader="fast")
    assert other.with_reader("careful").ask(QUESTION, TEXT).text == "London"
    with pytest.raises(errors.OptionError, match="reader"):
        qa.with_reader("slow")  # type: ignore[arg-type]


@pytest.mark.usefixtures("careful_base")
def test_an_unloaded_reader_comes_back(opened: Callable[..., EdgeQA], read_again: list[str]) -> None:
    qa = opened(persist="off")
    qa.ask(QUESTION, TEXT)
    qa.unload()
    assert qa._equipment._careful is None
    assert qa.ask(QUESTION, TEXT).text == "London"
    assert len(read_again) == 2
    qa.close()
    with pytest.raises(errors.Closed):
        _ = qa._equipment.careful


def test_without_it_the_fast_reader_decides_and_the_plan_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[..., EdgeQA]
) -> None:
    monkeypatch.setattr(equipment, "base_bundle", lambda: None)  # a checkout has it beside the sources
    qa = opened()
    assert qa.ask(QUESTION, TEXT).reader == "fast"
    assert qa.plan.reader.value == "fast"
    assert "pip install 'edgeqa[base]'" in qa.plan.reader.reason
    assert opened(reader="fast").key(QUESTION, TEXT) == qa.key(QUESTION, TEXT)
    with pytest.raises(errors.CarefulReaderMissing) as caught:
        runtime.open(reader="careful")
    assert (caught.value.exit_code, "edgeqa[base]" in caught.value.hint) == (3, True)


@pytest.mark.usefixtures("careful_base")
def test_after_another_model_it_looks_again_only_if_asked_for(tmp_path: Path, opened: Callable[..., EdgeQA]) -> None:
    made = Made()
    made.graph = made.pointing_at("Babbage")
    add_model(str(made.write(tmp_path / "other")), name="other")
    assert opened(bundle="other").ask(QUESTION, TEXT).reader == "fast"
    assert "other" in opened(bundle="other").plan.reader.reason
    assert opened(bundle="other", reader="careful").ask(QUESTION, TEXT).text == "London"


@pytest.mark.usefixtures("careful_base")
def test_one_that_is_too_slow_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, opened: Callable[..., EdgeQA]) -> None:
    times_ms = iter([900.0])
    monkeypatch.setattr(PassageReader, "passage_ms", lambda _: next(times_ms))
    for _ in range(2):  # it is timed once
        qa = opened()
        assert qa.ask(QUESTION, TEXT).reader == "fast"
        assert "900 ms for a passage of 160 tokens" in qa.plan.reader.reason
        assert qa._equipment._careful is None
    assert opened(reader="careful").ask(QUESTION, TEXT).reader == "careful"


@pytest.mark.parametrize(("went_by_s", "worked_s", "found_ms"), [(0.9, 0.2, 200), (0.1, 0.3, 100)])
@pytest.mark.usefixtures("careful_base")
def test_what_others_on_the_device_do_does_not_make_it_slow(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[..., EdgeQA], went_by_s: float, worked_s: float, found_ms: float
) -> None:
    clocks = [itertools.count(0, step_s) for step_s in (went_by_s, worked_s)]
    fake = SimpleNamespace(perf_counter=clocks[0].__next__, process_time=clocks[1].__next__)
    careful_reader = opened()._equipment.careful
    monkeypatch.setattr(reading, "time", fake)
    assert careful_reader.passage_ms() == pytest.approx(found_ms)


def test_one_is_timed_though_the_home_cannot_be_written(
    careful_base: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., EdgeQA]
) -> None:
    monkeypatch.setattr(state, "remember", lambda *_: False)
    qa = opened(persist="memory")
    assert [qa.ask(QUESTION, TEXT).reader for _ in range(2)] == ["careful"] * 2
    assert "ms for a passage" in qa.plan.reader.reason
    assert careful_base.is_dir()


def test_a_damaged_one_is_told_of_and_the_fast_one_decides(careful_base: Path, opened: Callable[..., EdgeQA]) -> None:
    with (careful_base / "model.onnx").open("ab") as graph:
        graph.write(b"more")
    qa = opened()
    assert qa.ask(QUESTION, TEXT).reader == "fast"
    assert "model.onnx" in qa.plan.reader.reason
    with pytest.raises(errors.BundleFileDamaged):
        opened(reader="careful").ask(QUESTION, TEXT)


def test_where_the_fast_reader_finds_nothing_nothing_is_looked_up(opened: Callable[..., EdgeQA]) -> None:
    found = opened(reader="fast")._equipment
    asking = Asking(found, TextScope(found, documents(TEXT)), "Who?", Options(), Stopwatch())
    assert not asking.is_looked_up


@pytest.mark.parametrize("facts", ["{}", "[]", "nonsense", '{"precision": {}}'])
def test_one_whose_manifest_is_damaged_is_told_of(
    careful_base: Path, opened: Callable[..., EdgeQA], facts: str
) -> None:
    (careful_base / "manifest.json").write_text(facts, encoding="utf-8")
    qa = opened()
    assert qa.key(QUESTION, TEXT) == opened(reader="fast").key(QUESTION, TEXT)
    assert qa.ask(QUESTION, TEXT).reader == "fast"
    assert "manifest.json" in qa.plan.reader.reason
    with pytest.raises(errors.BundleError):
        opened(reader="careful").ask(QUESTION, TEXT)


def test_one_that_fails_its_self_test_is_told_of(
    careful_base: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., EdgeQA]
) -> None:
    def failing(*_: object) -> PassageReader:
        raise errors.BundleSelfTestFailed(BASE, "case 1: another answer")

    monkeypatch.setattr(equipment.CarefulReader, "load", failing)
    qa = opened()
    assert [qa.ask(QUESTION, TEXT).reader for _ in range(2)] == ["fast"] * 2
    assert "case 1: another answer" in qa.plan.reader.reason
    with pytest.raises(errors.BundleSelfTestFailed):
        opened(reader="careful").ask(QUESTION, TEXT)
    assert careful_base.is_dir()


@pytest.mark.usefixtures("careful_base")
def test_where_memory_is_short_it_is_refused_only_if_asked_for(opened: Callable[..., EdgeQA]) -> None:
    qa = opened(budget_bytes=130 << 20)
    assert qa.ask(QUESTION, TEXT).reader == "fast"
    assert "missing for the careful one" in qa.plan.reader.reason
    qa = opened(reader="careful", budget_bytes=100 << 20)
    with pytest.raises(errors.NotEnoughMemory, match=r"reader=careful: .* bytes missing"):
        qa.ask(QUESTION, TEXT)
    known = opened(budget_bytes=100 << 20).remembered(QUESTION, TEXT)  # it needs no room at all
    assert known is not None
    assert known.text == "Charles Babbage"


@pytest.mark.parametrize(("given", "variable", "found"), [(None, "careful", "careful"), ("fast", "careful", "fast")])
@pytest.mark.usefixtures("careful_base")
def test_the_environment_may_name_the_reader(
    monkeypatch: pytest.MonkeyPatch, given: Reader | None, variable: str, found: str
) -> None:
    monkeypatch.setenv("EDGEQA_READER", variable)
    with runtime.open(reader=given) as qa:
        assert qa.ask(QUESTION, TEXT).reader == found


def test_a_wrong_reader_is_refused_by_the_name_that_it_was_given_under(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.OptionError, match="reader"):
        runtime.open(reader="slow")  # type: ignore[arg-type]
    monkeypatch.setenv("EDGEQA_READER", "slow")
    with pytest.raises(errors.OptionError, match="EDGEQA_READER"):
        runtime.open()


@pytest.mark.usefixtures("careful_base")
def test_threads_that_ask_at_once_are_all_answered(opened: Callable[..., EdgeQA], read_again: list[str]) -> None:
    qa = opened()
    texts = [f"The engine of number {number} was made in London by Ada Stone." for number in range(4)]
    found: list[tuple[int, str | None, str]] = []
    start = threading.Barrier(8)

    def ask(number: int) -> None:
        start.wait()
        answer = qa.ask("Who made the engine?", texts[number % 4])
        found.append((number, answer.text, answer.reader))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [(number, "London", "careful") for number in range(8)]
    assert sorted(read_again) == texts  # once, for all who ask the same


FORKED = """
import os, sys, threading, edgeqa
qa = edgeqa.open(reader="auto", threads=int(sys.argv[1]))
text = "The engine was designed by Charles Babbage, who lived in London, from 1837 on."
assert qa.ask("Who designed the engine?", text).reader == "careful"
stop = False
def ask():
    asked = 0
    while not stop:
        qa.ask(f"Who designed the engine {asked}?", text)
        asked += 1
threads = [threading.Thread(target=ask) for _ in range(2)]
for thread in threads:
    thread.start()
for number in range(3):
    child = os.fork()
    if not child:
        answer = qa.ask(f"Where did he live, {number}?", text)
        os._exit(0 if (answer.text, answer.reader) == ("London", "careful") else 1)
    assert os.waitpid(child, 0)[1] == 0
stop = True
for thread in threads:
    thread.join()
print(qa.ask("Where did he live?", text).text)
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.usefixtures("careful_base")
def test_children_forked_among_threads_that_ask_answer(threads: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, str(threads)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "London\n"), done.stderr


BROKEN_OFF = """
import sys, edgeqa
from edgeqa.models.reading import PassageReader
from edgeqa.models.shelf import BASE_PACKAGE
usual = PassageReader.spans_again
def slow(*given, **how):
    found = usual(*given, **how)
    print("reading", flush=True)
    sys.stdin.read()
    return found
PassageReader.spans_again = slow
edgeqa.open(reader="auto").ask(*sys.argv[1:])
"""


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.usefixtures("careful_base")
def test_whoever_is_ended_while_it_reads_leaves_nothing_behind(
    by: signal.Signals, opened: Callable[..., EdgeQA], read_again: list[str]
) -> None:
    run = [sys.executable, "-c", BROKEN_OFF, QUESTION, TEXT]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"reading\n"
        os.kill(process.pid, by)
        process.wait(DEADLINE_S)
    qa = opened()
    assert qa.remembered(QUESTION, TEXT) is None
    answer = qa.ask(QUESTION, TEXT)
    assert (answer.text, answer.reader, answer.cached) == ("London", "careful", False)
    assert read_again == [TEXT]


@pytest.fixture(scope="module")
def real() -> None:
    """Skips where edgeqa-base itself is not here."""
    if not REAL.is_dir():
        pytest.skip("models/base is not here: a source distribution has none")


@pytest.mark.usefixtures("real")
def test_the_real_one_answers_and_is_refused_where_memory_is_short(opened: Callable[..., EdgeQA]) -> None:
    qa = opened(reader="careful")
    answer = qa.ask("To what depth may the pump be submerged?", EXAMPLES / "pump-manual.txt")
    assert (answer.text, answer.reader, answer.model) == ("12 metres", "careful", "edgeqa-base 1")
    assert answer.probability > 0.8
    assert qa.ask("Who won the football world cup?", EXAMPLES / "pump-manual.txt").text is None
    board = {"budget_bytes": 256 << 20}
    with pytest.raises(errors.NotEnoughMemory, match=r"reader=careful: \d+ bytes needed, .* \d+ bytes missing"):
        opened(reader="careful", **board).ask(QUESTION, TEXT)
    assert opened(**board).ask(QUESTION, TEXT).reader == "fast"

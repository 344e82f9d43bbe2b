"""Tests the answer cache in front of `EdgeQA.ask`: what hits, what misses, and what a hit gives back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgeqa import errors, runtime
from edgeqa.asking import equipment
from edgeqa.capabilities import computing, hardware
from edgeqa.models import selftest
from edgeqa.models.bundle import DEFAULT_BUNDLE
from edgeqa.models.reading import PassageReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.runtime import EdgeQA

QUESTION = "Who designed the machine?"
TEXT = "The machine itself was designed by Charles Babbage and never finished."
UNRELATED = "When did the Normans arrive in Iceland?"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that were really read by the model."""
    asked: list[str] = []
    begin = PassageReader.question

    def watched(self: PassageReader, question: str) -> object:
        asked.append(question)
        return begin(self, question)

    monkeypatch.setattr(PassageReader, "question", watched)
    return asked


@pytest.fixture
def fresh() -> Iterator[EdgeQA]:
    with runtime.open() as opened:
        yield opened


def test_an_answer_is_read_once(fresh: EdgeQA, reads: list[str]) -> None:
    first, second, third = (fresh.ask(QUESTION, TEXT) for _ in range(3))
    assert reads == [QUESTION]
    assert not first.cached
    assert second.cached
    assert third is second  # at hand: nothing is made anew
    assert second == replace(first, cached=True)
    assert second.timings_ms == first.timings_ms


def test_a_files_answer_is_at_hand_under_what_it_holds_and_is_called(
    fresh: EdgeQA, reads: list[str], tmp_path: Path
) -> None:
    file, other = tmp_path / "a.txt", tmp_path / "b.txt"
    file.write_text(TEXT, encoding="utf-8")
    fresh.ask(QUESTION, file)
    known = fresh.ask(QUESTION, file)
    assert fresh.ask(QUESTION, file) is known  # at hand: nothing is cut from the file anew
    assert fresh.remembered(QUESTION, file) is known
    shutil.copy(file, other)
    assert fresh.ask(QUESTION, other) == replace(
        known,
        source=str(other),
        candidates=tuple(replace(one, source=str(other)) for one in known.candidates),
        closest=tuple(replace(one, source=str(other), document=str(other)) for one in known.closest),
    )
    assert reads == [QUESTION]
    file.write_text(TEXT.replace("Babbage", "Cabbage"), encoding="utf-8")
    assert fresh.ask(QUESTION, file).text == "Charles Cabbage"
    assert fresh.ask(QUESTION, file, refresh=True).cached is False
    assert len(reads) == 3


def test_a_long_text_is_at_hand_without_being_kept(fresh: EdgeQA) -> None:
    long = TEXT + " " + "It stood in a hall, behind a curtain, and nobody came. " * 400
    assert len(long) > runtime.AT_HAND_CHARACTERS
    fresh.ask(QUESTION, long)
    known = fresh.ask(QUESTION, long)
    held = fresh._equipment.cache.front.held_bytes
    assert fresh.ask(QUESTION, long) is known
    assert held < len(long)


def test_an_answer_outlives_its_process(reads: list[str]) -> None:
    with runtime.open() as qa:
        first = qa.ask(QUESTION, TEXT)
    with runtime.open() as qa:
        second = qa.ask(QUESTION, TEXT)
        assert qa._equipment._reading is None  # the model was not woken
    assert reads == [QUESTION]
    assert (second.cached, second.text, second.candidates) == (True, first.text, first.candidates)


def test_no_answer_is_remembered_too(fresh: EdgeQA, reads: list[str]) -> None:
    answers = [fresh.ask(UNRELATED, TEXT) for _ in range(2)]
    assert [(a.text, a.cached) for a in answers] == [(None, False), (None, True)]
    assert reads == [UNRELATED]


def test_errors_are_not_remembered(fresh: EdgeQA) -> None:
    for _ in range(2):
        with pytest.raises(errors.ContextEmpty):
            fresh.ask(QUESTION, "\u200b")
        assert fresh._equipment.cache.get(fresh.key(QUESTION, "\u200b")) is None


@pytest.mark.parametrize(
    "same", ["who  designed the machine?", " Who designed\nthe machine? ", "WHO DESIGNED THE MACHINE?"]
)
def test_the_same_question_in_other_letters_hits(fresh: EdgeQA, reads: list[str], same: str) -> None:
    first = fresh.ask(QUESTION, TEXT)
    for _ in range(2):
        found = fresh.ask(same, TEXT)
        assert (found.cached, found.candidates, found.question) == (True, first.candidates, " ".join(same.split()))
        assert fresh.ask(QUESTION, TEXT).question == QUESTION
    assert reads == [QUESTION]


@pytest.mark.parametrize(
    ("question", "text", "options"),
    [
        ("Who designed the machine", TEXT, {}),  # punctuation is kept: it changes what the model reads
        (QUESTION, TEXT + " ", {}),
        (QUESTION, TEXT.replace("Babbage", "Cabbage"), {}),
        (QUESTION, TEXT, {"top": 2}),
        (QUESTION, TEXT, {"force": True}),
        (QUESTION, TEXT, {"most_contexts": 5}),
        (QUESTION, [TEXT, TEXT], {}),
    ],
)
def test_whatever_may_change_the_answer_misses(
    fresh: EdgeQA, reads: list[str], question: str, text: str | list[str], options: dict[str, int]
) -> None:
    fresh.ask(QUESTION, TEXT)
    assert not fresh.ask(question, text, **options).cached  # type: ignore[arg-type]
    assert len(reads) == 2


def test_another_model_misses(tmp_path: Path, reads: list[str]) -> None:
    other = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "version": "2"}))
    for bundle in (DEFAULT_BUNDLE, other):
        with runtime.open(bundle=bundle) as qa:
            assert not qa.ask(QUESTION, TEXT).cached
    assert len(reads) == 2


def test_the_same_text_under_another_name_hits_with_that_name(fresh: EdgeQA, tmp_path: Path, reads: list[str]) -> None:
    fresh.ask(QUESTION, TEXT)
    for name in ("one.txt", "two.txt"):
        file = tmp_path / name
        file.write_text(TEXT, encoding="utf-8")
        found = fresh.ask(QUESTION, file)
        assert (found.cached, found.source, found.text) == (True, str(file), "Charles Babbage")
    assert fresh.ask(QUESTION, TEXT).source == "text"
    assert reads == [QUESTION]


def test_a_changed_file_misses(fresh: EdgeQA, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(TEXT, encoding="utf-8")
    fresh.ask(QUESTION, file)
    state = file.stat()
    file.write_text(TEXT.replace("Babbage", "Cabbage"), encoding="utf-8")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # same size, same time: only its bytes tell
    assert fresh.ask(QUESTION, file).text == "Charles Cabbage"


def test_a_remembered_answer_in_a_long_text_comes_with_its_context(fresh: EdgeQA, tmp_path: Path) -> None:
    text = ("Filler, cafe\u0301 and so on.\n\n" * 400) + TEXT + ("\n\nMore of it." * 400)
    file = tmp_path / "long.txt"
    file.write_text(text, encoding="utf-8")
    first, second = (fresh.ask(QUESTION, file, top=3) for _ in range(2))
    assert second.cached
    assert second.candidates == first.candidates
    assert all(c.context[c.start : c.end] == c.text for c in second.candidates)


def test_refresh_reads_again_and_off_remembers_nothing(fresh: EdgeQA, reads: list[str]) -> None:
    fresh.ask(QUESTION, TEXT)
    assert not fresh.ask(QUESTION, TEXT, refresh=True).cached
    assert fresh.ask(QUESTION, TEXT).cached
    with runtime.open(persist="off") as qa:
        assert [qa.ask(QUESTION, TEXT).cached for _ in range(2)] == [False, False]
    assert len(reads) == 4


def test_off_makes_no_cache(home: Path) -> None:
    with runtime.open(persist="off") as qa:
        qa.ask(QUESTION, TEXT)
    assert not (home / "cache").exists()


def test_in_memory_an_answer_lasts_as_long_as_the_runtime(home: Path, reads: list[str]) -> None:
    for _ in range(2):
        with runtime.open(persist="memory") as qa:
            assert [qa.ask(QUESTION, TEXT).cached for _ in range(2)] == [False, True]
    assert not (home / "cache").exists()
    assert len(reads) == 2


def test_the_cache_is_as_large_as_asked_for_when_it_is_made() -> None:
    with runtime.open(answer_cache_bytes=16 << 20) as qa:
        qa.ask(QUESTION, TEXT)
        assert qa._equipment.cache.stats().budget_bytes <= 16 << 20


def test_many_callers_at_once_cause_one_reading(fresh: EdgeQA, reads: list[str]) -> None:
    start = threading.Barrier(8)
    found: list[str | None] = []

    def work() -> None:
        start.wait()
        found.append(fresh.ask(QUESTION, TEXT).text)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["Charles Babbage"] * 8
    assert reads == [QUESTION]


def test_two_runtimes_in_one_process_share_what_they_remember(fresh: EdgeQA) -> None:
    fresh.ask(QUESTION, TEXT)
    with runtime.open() as other:
        assert other.ask(QUESTION, TEXT).cached
        with runtime.open(window_tokens=128) as narrow:
            assert not narrow.ask(QUESTION, TEXT).cached
    assert fresh.ask(QUESTION, TEXT).cached


def test_asking_after_close_is_an_error_even_for_what_is_at_hand() -> None:
    with runtime.open() as qa:
        qa.ask(QUESTION, TEXT)
    with pytest.raises(errors.Closed):
        qa.ask(QUESTION, TEXT)


def test_a_hit_on_the_command_line_imports_neither_model_library_nor_numpy(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(TEXT, encoding="utf-8")
    program = (
        "import sys\nimport edgeqa.cli as cli\n"
        f"code = cli.commands.main(['ask', '--json', {QUESTION!r}, {str(file)!r}], standalone_mode=False)\n"
        "print(sorted({'onnxruntime', 'tokenizers', 'numpy', 'psutil'} & set(sys.modules)))\n"
    )
    lines = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
        lines.append(done.stdout.splitlines())
    (first, _), (second, heavy) = lines
    assert [json.loads(line)["cached"] for line in (first, second)] == [False, True]
    assert heavy == "[]"


def test_a_key_names_all_that_an_answer_depends_on(fresh: EdgeQA) -> None:
    key = fresh.key(QUESTION, TEXT)
    assert key == fresh.key(QUESTION.upper(), TEXT)
    assert fresh.bundle.digest.encode() in key.canonical
    assert b"who designed the machine?" in key.canonical
    assert key != fresh.key(QUESTION, TEXT, top=2)
    with pytest.raises(errors.OptionError):
        fresh.key(QUESTION, TEXT, top=0)


def test_a_key_is_the_same_whatever_was_asked_before(fresh: EdgeQA, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    texts = [TEXT, TEXT + " ", file, [TEXT, UNRELATED], *(f"{TEXT} {number}" for number in range(40))]
    options = [{}, {"top": 2}, {"force": True}, {"most_contexts": 7}]
    with runtime.open() as other:
        first = [fresh.key(QUESTION, text, **option) for text in texts for option in options]  # type: ignore[arg-type]
        again = [other.key(QUESTION, text, **option) for option in options for text in texts]  # type: ignore[arg-type]
    assert len(set(first)) == len(first) - len(options)  # the file holds the first text
    assert set(again) == set(first)
    assert fresh.key(UNRELATED, TEXT) not in first
    with pytest.raises(errors.OptionError):
        fresh.key(QUESTION, TEXT, top=True)  # equal to 1, which was asked with


def test_a_record_that_does_not_fit_is_read_again_and_put_right(
    fresh: EdgeQA, tmp_path: Path, reads: list[str]
) -> None:
    file = tmp_path / "a.txt"
    file.write_text(TEXT, encoding="utf-8")
    for wrong in ({"spans": [["Ada", 0, 3, 0, 0, 9.0, 0.9, 3]], "contexts": 1, "skimmed": False}, "nonsense", {}):
        fresh._equipment.cache.put(fresh.key(QUESTION, file), wrong)
        assert [(a.text, a.cached) for a in (fresh.ask(QUESTION, file), fresh.ask(QUESTION, file))] == [
            ("Charles Babbage", False),
            ("Charles Babbage", True),
        ]
    assert len(reads) == 3


def test_a_large_file_that_changes_while_it_is_read_is_an_error_and_not_remembered(
    fresh: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "large.txt"
    file.write_text("The gardens are open.\n" * 200_000 + TEXT, encoding="utf-8")
    begin = PassageReader.question

    def meddled(self: PassageReader, question: str) -> object:
        found = begin(self, question)
        with file.open("a", encoding="utf-8") as stream:
            stream.write("More.")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(PassageReader, "question", meddled)
        with pytest.raises(errors.ContextChanged, match=r"changed while it was read: .*large\.txt"):
            fresh.ask(QUESTION, file, most_contexts=5)
    assert not fresh.ask(QUESTION, file, most_contexts=5).cached


def test_a_cache_that_has_killed_twice_is_off_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text(TEXT, encoding="utf-8")
    command = [sys.executable, "-m", "edgeqa", "ask", "-q", QUESTION, str(file)]
    subprocess.run(command, check=True, capture_output=True)
    dying = (
        "import os, signal, edgeqa\n"
        "import edgeqa.cache.guard as guard\n"
        "guard.Store.open = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "edgeqa.open()._equipment.cache.get('x')\n"
    )
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", dying], check=False, capture_output=True).returncode == -9
    third = subprocess.run(command, check=True, capture_output=True, text=True)
    assert third.stdout == "Charles Babbage\n"
    assert "nothing is remembered: 2 starts in a row died inside the cache" in third.stderr
    assert "edgeqa cache verify" in third.stderr
    subprocess.run([sys.executable, "-m", "edgeqa", "cache", "verify"], check=True, capture_output=True)
    assert subprocess.run(command, check=True, capture_output=True, text=True).stderr == ""


def test_answers_are_remembered_under_how_this_device_computes(qa: EdgeQA, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "The bridge was built in 1932."
    key, fingerprint = qa.key("When was it built?", text), qa.fingerprint()
    assert fingerprint == qa.self_test().fingerprint
    assert f"reading {equipment.READING_VERSION}, {fingerprint}".encode() in key.canonical
    with monkeypatch.context() as patch:
        patch.setattr(equipment, "READING_VERSION", equipment.READING_VERSION + 1)
        with runtime.open(persist="off") as other:
            assert other.key("When was it built?", text) != key
    with monkeypatch.context() as patch:  # another onnxruntime that computes alike may share answers
        patch.setattr(computing, "onnxruntime_version", lambda: "0.0")
        with runtime.open(persist="off") as other:
            assert not other._equipment.has_fingerprint
            assert other.key("When was it built?", text) == key


def test_a_home_that_comes_from_a_device_that_computes_otherwise_gives_none_of_its_answers(
    fresh: EdgeQA, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fresh.ask(QUESTION, TEXT)
    run = selftest.run

    def otherwise(*arguments: Any) -> selftest.Verdict:  # noqa: ANN401 - as `run` takes them
        return replace(run(*arguments), fingerprint="f" * 32)

    with monkeypatch.context() as patch:
        patch.setattr(selftest, "run", otherwise)
        patch.setattr(hardware, "digest_in", lambda _: "another")
        patch.setattr(computing, "digest_in", lambda _: "another")
        with runtime.open() as carried:
            assert carried.remembered(QUESTION, TEXT) is None
            assert not carried.counters().model_loaded
            assert not carried.ask(QUESTION, TEXT).cached
            assert carried.fingerprint() == "f" * 32
        with runtime.open() as again:
            assert again.ask(QUESTION, TEXT).cached
            assert not again.counters().model_loaded
    with runtime.open() as back:
        assert back.ask(QUESTION, TEXT) == replace(first, cached=True)


def test_a_processor_that_hides_is_tested_in_each_process(fresh: EdgeQA, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.ask(QUESTION, TEXT)
    monkeypatch.setattr(hardware, "digest_in", lambda _: None)
    monkeypatch.setattr(computing, "digest_in", lambda _: None)
    with runtime.open() as hidden:
        assert hidden.remembered(QUESTION, TEXT) is None
        assert hidden.ask(QUESTION, TEXT).cached
        assert hidden.counters().model_loaded

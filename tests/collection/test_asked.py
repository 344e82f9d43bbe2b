"""Tests asking a whole collection, with real writer, index and model, and the answer cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from library import DOCUMENTS, add

from edgeqa import collection, errors, runtime, state
from edgeqa.asking import named
from edgeqa.asking.equipment import Equipment
from edgeqa.asking.named import AnswerNameInvalid
from edgeqa.cache import Cache
from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.errors import CollectionEmpty, CollectionNotFound, ContextGone
from edgeqa.collection.snapshot import SHARDS
from edgeqa.models.reading import PassageReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Run

    from edgeqa.runtime import EdgeQA

QUESTION = "Who designed the machine?"


@pytest.fixture(scope="module")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a collection, to be copied."""
    path = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(state.HOME_VARIABLE, str(path))
        with runtime.open(persist="off") as opened:
            add(opened, DOCUMENTS)
            add(opened, DOCUMENTS, "bare", encoded=False)
    return path


@pytest.fixture
def qa() -> Iterator[EdgeQA]:
    """A runtime with a cache and a home of the test's own."""
    with runtime.open() as opened:
        yield opened


@pytest.fixture
def filled(home: Path, filled_home: Path) -> Iterator[EdgeQA]:
    """The same, with a collection of its own."""
    shutil.copytree(filled_home, home)
    with runtime.open() as opened:
        yield opened


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the contexts that the model reads from now on."""
    seen: list[str] = []
    spans = PassageReader.spans

    def noted(self: PassageReader, question: object, context: object, *arguments: object, **options: object) -> object:
        seen.append(context.text)  # type: ignore[attr-defined]
        return spans(self, question, context, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PassageReader, "spans", noted)
    return seen


@pytest.mark.parametrize(
    ("question", "answer", "document"),
    [
        (QUESTION, "Charles Babbage", "engine.txt"),
        ("To what depth may the pump be submerged?", "12 metres", "pump.txt"),
        ("Who built the bridge?", "Dorman Long", "bridge.txt"),
        ("When are the gardnes open?", "nine to five", "odd {8YG}_name:1_.txt"),
    ],
)
def test_the_answer_comes_from_the_right_document(filled: EdgeQA, question: str, answer: str, document: str) -> None:
    found = filled.ask(question, force=True)  # the reader itself is unsure of misspelt words
    assert found.text is not None
    assert answer in found.text
    assert found.source == document
    assert found.context == DOCUMENTS[document]
    assert found.context[found.start : found.end] == found.text
    tag = json.loads(json.dumps(found.to_json()))["address"].removeprefix(f"{document}:{{")
    assert tag.endswith("}:1")
    assert not found.skimmed
    assert found.contexts < len(DOCUMENTS)


def test_from_token_ids_it_is_the_same(filled: EdgeQA) -> None:
    with runtime.open(collection="bare") as bare:
        for question in (QUESTION, "Who built the bridge?"):
            one, other = (qa.ask(question, most_contexts=3, refresh=True) for qa in (filled, bare))
            assert [(c.text, c.source, c.score) for c in one.candidates] == [
                (c.text, c.source, c.score) for c in other.candidates
            ]


def test_what_nothing_is_known_of_has_no_answer(filled: EdgeQA) -> None:
    for question in ("Xylophonists?", "What is the price of a ticket to the opera in Vienna?"):
        assert filled.ask(question).text is None
    with pytest.raises(errors.EmptyQuestion):
        filled.ask("\x07")


def test_two_documents_of_one_name_are_two(
    home: Path, qa: EdgeQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    for folder, text in (("x", "The bridge was built in 1932."), ("y", "The tunnel was built in 1992.")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.txt").write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path / folder)
        qa.add("notes.txt")
    first, again = qa.ask("When was it built?", top=4), qa.ask("When was it built?", top=4)
    assert {candidate.source for candidate in first.candidates} == {"notes.txt"}
    assert {"1932", "1992"} <= {candidate.text for candidate in first.candidates}
    assert (first.cached, again.cached) == (False, True)
    with runtime.open() as other:
        remembered = other.ask("When was it built?", top=4)
    for answer in (again, remembered):
        assert answer.candidates == first.candidates
    for candidate in first.candidates:
        same = [c.source_number for c in first.candidates if c.context == candidate.context]
        assert set(same) == {candidate.source_number}
    assert {candidate.source_number for candidate in first.candidates} == {0, 1}


def test_a_question_of_stop_words_alone_is_read_too(filled: EdgeQA) -> None:
    filled.remove(["bridge.txt", "odd {8YG}_name:1_.txt", "pump.txt"])
    answer = filled.ask("By whom was it?", force=True)
    assert (answer.contexts, answer.source) == (1, "engine.txt")


@pytest.mark.parametrize("words", [4_000, 100_000])
def test_a_question_of_any_length_is_asked_by_its_beginning(filled: EdgeQA, words: int) -> None:
    long = QUESTION + "".join(f" word{number}" for number in range(words))
    answer = filled.ask(long, force=True)
    assert answer.question_cut
    assert answer.source == "engine.txt"


def test_an_answer_is_remembered_and_told_so(filled: EdgeQA, reads: list[str]) -> None:
    first, second = filled.ask(QUESTION), filled.ask(QUESTION)
    assert (first.cached, second.cached) == (False, True)
    assert second.candidates == first.candidates
    assert second.contexts == first.contexts == len(reads)
    with runtime.open() as other:
        assert other.ask("who  designed the MACHINE?").candidates == first.candidates
    assert len(reads) == first.contexts
    assert not filled.ask(QUESTION, refresh=True).cached
    assert len(reads) == 2 * first.contexts


def test_each_question_counts_once_however_many_contexts_it_is_asked_of(filled: EdgeQA) -> None:
    question = "What was built, designed or submerged in the rose garden?"
    with Cache.open() as cache:
        assert filled.ask(question, most_contexts=4).contexts == 4
        assert (cache.stats().misses, cache.stats().hits) == (1, 0)
        filled.ask(question, most_contexts=4)
        assert (cache.stats().misses, cache.stats().hits) == (1, 1)
        assert filled.ask(question, most_contexts=3).contexts == 3  # of answers that are known of each
        assert cache.stats().misses == 2
        address = addresses(filled)[0]
        tag = address.rpartition(":{")[2].partition("}")[0]
        before = cache.stats().hits
        assert filled.get(f"bertqa{{{tag}}}_{address}_{question}").cached
        assert (cache.stats().misses, cache.stats().hits) == (2, before + 1)


def test_after_a_document_was_added_only_what_is_new_is_read(filled: EdgeQA, reads: list[str]) -> None:
    before = filled.ask(QUESTION, most_contexts=4)
    assert len(reads) == before.contexts
    del reads[:]
    text = "A machine for tea was designed by nobody in particular."
    add(filled, {"tea.txt": text})
    after = filled.ask(QUESTION, most_contexts=4)
    assert not after.cached
    assert after.text == before.text
    assert reads == [text]


def test_what_is_removed_is_not_answered_from(filled: EdgeQA) -> None:
    assert filled.ask(QUESTION).source == "engine.txt"
    add(filled, {"engine.txt": "Nothing about it."})
    assert filled.ask(QUESTION).source != "engine.txt"


def test_more_contexts_may_be_asked_for(filled: EdgeQA) -> None:
    question = "What was built, designed or submerged in the rose garden?"
    assert filled.ask(question, most_contexts=1).contexts == 1
    assert filled.ask(question, most_contexts=4, top=5).contexts == 4
    for options in ({"top": 0}, {"most_contexts": 0}, {"most_contexts": "2"}, {"top": True}):
        with pytest.raises(errors.OptionError):
            filled.ask(question, **options)


def test_candidates_are_distinct_and_each_says_where_it_is_from(filled: EdgeQA) -> None:
    found = filled.ask("What was built or designed?", top=3, force=True, most_contexts=4)
    assert len({(c.source, c.start) for c in found.candidates}) == 3
    assert all(c.address is not None and c.address.startswith(c.source) for c in found.candidates)
    again = filled.ask("What was built or designed?", top=3, force=True, most_contexts=4)
    assert again.candidates == found.candidates


def test_no_collection_and_an_empty_one_say_how_to_fill_it(qa: EdgeQA) -> None:
    with pytest.raises(CollectionNotFound) as caught:
        qa.ask(QUESTION)
    assert "edgeqa add" in caught.value.hint
    add(qa, {})
    with pytest.raises(CollectionEmpty) as empty:
        qa.ask(QUESTION)
    assert "edgeqa add" in empty.value.hint


def test_collections_are_apart(filled: EdgeQA) -> None:
    add(filled, {"a.txt": "The machine was designed by Ada."}, "other")
    with runtime.open(collection="other") as other:
        assert other.ask(QUESTION).text == "Ada"
    assert filled.ask(QUESTION).text == "Charles Babbage"


def test_a_name_gets_the_answer_on_its_context(filled: EdgeQA, reads: list[str]) -> None:
    for document, question, expected in (
        ("engine.txt", QUESTION, "Charles Babbage"),
        ("odd {8YG}_name:1_.txt", "From when to when_are {the} gardens: open?", "nine to five"),
    ):
        address = next(a for a in addresses(filled) if a.startswith(document))
        tag = address.rpartition(":{")[2].partition("}")[0]
        name = f"bertqa{{{tag}}}_{address}_{question}"
        del reads[:]
        first, second = filled.get(name), filled.get(name)
        assert first.text is not None
        assert expected in first.text
        assert (first.source, first.address, first.question) == (document, address, question)
        assert (first.cached, second.cached, len(reads)) == (False, True, 1)
        assert second.candidates == first.candidates


def name_of(qa: EdgeQA, document: str, question: str) -> str:
    address = next(a for a in addresses(qa) if a.startswith(f"{document}:"))
    return f"bertqa{{{address.rpartition(':{')[2].partition('}')[0]}}}_{address}_{question}"


def test_a_name_that_many_ask_for_at_once_is_read_once(
    filled: EdgeQA, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, callers = name_of(filled, "engine.txt", QUESTION), 8
    all_have_looked = threading.Barrier(callers)
    find = named._find

    def found_by_all(*arguments: Any) -> Any:  # noqa: ANN401 - what it is given
        found = find(*arguments)
        all_have_looked.wait(60)
        return found

    monkeypatch.setattr(named, "_find", found_by_all)
    with ThreadPoolExecutor(callers) as pool:
        answers = list(pool.map(filled.get, [name] * callers))
    assert {answer.text for answer in answers} == {"Charles Babbage"}
    assert len(reads) == 1
    assert sum(not answer.cached for answer in answers) == 1


def test_a_name_at_hand_needs_neither_model_nor_catalogue(filled: EdgeQA, monkeypatch: pytest.MonkeyPatch) -> None:
    add(filled, {"copy.txt": DOCUMENTS["engine.txt"]})
    document_of = {name_of(filled, document, QUESTION): document for document in ("engine.txt", "copy.txt")}
    forced = name_of(filled, "engine.txt", "Who paints the bridge red?")
    assert [filled.get(name).source for name in document_of] == [*document_of.values()]
    assert (filled.get(forced).text, filled.get(forced, force=True).text is None) == (None, False)

    def fails(*_: object) -> None:
        pytest.fail("it is not at hand")

    with monkeypatch.context() as patch:
        patch.setattr(Catalogue, "read", fails)
        patch.setattr(Equipment, "reading", property(fails))
        assert [filled.get(name).source for name in document_of] == [*document_of.values()]
        assert (filled.get(forced).text, filled.get(forced, force=True).text is None) == (None, False)
        hits = filled._equipment.cache.stats().hits
        assert filled.get(forced).cached
        assert filled._equipment.cache.stats().hits == hits + 1
    filled.remove(["copy.txt"])
    engine, copy = document_of
    assert filled.get(engine).source == "engine.txt"
    with pytest.raises(ContextGone):
        filled.get(copy)


def addresses(qa: EdgeQA) -> list[str]:
    return [context.address for context in qa._equipment.scope.collection().contexts_from(0)]


def test_a_wrong_name_says_what_is_wrong(filled: EdgeQA) -> None:
    with pytest.raises(AnswerNameInvalid):
        filled.get("Who?")
    name = f"bertqa{{8YG}}_{addresses(filled)[0].partition(':{')[0]}:{{8YG}}:1_Who?"
    with pytest.raises(ContextGone, match="8YG"):
        filled.get(name)
    tag = addresses(filled)[0].rpartition(":{")[2].partition("}")[0]
    with pytest.raises(ContextGone):
        filled.get(f"bertqa{{{tag}}}_engine.txt:{{{tag}}}:2_Who?")
    with pytest.raises(errors.EmptyQuestion):
        filled.get(f"bertqa{{{tag}}}_{addresses(filled)[0]}_ ")


def test_what_a_damaged_shard_may_have_held_is_said_and_not_remembered(filled: EdgeQA) -> None:
    filled.close()
    question = "Who built the bridge?"
    place = collection.directory() / SHARDS
    for shard in place.iterdir():
        records = shard / "records.bin"
        if b"Dorman" in (raw := records.read_bytes()):
            tag, whole = shard.name, raw
            records.write_bytes(raw.replace(b"Dorman", b"Norman"))
    with runtime.open() as opened:
        for _ in range(2):
            found = opened.ask(question)
            assert found.text != "Dorman Long"
            assert not found.cached
            assert [tag in damage for damage in found.damaged] == [True]
    (place / tag / "records.bin").write_bytes(whole)
    with runtime.open() as mended:
        assert (mended.ask(question).text, mended.ask(question).damaged) == ("Dorman Long", ())


PROGRAM = """
import sys
from edgeqa.cli import commands
try: commands.main(sys.argv[1:], prog_name="edgeqa", standalone_mode=False)
finally: print("heavy:", sorted({"onnxruntime", "tokenizers", "tantivy", "numpy", "sqlite3"} & set(sys.modules)))
"""


@pytest.mark.usefixtures("unmeasured")
def test_a_remembered_answer_needs_neither_model_nor_index(filled: EdgeQA, run: Run) -> None:
    filled.close()
    for heavy in ("['numpy', 'onnxruntime', 'sqlite3', 'tantivy', 'tokenizers']", "[]"):
        done = run(PROGRAM, "ask", "-q", QUESTION).communicate("", timeout=120)
        assert done == (f"Charles Babbage\nheavy: {heavy}\n", "")


def command(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    standard_input = {"stdin": subprocess.DEVNULL} if given is None else {"input": given}
    return subprocess.run(
        [sys.executable, "-m", "edgeqa", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **standard_input,
    )


def test_the_command_asks_the_collection_where_nothing_is_piped_in(filled: EdgeQA) -> None:
    filled.close()
    shown = command("ask", QUESTION)
    assert shown.returncode == 0
    assert "Charles Babbage" in shown.stdout
    assert "engine.txt, characters" in shown.stdout
    assert command("ask", "-q", QUESTION, given="").stdout == "Charles Babbage\n"
    assert command("ask", "-q", QUESTION, given="The machine was designed by Ada.").stdout == "Ada\n"
    assert command("ask", "-q", QUESTION, "--collection", "default", given="By Ada.").stdout == "Charles Babbage\n"
    found = json.loads(command("ask", "--json", QUESTION).stdout)
    assert found["address"].startswith("engine.txt:{")
    name = f"bertqa{{{found['address'].split('{')[1].split('}')[0]}}}_{found['address']}_When was it designed?"
    assert command("get", "-q", name).stdout == "1837\n"
    assert command("cache", "explain", QUESTION).stdout.startswith("hit\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "Who?"], "no text to answer from"),
        (["ask", "Who?", "--collection", "nowhere"], "no collection called nowhere"),
        (["ask", "Who?", "--collection", "../x"], "not a name for a collection: '../x'"),
        (["ask", "Who?", "--text", "Ada.", "--collection", "x"], "both the collection x and texts are named"),
        (["get", "Who?"], "no collection called default"),
    ],
)
def test_errors_name_the_value_and_the_remedy(arguments: list[str], message: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_default_collection_is_called_the_same_everywhere() -> None:
    assert Equipment.__init__.__defaults__ == (collection.DEFAULT,)


@pytest.mark.parametrize(("option", "value"), [("top", 0), ("top", "1"), ("most_contexts", 0), ("most_contexts", 1.5)])
def test_an_option_that_cannot_be_is_named_whatever_is_asked(filled: EdgeQA, option: str, value: object) -> None:
    wrong: dict[str, Any] = {option: value}
    for text in (None, "The machine was designed by Charles Babbage."):
        for ask in (filled.ask, filled.key):
            with pytest.raises(errors.OptionError, match=f"{option} cannot be {value!r}"):
                ask(QUESTION, text, **wrong)

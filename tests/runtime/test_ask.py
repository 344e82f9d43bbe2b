"""Tests `EdgeQA.ask` on the real bundled model."""

from __future__ import annotations

import dataclasses
import threading
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgeqa
from edgeqa import errors, runtime
from edgeqa.models.spans import MAX_ANSWER_TOKENS

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.models.tokenizer import Tokenizer
    from edgeqa.runtime import EdgeQA

BABBAGE = (
    "In 1843 Ada Lovelace published notes on the Analytical Engine, among them a method for computing Bernoulli "
    "numbers that is often called the first computer program. The machine itself was designed by Charles Babbage and "
    "never finished."
)
PUMP = (
    "The pump is rated IP68. It may be submerged to a depth of 12 metres for at most 30 days, after which the seals "
    "must be replaced."
)
FILLER = (
    "The gardens are open from nine in the morning. Dogs are welcome on a lead. The café by the gate serves tea and "
    "cake, and there is a small shop with postcards. Please take your litter home with you.\n\n"
)
QUESTIONS = [
    ("Who designed the machine?", BABBAGE, "Charles Babbage"),
    ("When did Ada Lovelace publish notes on the Analytical Engine?", BABBAGE, "1843"),
    ("How deep may the pump be submerged?", PUMP, "12 metres"),
    ("How is the pump rated?", PUMP, "IP68"),
]


@pytest.mark.parametrize("context", [PUMP, f"{PUMP}\n\n{FILLER * 12}"])
def test_that_a_text_shares_no_word_with_a_question_is_said_and_nothing_else(qa: EdgeQA, context: str) -> None:
    for question, notes in (
        ("Which zebras sing?", ("the text has no word of the question",)),
        ("Who painted the pump?", ()),
        ("What is it?", ()),  # it has no word that any text could share
    ):
        answer = qa.ask(question, context)
        assert (answer.text, answer.notes) == (None, notes)


@pytest.mark.parametrize(("question", "context", "expected"), QUESTIONS)
def test_an_answer_is_cut_from_its_context(qa: EdgeQA, question: str, context: str, expected: str) -> None:
    answer = qa.ask(question, context)
    assert answer.text == expected
    assert answer.context == context
    assert context[answer.start : answer.end] == expected
    assert 0.5 < answer.probability <= 1
    assert answer.score > 0
    assert (answer.source, answer.model, answer.cached) == ("text", "edgeqa-mini 4", False)
    assert answer.timings_ms["total"] >= answer.timings_ms["read"] > 0


def test_an_unrelated_text_has_no_answer(qa: EdgeQA) -> None:
    answer = qa.ask("When did the Normans arrive in Iceland?", PUMP)
    assert (answer.text, answer.start, answer.end, answer.context, answer.source) == (None,) * 5
    assert answer.probability < 0.5
    forced = qa.ask("When did the Normans arrive in Iceland?", PUMP, force=True)
    assert forced.text == answer.candidates[0].text
    assert forced.probability == answer.probability


def test_an_answer_is_a_frozen_value(qa: EdgeQA) -> None:
    answer = qa.ask(*QUESTIONS[0][:2])
    assert answer == qa.ask(*QUESTIONS[0][:2])
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.text = "other"  # type: ignore[misc]


def test_the_answer_in_a_long_text_is_found_with_its_place(qa: EdgeQA) -> None:
    text = FILLER * 60 + PUMP + "\n\n" + FILLER * 60
    answer = qa.ask("How deep may the pump be submerged?", text)
    assert answer.text == "12 metres"
    assert 1 <= answer.contexts < 4  # of about thirty
    assert answer.context is not None
    assert answer.context[answer.start : answer.end] == "12 metres"
    assert text[answer.source_start : answer.source_end] == "12 metres"
    assert answer.source_start == text.index("12 metres")


@pytest.mark.parametrize("before", range(0, 90, 9))
def test_no_answer_is_lost_on_a_border(qa: EdgeQA, before: int) -> None:
    # One line without an end, so that windows have to be cut inside it, at another place each time.
    text = ("and so on " * before + PUMP + " and so on" * 300).replace(".", ",")
    assert qa.ask("How deep may the pump be submerged?", text, force=True).text == "12 metres"


@pytest.mark.parametrize("window_tokens", [128, 200, 320, 448])
@pytest.mark.parametrize("batch_contexts", [1, 3, 64])
def test_the_answer_is_the_same_at_any_window_and_batch(window_tokens: int, batch_contexts: int) -> None:
    text = FILLER * 12 + PUMP + "\n\n" + FILLER * 12
    with runtime.open(window_tokens=window_tokens, batch_contexts=batch_contexts, persist="off") as qa:
        answer = qa.ask("How deep may the pump be submerged?", text)
    assert answer.text == "12 metres"
    assert answer.source_start == text.index("12 metres")


def test_no_logit_depends_on_the_batch() -> None:
    text = FILLER * 8 + BABBAGE + "\n\n" + FILLER * 8
    found = []
    for batch_contexts in (1, 2, 16):
        with runtime.open(batch_contexts=batch_contexts, persist="off") as qa:
            found.append(qa.ask("Who designed the machine?", text, top=5))
    assert found[0] == found[1] == found[2]


def test_candidates_are_distinct_and_sorted(qa: EdgeQA) -> None:
    answer = qa.ask("What happened?", FILLER * 20 + BABBAGE + "\n\n" + PUMP, top=10, force=True)
    ranges = sorted((c.source_start, c.source_end) for c in answer.candidates)
    assert len(ranges) == 10
    assert all(a[1] <= b[0] for a, b in pairwise(ranges))
    scores = [c.score for c in answer.candidates]
    assert scores == sorted(scores, reverse=True)
    assert (answer.text, answer.score) == (answer.candidates[0].text, scores[0])


def test_files_and_several_texts_are_told_apart(qa: EdgeQA, tmp_path: Path) -> None:
    file = tmp_path / "machine.txt"
    file.write_text(BABBAGE, encoding="utf-8")
    assert qa.ask("Who designed the machine?", file).source == str(file)
    assert qa.ask("Who designed the machine?", [PUMP, file]).source == str(file)
    assert qa.ask("How deep may the pump be submerged?", [BABBAGE, PUMP]).source == "text 2"


def test_many_questions_come_back_in_their_order(qa: EdgeQA) -> None:
    pairs = [(q, c) for q, c, _ in QUESTIONS]
    shuffled = [pairs[i] for i in (2, 0, 3, 1, 2)]
    seen: list[tuple[int, int]] = []
    answers = qa.ask_many(shuffled, progress=lambda _, done, total: seen.append((done, total)))
    assert [a.text for a in answers] == ["12 metres", "Charles Babbage", "IP68", "1843", "12 metres"]
    assert answers == [qa.ask(*pair) for pair in shuffled]
    assert seen == [(n, 5) for n in range(1, 6)]


def test_many_threads_get_their_own_answers(qa: EdgeQA) -> None:
    wrong: list[str] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for turn in range(6):
            question, context, expected = QUESTIONS[(number + turn) % len(QUESTIONS)]
            if (found := qa.ask(question, context).text) != expected:
                wrong.append(f"{question}: {found}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_question_beyond_64_tokens_is_cut_and_says_so(qa: EdgeQA) -> None:
    question = "Who designed the machine?"
    assert not qa.ask(question, BABBAGE).question_cut
    longest = " ".join(["machine"] * 62)
    assert not qa.ask(longest, BABBAGE).question_cut
    assert qa.ask(longest + " machine", BABBAGE).question_cut
    endless = qa.ask(question + " really" * 500, BABBAGE)
    assert endless.question_cut
    assert endless.question.endswith("really really")


@pytest.mark.parametrize("question", ["", "  \n\t ", "\u200b", "\u3000"])
def test_an_empty_question_is_an_error(qa: EdgeQA, question: str) -> None:
    with pytest.raises(errors.EmptyQuestion):
        qa.ask(question, BABBAGE)


def test_a_question_of_another_type_is_an_error(qa: EdgeQA) -> None:
    with pytest.raises(TypeError, match="a question is a str, not int"):
        qa.ask(7, BABBAGE)  # type: ignore[arg-type]


@pytest.mark.parametrize("context", ["", " \n ", "\u200b", ["", ""]])
def test_an_empty_context_is_an_error(qa: EdgeQA, context: str | list[str]) -> None:
    with pytest.raises(errors.ContextEmpty, match="no text in text"):
        qa.ask("Who?", context)


def test_no_context_at_all_is_an_error(qa: EdgeQA) -> None:
    with pytest.raises(errors.ContextMissing):
        qa.ask("Who?", [])


def test_options_that_make_no_sense_are_refused(qa: EdgeQA) -> None:
    with pytest.raises(ValueError, match="top cannot be 0"):
        qa.ask("Who?", BABBAGE, top=0)
    with pytest.raises(ValueError, match="most_contexts cannot be -1"):
        qa.ask("Who?", BABBAGE, most_contexts=-1)


def test_a_text_of_one_endless_word_has_no_answer(qa: EdgeQA) -> None:
    word = "".join("qxzjkvwy"[(n * n + n // 3) % 8] for n in range(99))  # more pieces than an answer may have
    answer = qa.ask("Who?", word, force=True)
    assert (answer.text, answer.candidates, answer.probability) == (None, (), 0.0)


def test_asking_after_close_is_an_error() -> None:
    with edgeqa.open() as qa:
        pass
    qa.close()
    with pytest.raises(errors.Closed):
        qa.ask("Who?", BABBAGE)


def test_of_a_long_text_as_many_passages_are_read_as_were_asked_for(qa: EdgeQA) -> None:
    text = FILLER * 300 + PUMP + "\n\n" + FILLER * 300
    answer = qa.ask("How deep may the pump be submerged?", text, most_contexts=8)
    assert answer.contexts == 8
    assert not answer.skimmed
    assert answer.text == "12 metres"
    assert text[answer.source_start : answer.source_end] == "12 metres"


def test_reading_more_passages_makes_the_same_span_no_less_likely(qa: EdgeQA) -> None:
    text = FILLER * 300 + PUMP + "\n\n" + FILLER * 300
    answers = [qa.ask("How deep may the pump be submerged?", text, most_contexts=most) for most in (1, 2, 5, 20)]
    assert [answer.contexts for answer in answers] == [1, 2, 5, 20]
    assert {answer.text for answer in answers} == {"12 metres"}
    assert min(answer.probability for answer in answers) >= answers[0].probability


# Letters with marks that compose or not, emoji with joiners and skin tones, Hangul as syllables and in jamo, Hebrew and
# Arabic, Chinese, Windows line ends: pieces from which texts are put together.
PIECES = st.sampled_from(
    [
        *("The machine ", "was built by ", "in 1843. ", "don't ", "(quoted) ", "[SEP] ", "\r\n", "\r\n\r\n"),
        *("Zoe\u0301 Br\u00f8nsted ", "x\u0302y\u0323\u0302 ", "super\u00adcali\u200bfragilistic ", "\ufffd word "),
        *("\U0001f469\u200d\U0001f469\u200d\U0001f467 ", "\U0001f44d\U0001f3fd ", "\u2764\ufe0f "),
        *("\u1112\u1161\u11ab\u1100\u1173\u11af ", "\ud55c\uad6d\uc5b4 ", "\u6771\u4eac\u3002"),
        *("\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd ", "\u0645\u0631\u062d\u0628\u0627 ", "e" * 140 + " "),
    ]
)


@settings(max_examples=150)
@given(st.lists(PIECES, min_size=1, max_size=14).map("".join))
def test_whatever_the_script_an_answer_is_whole_words_of_the_nfc_text(
    qa: EdgeQA, tokenizer: Tokenizer, text: str
) -> None:
    try:
        answer = qa.ask("Who built the machine?", text, top=3, force=True)
    except errors.ContextEmpty:
        assert not text.strip()
        return
    normal = unicodedata.normalize("NFC", text)
    for c in answer.candidates:
        assert 0 <= c.start < c.end <= len(c.context)
        assert c.context[c.start : c.end] == c.text == normal[c.source_start : c.source_end]
        tokens = tokenizer.tokenize(normal)
        inside = (tokens.offsets[:, 0] >= c.source_start) & (tokens.offsets[:, 1] <= c.source_end)
        assert 1 <= inside.sum() <= MAX_ANSWER_TOKENS
        # Every word is all inside or all outside, and no mark or joiner is left behind.
        assert not set(tokens.words[inside]) & set(tokens.words[~inside])
        assert not unicodedata.category((normal + " ")[c.source_end]).startswith("M")
        assert (normal + " ")[c.source_end] not in "\u200d\ufe0f"
        assert 0 <= c.probability <= 1


def test_values_of_other_types_are_refused_with_a_hint(qa: EdgeQA) -> None:
    with pytest.raises(errors.OptionError, match=r"top cannot be 1\.5"):
        qa.ask("Who?", BABBAGE, top=1.5)  # type: ignore[arg-type]
    with pytest.raises(errors.OptionError, match="most_contexts cannot be True"):
        qa.ask("Who?", BABBAGE, most_contexts=True)
    with pytest.raises(errors.OptionError, match="pairs cannot be 'Who\\?'"):
        qa.ask_many(["Who?"])  # type: ignore[list-item]
    with pytest.raises(errors.OptionError, match="bundle cannot be 123"):
        runtime.open(bundle=123)  # type: ignore[arg-type]
    with pytest.raises(errors.QuestionType):
        qa.ask(["Who?"], BABBAGE)  # type: ignore[arg-type]


def test_many_questions_may_be_none(qa: EdgeQA) -> None:
    assert qa.ask_many([]) == []
    assert [a.text for a in qa.ask_many((q, c) for q, c, _ in QUESTIONS[:1])] == ["Charles Babbage"]

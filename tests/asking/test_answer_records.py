"""Tests that keys of answers have their golden bytes, hold all that an answer depends on, and join equal questions."""

from __future__ import annotations

import unicodedata
from dataclasses import FrozenInstanceError, replace

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.answer import Answer, Candidate, ClosePassage
from edgeqa.asking.records import answer_keys, normalise_question
from edgeqa.cache.records import Key, split_fields


def make(question: str = "Who?", **changes: object) -> Key:
    options: dict[str, object] = {"max_answer_tokens": 30, "top": 1}
    everything: dict[str, object] = {
        "bundle_digest": "b1",
        "computed": "int8",
        "options": options,
        "scope_digest": "s1",
        "lowercase": True,
    }
    return answer_keys(**(everything | changes))(question)  # type: ignore[arg-type]  # spelled out above


def test_the_key_of_an_answer_is_these_bytes() -> None:
    key = make(" Who \n wrote_it? ")
    assert key.canonical.hex() == (
        "6564676571612d6b65792d31"  # edgeqa-key-1
        "07000000616e7377657273"  # answers
        "020000006231"  # bundle
        "04000000696e7438"  # how it was computed
        "30000000"  # options, sorted by name
        "64" "12000000" "73" "6d61785f616e737765725f746f6b656e73" "05000000" "6930783165"
        "04000000" "73746f70" "04000000" "69307831"
        "020000007331"  # scope
        "0d00000077686f2077726f74655f69743f"  # who wrote_it?
    )  # fmt: skip
    assert key.keyspace == "answers"
    assert key.digest.hex() == f"{xxhash.xxh3_128_intdigest(key.canonical) >> 1:032x}"
    assert (key.digest.hex(), key.check.hex()) == (
        "463c04c51873ba5470d6a96d3a0469ea",
        "4b406b2ccfbcf40ec1c043b7586d018f",
    )


def test_everything_that_an_answer_depends_on_is_in_its_key() -> None:
    keys = {
        make().digest,
        make("Whom?").digest,
        make("Who").digest,
        make(bundle_digest="b2").digest,
        make(computed="float32").digest,
        make(options={"max_answer_tokens": 31, "top": 1}).digest,
        make(options={}).digest,
        make(scope_digest="s2").digest,
    }
    assert len(keys) == 8


@pytest.mark.parametrize(("one", "other"), [(1, True), (0, False), (1, "1"), (None, False)])
def test_equal_options_of_different_kinds_have_different_keys(one: object, other: object) -> None:
    first, second = make(options={"top": one}), make(options={"top": other})
    assert first != second
    assert (first, second) == (make(options={"top": one}), make(options={"top": other}))


def test_the_order_of_options_does_not_matter() -> None:
    assert make(options={"a": 1, "b": 2}) == make(options={"b": 2, "a": 1})


@given(st.text(st.characters(max_codepoint=127), max_size=12), st.booleans())
def test_plain_questions_are_normalised_as_all_others_are(question: str, lowercase: bool) -> None:  # noqa: FBT001
    other = normalise_question(question + "\u00e9", lowercase=lowercase)
    assert normalise_question(question + "e", lowercase=lowercase) == other[:-1] + "e"


@pytest.mark.parametrize("question", ["a_b", "a:b", "{8YG}_PMC.xml:{8YG}:10_Who", "a\0b", "a/b", "\ud800"])
def test_no_delimiter_in_a_question_confuses_a_key(question: str) -> None:
    assert split_fields(make(question).canonical)[-1] == question.lower().encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("question", "lowercase", "expected"),
    [
        ("  Who\t wrote \r\n it?\u00a0", False, "Who wrote it?"),
        ("Who WROTE it?", True, "who wrote it?"),
        ("What do -Z, --Level and e-Mail DO?", True, "what do -Z, --Level and e-mail do?"),
        ("Hei\u00dft -Z GRO\u00df?", True, "hei\u00dft -Z gro\u00df?"),
        ("Cafe\u0301?", False, "Caf\u00e9?"),
        (
            "\u039f\u0394\u039f\u03a3",
            True,
            "\u03bf\u03b4\u03bf\u03c3",
        ),  # no final sigma: tokenizers lower letter by letter
        ("Stra\u00dfe", True, "stra\u00dfe"),  # lowered, not folded: the tokenizer keeps the letter too
        ("a\x0bb\x1cc", False, "a\x0bb\x1cc"),  # the tokenizer deletes these: they do not part words
        ("who?", False, "who?"),
    ],
)
def test_questions_are_normalised(question: str, lowercase: bool, expected: str) -> None:  # noqa: FBT001 - a parameter
    assert normalise_question(question, lowercase=lowercase) == expected


@given(st.text(), st.booleans())
def test_normalising_twice_changes_nothing(question: str, lowercase: bool) -> None:  # noqa: FBT001 - drawn
    once = normalise_question(question, lowercase=lowercase)
    assert normalise_question(once, lowercase=lowercase) == once
    assert unicodedata.is_normalized("NFC", once)


def test_answers_are_values_that_are_equal_whatever_they_took() -> None:
    passage = ClosePassage("A text.", (), "notes", None, "notes", 0, 7, 1.0)
    span = Candidate("text", 2, 6, "A text.", 0, "notes", 0, 1.0, 0.5)
    answer = Answer("What?", "text", 2, 6, "A text.", 0, "notes", 1.0, 0.5, "m", (span,), closest=(passage,))
    for value in (passage, span, answer):
        again = replace(value)
        assert again == value
        assert hash(again) == hash(value)
        assert repr(again) == repr(value)
        assert replace(value, source="other") != value
        assert replace(value, source="other") not in {value}
        with pytest.raises(FrozenInstanceError):
            value.source = "other"  # type: ignore[misc]  # it is refused
    quick = replace(answer, timings_ms={"total": 1.0})
    assert quick == answer
    assert hash(quick) == hash(answer)
    assert passage != span
    assert repr(span).startswith("Candidate(text='text', start=2, end=6, context=")

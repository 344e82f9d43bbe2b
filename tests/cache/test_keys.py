"""Keys: golden bytes, and that different inputs are never alike."""

from __future__ import annotations

import dataclasses
import struct
import unicodedata

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.cache.keys import (
    Key,
    answer_keys,
    encode_argument,
    join_fields,
    memo_key,
    name_key,
    normalise_question,
    split_fields,
)
from edgeqa.errors import CacheKeyInvalid

atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
arguments = st.recursive(
    atoms,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
    max_leaves=8,
)


def make(question: str = "Who?", **changes: object) -> Key:
    options: dict[str, object] = {"max_answer_tokens": 30, "top": 1}
    everything: dict[str, object] = {
        "bundle_digest": "b1",
        "precision": "int8",
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
        "04000000696e7438"  # precision
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
        make(precision="float32").digest,
        make(options={"max_answer_tokens": 31, "top": 1}).digest,
        make(options={}).digest,
        make(scope_digest="s2").digest,
    }
    assert len(keys) == 8


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), (1, 1.0), (0.0, -0.0), ((1,), (True,)), ("1", b"1"), (None, False)]
)
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


@given(st.lists(st.binary(max_size=20), max_size=6), st.lists(st.binary(max_size=20), max_size=6))
def test_fields_cannot_run_into_each_other(first: list[bytes], second: list[bytes]) -> None:
    assert (join_fields(first) == join_fields(second)) == (first == second)
    assert split_fields(join_fields(first)) == first


@pytest.mark.parametrize("question", ["a_b", "a:b", "{8YG}_PMC.xml:{8YG}:10_Who", "a\0b", "a/b", "\ud800"])
def test_no_delimiter_in_a_question_confuses_a_key(question: str) -> None:
    assert split_fields(make(question).canonical)[-1] == question.lower().encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("data", [b"", b"edgeqa-key-2", b"edgeqa-key-1\x05\0\0\0abc", b"edgeqa-key-1\x05"])
def test_bytes_that_are_no_key_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a canonical key"):
        split_fields(data)


@pytest.mark.parametrize(
    ("question", "lowercase", "expected"),
    [
        ("  Who\t wrote \r\n it?\u00a0", False, "Who wrote it?"),
        ("Who WROTE it?", True, "who wrote it?"),
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


@given(arguments, arguments)
def test_arguments_are_alike_only_if_type_and_value_are(first: object, second: object) -> None:
    assert (encode_argument(first) == encode_argument(second)) == (shape(first) == shape(second))


def shape(value: object) -> object:
    """Returns what is equal only if type and value are: not 1, 1.0 and True, nor 0.0 and -0.0."""
    if isinstance(value, float):
        return ("float", struct.pack("<d", value))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [shape(item) for item in value])
    if isinstance(value, dict):
        return ("dict", {name: shape(item) for name, item in value.items()})
    return (type(value).__name__, value)


def test_dataclasses_are_told_apart_by_type() -> None:
    @dataclasses.dataclass
    class One:
        x: int

    @dataclasses.dataclass
    class Two:
        x: int

    assert encode_argument(One(1)) != encode_argument(Two(1))
    assert encode_argument(One(1)) == encode_argument(One(1))


@pytest.mark.parametrize("value", [object(), {1, 2}, range(3), int, open, bytearray(b"x")])
def test_arguments_without_a_canonical_form_are_refused(value: object) -> None:
    with pytest.raises(CacheKeyInvalid):
        encode_argument([value])


def test_a_list_that_holds_itself_is_refused() -> None:
    knot: list[object] = []
    knot.append(knot)
    with pytest.raises(CacheKeyInvalid, match="nested"):
        encode_argument(knot)


def test_calls_are_told_apart_by_function_version_and_arguments() -> None:
    keys = [
        memo_key("k", b"f", "", (1, 2), {}),
        memo_key("k", b"g", "", (1, 2), {}),
        memo_key("k", b"f", "2", (1, 2), {}),
        memo_key("l", b"f", "", (1, 2), {}),
        memo_key("k", b"f", "", (1,), {"b": 2}),
        memo_key("k", b"f", "", (1, "b", 2), {}),
        memo_key("k", b"f", "", (1, [2]), {}),
    ]
    assert len({key.digest for key in keys}) == len(keys)
    assert memo_key("k", b"f", "", (), {"a": 1, "b": 2}) == memo_key("k", b"f", "", (), {"b": 2, "a": 1})


def test_names_are_keys_and_bytes_are_not_text() -> None:
    assert name_key("a").keyspace == "a"
    assert name_key("a").digest != name_key(b"a").digest
    with pytest.raises(CacheKeyInvalid):
        name_key(1)  # type: ignore[arg-type]  # what is tested

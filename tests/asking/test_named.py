"""Tests the names of answers, as clients of the Redis protocol use them: printed, parsed, and refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.asking.named import AnswerName, AnswerNameInvalid, meanings
from edgeqa.collection.naming import Address

TAGS = st.from_regex(r"[A-Z0-9]{3}", fullmatch=True)
# Of what addresses are made of themselves, more often than chance would have it.
TEXTS = st.one_of(
    st.text(), st.lists(st.sampled_from(["_", "{", "}", ":", "{8YG}", ":{8YG}:1_", "a", "\n"])).map("".join)
)
NAMES = st.builds(AnswerName, st.builds(Address, TEXTS, st.one_of(TAGS, st.just("8YG")), st.integers(1, 10**17)), TEXTS)


def test_the_name_from_where_it_began() -> None:
    name = "bertqa{8YG}_PMC302072.xml:{8YG}:10_Who performs viral transmission among adults"
    expected = AnswerName(Address("PMC302072.xml", "8YG", 10), "Who performs viral transmission among adults")
    assert meanings(name) == [expected]
    assert str(expected) == name


@given(NAMES)
def test_a_name_that_was_printed_is_among_what_it_may_mean_and_each_of_these_prints_it(name: AnswerName) -> None:
    assert name in meanings(str(name))
    assert {str(other) for other in meanings(str(name))} == {str(name)}


@given(NAMES)
def test_underscores_braces_and_colons_come_through_whole(name: AnswerName) -> None:
    """There is one meaning, unless document or question hold the very end of an address of this tag."""
    rest = str(name).removeprefix(f"bertqa{{{name.address.tag}}}_")
    ends = re.findall(rf":\{{{name.address.tag}\}}:[1-9][0-9]{{0,17}}_", rest)
    assert len(meanings(str(name))) == len(ends)
    if len(ends) == 1:
        assert meanings(str(name)) == [name]


def test_the_longest_document_comes_first() -> None:
    documents = [name.address.document for name in meanings("bertqa{A1}_a:{A1}:1_b:{A1}:2_c")]
    assert documents == ["a:{A1}:1_b", "a"]


@given(st.builds(Address, TEXTS, TAGS, st.integers(1, 10**17)))
def test_an_address_comes_back(address: Address) -> None:
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "a.txt", "a:{}:1", "a:{8YG}:0", "a:{8YG}:01", "a:{8YG}:x", "a:8YG:1"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert Address.parse(text) is None


@pytest.mark.parametrize(
    "name", ["", "Who?", "bertqa{8YG}_", "bertqa{8YG}_a.txt:{OTHER}:1_Who?", "bertqa_a.txt:{8YG}:1_Who?"]
)
def test_what_is_no_name_is_refused_with_the_form(name: str) -> None:
    with pytest.raises(AnswerNameInvalid, match="not the name of an answer") as caught:
        meanings(name)
    assert "bertqa{TAG}_DOCUMENT:{TAG}:N_QUESTION" in caught.value.hint

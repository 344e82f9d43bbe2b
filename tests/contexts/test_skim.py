from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.contexts import skim
from edgeqa.contexts.passages import OVERLAP_TOKENS

FILLER = "Nothing of interest happens in this line of the log.\n"


def test_the_section_with_the_rare_words_is_chosen() -> None:
    text = FILLER * 400 + "The impeller clearance is 0.4 mm.\n" + FILLER * 400
    sections = list(skim.sections(0, [text], 800))
    ((document, start),) = skim.choose(sections, "What is the clearance of the impeller?", 1).places
    (chosen,) = [s for s in sections if (s.document, s.start) == (document, start)]
    assert "impeller" in chosen.text


def test_words_are_found_in_other_forms_and_cases() -> None:
    assert skim.stems("Which pumps were installed?") == ("pump", "install")
    sections = [skim.Section(0, 0, "no"), skim.Section(0, 2, "PUMPING and installation")]
    assert skim.choose(sections, "Which pumps were installed?", 1).places == {(0, 2)}


def test_a_question_of_stop_words_still_looks_for_something() -> None:
    assert skim.stems("who was it?") == ("who", "was", "it")


def test_where_nothing_matches_the_first_sections_are_read() -> None:
    sections = [skim.Section(0, i, "abc") for i in range(5)]
    assert skim.choose(sections, "zebra", 2).places == {(0, 0), (0, 1)}


def test_blank_sections_are_never_chosen() -> None:
    sections = [skim.Section(0, i, text) for i, text in enumerate(["\n \n", "\u200b \x0c", "abc", "def"])]
    assert skim.choose(sections, "zebra", 1).places == {(0, 2)}


@pytest.mark.parametrize(
    ("text", "longest_answer"),
    [
        ("Nothing of interest happens in this line of the log. " * 200, 6 * OVERLAP_TOKENS),
        ("水泵在地。" * 900, OVERLAP_TOKENS),
    ],
)
def test_an_answer_on_the_border_of_two_sections_is_whole_in_either(text: str, longest_answer: int) -> None:
    sections = list(skim.sections(0, [text], 800))
    for before, after in pairwise(sections):
        for chosen, (first, last) in ((before, (1, longest_answer - 1)), (after, (longest_answer - 1, 1))):
            (found,) = skim.with_margins(sections, {(0, chosen.start)})
            assert text[after.start - first : after.start + last] in found.text
            assert found.start <= after.start - first < after.start + last <= found.start + len(found.text)


def test_sections_of_scripts_with_a_token_a_character_are_shorter() -> None:
    lengths = [
        max(len(s.text) for s in skim.sections(0, [t * 3000], 800)) for t in ("word ", "mémé ", "слово", "水泵在地。")
    ]
    assert lengths[0] == lengths[1] <= 1600
    assert all(length <= 400 for length in lengths[2:])


@given(st.text("ab \n水ж", max_size=300), st.integers(4, 40), st.integers(1, 50))
def test_sections_are_the_whole_text_in_order(text: str, length: int, block: int) -> None:
    blocks = [text[i : i + block] for i in range(0, len(text), block)]
    sections = list(skim.sections(3, blocks, length))
    assert sections == list(skim.sections(3, [text], length))
    assert "".join(s.text for s in sections) == text
    assert all(text[s.start : s.start + len(s.text)] == s.text and s.document == 3 for s in sections)
    assert all(len(s.text) <= 2 * length for s in sections)


@given(st.text("ab \n", min_size=1, max_size=900), st.integers(20, 90))
def test_a_chosen_section_comes_with_its_neighbours_ends(text: str, length: int) -> None:
    sections = list(skim.sections(0, [text], length))
    chosen = {(0, s.start) for s in sections[::2]}
    found = list(skim.with_margins(sections, chosen))
    assert len(found) == len(chosen)
    for section, original in zip(found, sections[::2], strict=True):
        assert text[section.start : section.start + len(section.text)] == section.text
        assert section.start <= original.start
        assert section.start + len(section.text) >= original.start + len(original.text)


def test_margins_do_not_cross_documents() -> None:
    sections = [skim.Section(0, 0, "a" * 50), skim.Section(1, 0, "b" * 50), skim.Section(2, 0, "c" * 50)]
    (section,) = skim.with_margins(sections, {(1, 0)})
    assert section == sections[1]


def test_of_a_question_no_more_words_are_looked_for_than_the_reader_reads() -> None:
    words = [f"w{number}" for number in range(5000)]
    assert skim.stems(" ".join(words)) == tuple(words[: skim.MOST_STEMS])

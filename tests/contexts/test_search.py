"""Tests searching a text: it finds the best passages, as an index of a collection would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.collection.index import Index, IndexWriter
from edgeqa.contexts import search as search_module
from edgeqa.contexts.passages import Passage
from edgeqa.contexts.search import Words, coverage, search
from edgeqa.contexts.terms import one_slip_away, stem

if TYPE_CHECKING:
    from pathlib import Path

PASSAGES = [
    Passage("The machine was designed by Charles Babbage in 1837. It was never built.", 0, ("Engines",)),
    Passage("The pump is rated IP68 and may be submerged to a depth of 1,250 cm.", 90, ("Pumps", "Depth")),
    Passage("Clean the filter of each pump in the first week of a month.", 180, ("Pumps", "Care")),
    Passage("The gardens are open from nine to five.", 260),
]


def numbers(question: str, language: str = "en") -> list[int]:
    return [hit.number for hit in search(lambda: PASSAGES, question, 5, language).best]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("Who designed the machine?", 0),
        ("How many cm deep, 1250?", 1),
        ("cleaning filters", 2),
        ("care", 2),  # in a heading alone
        ("When are the gardens open?", 3),
    ],
)
def test_the_best_passage_comes_first(question: str, first: int) -> None:
    assert numbers(question)[0] == first


def test_what_nothing_matches_has_no_hit_and_weighs_all_the_same() -> None:
    found = search(lambda: PASSAGES, "xylophonists", 5, "en")
    assert (found.best, found.passages, list(found.weights)) == ([], 4, ["xylophonist"])
    assert search(lambda: PASSAGES, "what is it", 5, "en").best == []


def test_a_misspelt_word_is_taken_for_the_commonest_that_is_near() -> None:
    found = search(lambda: PASSAGES, "Who desinged the machnie?", 5, "en")
    assert found.mended == {"desinged": "designed", "machnie": "machine"}
    assert found.best[0].number == 0


def test_a_word_of_the_question_alone_is_not_looked_for_where_two_of_its_letters_were_swapped() -> None:
    found = search(lambda: PASSAGES, "Waht desinged machine?", 5, "en")
    assert found.mended == {"waht": "what", "desinged": "designed"}
    assert "waht" not in found.weights
    assert search(lambda: [Passage("The form.", 0)], "Which form?", 5, "en").mended == {}


def test_what_no_passage_has_is_unknown() -> None:
    assert search(lambda: PASSAGES, "Who sold the machine?", 5, "en").unknown == {"sold"}


def test_of_words_that_are_as_near_the_commonest_is_meant_and_of_equal_ones_the_last() -> None:
    texts = ("The valve.", "A valve is open.", "The value.", "A wall.")
    for these, meant in ((texts, "valve"), (texts[1:], "valve"), ((*texts[:1], *texts[2:], "One value."), "value")):
        found = search(lambda these=these: [Passage(text, 0) for text in these], "Where is the valye?", 5, "en")  # type: ignore[misc]
        assert found.mended == {"valye": meant}


def test_in_an_unknown_language_words_are_looked_for_as_they_are() -> None:
    assert numbers("pumps", "") == [1, 2]  # of the headings alone
    assert numbers("the", "") != []
    assert numbers("the") == []


def test_it_ranks_as_the_index_of_a_collection_does(tmp_path: Path) -> None:
    with IndexWriter(tmp_path) as writer:
        for number, passage in enumerate(PASSAGES):
            writer.add(number, passage.text, " ".join(passage.heading))
        writer.commit()
    index = Index(tmp_path)
    for question in ("Who designed the machine?", "pumps in a month", "depth of the pump", "open machine filter"):
        stored, found = index.search(question, 5), search(lambda: PASSAGES, question, 5, "en")
        assert [hit.number for hit in stored.best] == [hit.number for hit in found.best]
        assert [hit.score for hit in stored.best] == pytest.approx([hit.score for hit in found.best], rel=0.25)
        assert stored.weights.keys() == found.weights.keys()


@given(
    st.lists(st.tuples(st.text("ab '\u00e9", max_size=20), st.sampled_from([(), ("ab",), ("ba b", "a")])), max_size=8),
    st.text("ab ", max_size=12),
    st.sampled_from(["en", ""]),
)
def test_words_that_are_kept_give_what_going_through_the_passages_gives(
    texts: list[tuple[str, tuple[str, ...]]], question: str, language: str
) -> None:
    passages = [Passage(text, 0, heading) for text, heading in texts]
    kept = Words(passages, language)
    for _ in range(2):
        assert search(kept, question, 5, language) == search(lambda: passages, question, 5, language)


@pytest.mark.parametrize("question", ["Who desinged the machnie?", "pumps in a month", "depth of the pump", "the"])
def test_words_that_are_kept_mend_and_rank_alike(question: str) -> None:
    assert search(Words(PASSAGES, "en"), question, 5, "en") == search(lambda: PASSAGES, question, 5, "en")


def test_coverage_is_the_part_of_the_question_that_is_there() -> None:
    weights = {"pump": 1.0, "depth": 3.0}
    assert coverage("The pump.", (), weights, "en") == 0.25
    assert coverage("The pump.", ("Depths",), weights, "en") == 1.0
    assert coverage("The pump.", (), {}, "en") == 0.0
    assert coverage("It does.", (), {"doe": 1.0}, "en") == 0.0  # a stop word is not there


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("pumps", "pump"), ("caresses", "caress"), ("ties", "tie"), ("cries", "cri"), ("gas", "gas"),
        ("agreed", "agre"),
        ("hopping", "hop"), ("hoping", "hope"), ("adding", "add"), ("national", "nation"), ("relational", "relat"),
        ("generously", "generous"), ("biologist", "biolog"), ("knightly", "knight"), ("sky", "sky"), ("dying", "die"),
        ("replacement", "replac"), ("controlling", "control"), ("dog's", "dog"), ("at", "at"), ("yes", "yes"),
        ("happily", "happili"), ("university", "universiti"), ("employment", "employ"),
    ],
)  # fmt: skip
def test_stems(word: str, expected: str) -> None:
    assert stem(word) == expected


NAMES = st.text("abé1", min_size=1, max_size=6)


@given(st.text("ab", min_size=4, max_size=6), st.lists(NAMES), st.booleans())
def test_words_one_slip_away_are_found_whichever_way_they_are_looked_for(
    word: str,
    others: list[str],
    few: bool,  # noqa: FBT001 - drawn
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "FEW_WORDS", 200 if few else 0)
        made = Words([Passage(" ".join(others), 0)], "en")
        assert set(made.near(word)) == one_slip_away(word) & made.in_texts.keys()

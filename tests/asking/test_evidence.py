"""Tests the evidence for a span: the row, column, option or term that a question names, and what is no answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeqa.asking.evidence import MAX_DEFINITION_CHARACTERS, NOTHING, UNKNOWN, Asked, is_looked_up, weighed
from edgeqa.contexts import Place
from edgeqa.contexts.passages import Passage, passages
from edgeqa.contexts.terms import terms
from edgeqa.formats.blocks import Block
from edgeqa.models.manifest import Evidence

HEADER = Block("Part;Number;Price (EUR)", kind="header", cells=((0, 4), (5, 11), (12, 23)), begins=True)
ROW = Block("Float switch;240-2230;27.50", "\n", kind="row", cells=((0, 12), (13, 21), (22, 27)))
FLOAT_SWITCH = next(passages([HEADER, ROW]))
RATED = next(passages([Block("Rated power;550 W", kind="row", cells=((0, 11), (12, 17)), begins=True)]))
PROSE = Passage("Faults\n29. Bake for twenty minutes.\n(b) Remove the muffins from the oven.", 0)


def evidence(question: str, passage: Passage, span: str, language: str = "en") -> Evidence:
    start = passage.text.index(span)
    return Evidence(*Asked(question, language).of(passage, start, start + len(span)))


def test_the_cell_whose_column_the_question_names_is_looked_up_in_the_row_that_it_means() -> None:
    number = evidence("What number does the float switch have?", FLOAT_SWITCH, "240-2230")
    assert (number.row, number.named, number.said, number.cell) == (1, 1, 0, 1)
    assert evidence("What number does the float switch have?", FLOAT_SWITCH, "27.50").named == 0


def test_a_row_counts_as_far_as_the_other_words_of_the_question_stand_in_it() -> None:
    assert evidence("number of the float bearing", FLOAT_SWITCH, "240-2230").named == 0.5
    asked = Asked("number of the float bearing", "en")
    asked.searched({"number": 1.0, "float": 1.0, "bear": 3.0}, {})
    start = FLOAT_SWITCH.text.index("240-2230")
    assert Evidence(*asked.of(FLOAT_SWITCH, start, start + 8)).named == 0.25


def test_a_price_is_looked_up_where_the_question_asks_what_something_costs() -> None:
    asked = "How much does a float switch cost?"
    assert evidence(asked, FLOAT_SWITCH, "27.50").named == 1
    assert evidence(asked, FLOAT_SWITCH, "240-2230").named == 0
    assert evidence("float switch", FLOAT_SWITCH, "27.50").named == 0


def test_the_key_of_a_value_is_the_name_of_its_column() -> None:
    assert evidence("rated power of the pump", RATED, "550 W").named == 0
    assert evidence("rated power", RATED, "550 W").named == 1
    assert evidence("rated power", RATED, "Rated power").named == 0


def test_a_cell_that_the_question_says_is_no_answer_as_far_as_it_says_it() -> None:
    assert evidence("float valve", FLOAT_SWITCH, "Float switch").said == 0.5
    assert evidence("float valve", FLOAT_SWITCH, "switch").cell == 0


def test_what_a_misspelt_word_was_meant_to_be_is_a_term_in_its_place() -> None:
    asked = Asked("flaot swithc", "en")
    asked.searched({}, {"flaot": "float", "swithc": "switch"})
    assert asked.terms == {"float", "switch"}


def test_what_is_not_read_of_a_long_question_is_no_evidence() -> None:
    said = " ".join(f"valve{number}x" for number in range(100_000))
    assert len(Asked(f"float {said} switch", "en").terms) < 2000
    assert evidence(f"float {said} switch", FLOAT_SWITCH, "Float switch").said == 0.5
    assert evidence("float switch", FLOAT_SWITCH, "Float switch").said == 1


ZONES = Block("Part No;TZ;CompMem;Qty", kind="header", cells=((0, 7), (8, 10), (11, 18), (19, 22)), begins=True)
KABUL = next(
    passages([ZONES, Block("7;Asia/Kabul;48 MiB;12", "\n", kind="row", cells=((0, 1), (2, 12), (13, 19), (20, 22)))])
)


@pytest.mark.parametrize(
    ("question", "cell"),
    [
        ("What is the time zone of Kabul?", "Asia/Kabul"),
        ("timezone Kabul", "Asia/Kabul"),
        ("compression memory Kabul", "48 MiB"),
        ("quantity for Kabul", "12"),
    ],
)
def test_a_column_is_named_by_what_its_name_is_short_for(question: str, cell: str) -> None:
    named = {one: evidence(question, KABUL, one).named for one in ("Asia/Kabul", "48 MiB", "12")}
    assert {one: value > 0 for one, value in named.items()} == {one: one == cell for one in named}
    assert evidence(question, KABUL, cell, "").named == 0


LOANS = Block(
    "Boat;Owner;Berth depth;Taken out;Delivery", kind="header", begins=True,
    cells=((0, 4), (5, 10), (11, 22), (23, 32), (33, 41)),
)  # fmt: skip
PETREL = next(
    passages(
        [
            LOANS,
            Block(
                "Petrel;Ms Vance;2.4 m;9 May;from 3 June", "\n", kind="row",
                cells=((0, 6), (7, 15), (16, 21), (22, 27), (28, 39)),
            ),
        ]
    )
)  # fmt: skip
CELLS = ("Petrel", "Ms Vance", "2.4 m", "9 May", "from 3 June")


@pytest.mark.parametrize(
    ("question", "cell"),
    [
        ("who keeps the Petrel", "Ms Vance"),
        ("How deep is the Petrel's?", "2.4 m"),
        ("from when on is the Petrel delivered", "from 3 June"),
        ("deliveries of the Petrel", "from 3 June"),
    ],
)
def test_a_column_is_named_by_what_is_asked_for_and_by_words_of_one_root(question: str, cell: str) -> None:
    assert [one for one in CELLS if evidence(question, PETREL, one).named == 1] == [cell]
    assert evidence(question, PETREL, cell, "").named < 1


def row(names: str, cells: str) -> Passage:
    """Returns a row of a table, of the names of its columns and its cells with a semicolon between them."""
    header = Block(names, kind="header", begins=True, cells=_cells(names))
    return next(passages([header, Block(cells, "\n", kind="row", cells=_cells(cells))]))


def _cells(line: str) -> tuple[tuple[int, int], ...]:
    begin, found = 0, []
    for cell in line.split(";"):
        found.append((begin, begin + len(cell)))
        begin += len(cell) + 1
    return tuple(found)


@pytest.mark.parametrize(
    ("question", "names", "cells", "cell"),
    [
        ("How much does tank T1 hold?", "Tank;Capacity;Price", "T1;400 l;90 EUR", "90 EUR"),
        ("How much do nuts contain?", "Food;Calories;Price", "nuts;600 kcal;2 EUR", "2 EUR"),
        ("How many valves are there?", "Article;Article number", "valves;4711", "4711"),
        ("How many nuts are there?", "Article;Total price", "nuts;80 EUR", "80 EUR"),
        ("Who sells owltool?", "Package name;Vendor;Lines", "owl;Owl Inc;7", "owl"),
        ("Where does web1 stand?", "Host;IP address", "web1;10.0.0.1", "10.0.0.1"),
        ("How fast is Gold?", "Account;Interest rate", "Gold;3 %", "3 %"),
        ("When was pump P2 made?", "Pump;Response time", "P2;30 ms", "30 ms"),
        ("What do I do when P1 fails?", "Pump;Delivery date", "P1;3 June", "3 June"),
        ("What does kit K5 contain?", "Kit;Contact", "K5;Ann Smith", "Ann Smith"),
        ("What internet does D1 have?", "Device;Interval", "D1;30 s", "30 s"),
        ("What market does X2 serve?", "Pen;Marker", "X2;blue dot", "blue dot"),
        ("Which country is Lyon in?", "City;County", "Lyon;Rhone", "Rhone"),
        ("current price of gold", "Item;Currency", "gold;USD", "USD"),
    ],
)
def test_a_name_that_only_sounds_like_what_is_asked_for_names_no_column(
    question: str, names: str, cells: str, cell: str
) -> None:
    assert evidence(question, row(names, cells), cell).named == 0


@pytest.mark.parametrize(
    ("question", "names", "cells", "cell"),
    [
        ("How much is T1?", "Tank;Price (EUR)", "T1;90", "90"),
        ("How much do you charge for T1?", "Tank;Total price", "T1;90", "90"),
        ("When was order 7 delivered?", "Order;Delivery date", "7;3 June", "3 June"),
        ("How heavy is P1?", "Pump;Shipping weight", "P1;12 kg", "12 kg"),
        ("How many valves are there?", "Article;Quantity", "valves;20", "20"),
        ("Who looks after the pond?", "Name;Place", "Ann;pond", "Ann"),
    ],
)
def test_a_kind_of_answer_is_looked_up_in_a_column_of_that_kind(
    question: str, names: str, cells: str, cell: str
) -> None:
    assert evidence(question, row(names, cells), cell).named > 0


def test_words_that_tell_rows_apart_are_not_taken_to_link_only() -> None:
    names, asked = "Plan;Country;Price", "What is the price of plan P1 in the US?"
    assert evidence(asked, row(names, "P1;US;9 USD"), "9 USD").named == 1
    assert evidence(asked, row(names, "P1;UK;8 GBP"), "8 GBP").named < 1


def test_the_heading_of_a_table_does_not_say_what_is_asked_of_its_rows() -> None:
    masses = replace(row("Pump;Mass", "P1;12 kg"), heading=("Weight and height of pumps",))
    assert evidence("What is the height of P1?", masses, "12 kg").defines == 0


def test_rows_of_the_same_words_below_other_headings_are_told_apart() -> None:
    two = Block("2;failed", kind="row", cells=((0, 1), (2, 8)), begins=True)
    exits, signals = (replace(next(passages([two])), heading=(above,)) for above in ("Exit status", "Signal"))
    asked = Asked("What does exit status 2 mean?", "en")
    start = exits.text.index("failed")
    assert [Evidence(*asked.of(text, start, start + 6)).defines for text in (signals, exits)] == [0, 1]


@pytest.mark.parametrize("word", ["delicate", "deliberation", "deluxe", "delve"])
def test_words_that_only_begin_alike_name_no_column(word: str) -> None:
    assert evidence(f"{word} petrel", PETREL, "from 3 June").named == 0


def test_words_that_link_a_thing_to_its_column_tell_no_row_from_another() -> None:
    assert evidence("Which number is used for the float switch?", FLOAT_SWITCH, "240-2230").named == 1
    assert evidence("What number should I give for a float switch, please?", FLOAT_SWITCH, "240-2230").named == 1
    assert evidence("Which number is painted on the float switch?", FLOAT_SWITCH, "240-2230").named < 1


def test_a_term_that_nothing_has_tells_no_row_from_another() -> None:
    asked = Asked("number of the float switch sieve", "en")
    start = FLOAT_SWITCH.text.index("240-2230")
    asked.searched({"number": 1.0, "float": 2.0, "switch": 2.0, "siev": 5.0}, {}, {"siev"})
    assert Evidence(*asked.of(FLOAT_SWITCH, start, start + 8)).named == pytest.approx(4 / (4 + 5 * UNKNOWN))


def test_a_misspelt_word_counts_as_what_it_was_mended_to() -> None:
    asked = Asked("flaot switch", "en")
    asked.searched({}, {"flaot": "float"})
    assert Evidence(*asked.of(FLOAT_SWITCH, 6, 18)).said == 1


@pytest.mark.parametrize(("span", "marker"), [("29", 1), ("b", 1), ("twenty", 0), ("Faults", 0)])
def test_the_number_of_an_item_is_told_from_what_it_says(span: str, marker: int) -> None:
    assert evidence("What are the muffins?", PROSE, span).marker == marker


def test_a_number_within_a_sentence_is_no_items_number() -> None:
    assert evidence("limit", Passage("It ends at 29. Then it goes on.", 0), "29").marker == 0


def test_a_span_without_a_number_lacks_it_where_one_is_asked_for_in_english() -> None:
    assert evidence("How long do they bake?", PROSE, "twenty minutes").number == 0
    assert evidence("How long do they bake?", PROSE, "from the oven").number == 1
    assert evidence("Where do they bake?", PROSE, "from the oven").number == 0
    assert evidence("How long do they bake?", PROSE, "from the oven", "").number == 0


def test_a_span_that_says_the_questions_words_again_repeats_it_unless_it_may_choose_one_of_them() -> None:
    assert evidence("Remove muffins from which oven?", PROSE, "Remove the muffins from the oven").repeats == 1
    assert evidence("Remove muffins, or bake them?", PROSE, "Remove the muffins").repeats == 0
    assert evidence("bake", PROSE, "Bake for twenty").repeats == 0


WORDS = (
    "dying",
    "die",
    "dies",
    "lied",
    "lye",
    "tied",
    "tying",
    "1,250",
    "1250",
    "Café",
    "cafe",
    "sky",
    "skies",
    "run's",
)


@given(st.lists(st.sampled_from(WORDS)))
@example(["dying"])
def test_a_glance_at_a_spans_words_changes_nothing(chosen: list[str]) -> None:
    span = " ".join(chosen)
    for question in ("Who will die, lie and tie 1250 skies to a cafe?", "Running at 1,250 in the Café while dying"):
        said = terms(span)
        repeats = bool(said) and set(said) <= set(terms(question))
        assert Evidence(*Asked(question, "en").of(Passage(f"{span} x", 0), 0, len(span))).repeats == repeats


def test_what_says_nothing_adds_nothing() -> None:
    asked = Asked("What is there?", "en")
    assert asked.of(PROSE, 0, 6) is NOTHING
    assert weighed(NOTHING, Evidence(repeats=-5.0)) == 0
    assert weighed((0.0, 0.0, 0.0, 1.0, 0.5, 0.25, 1.0), Evidence(0, 0, 0, -3, 16, -8, 2)) == -3 + 8 - 2 + 2


def test_the_cells_of_a_row_are_spans_that_score_no_more_than_what_is_in_them() -> None:
    text = FLOAT_SWITCH.text
    switch = text.index("switch")
    found = list(
        Asked("Which part?", "en").candidates(FLOAT_SWITCH, [Place(switch, switch + 6, 4.0), Place(0, 4, -1.0)])
    )
    told = {text[place.start : place.end]: place.score for place in found}
    assert told == {"switch": 4.0, "Part": -1.0, "Float switch": 3.5, "240-2230": -2.0, "27.50": -2.0}


def test_a_cell_is_looked_up_where_a_word_of_the_question_is_in_its_row() -> None:
    number = FLOAT_SWITCH.text.index("240-2230")
    assert is_looked_up(Asked("number of a float switch", "en").of(FLOAT_SWITCH, number, number + 8))
    below = replace(FLOAT_SWITCH, heading=("Spare parts of the pump",))
    assert not is_looked_up(Asked("number of a pump's spare part", "en").of(below, number, number + 8))
    assert not is_looked_up(Asked("which number", "en").of(FLOAT_SWITCH, number, number + 8))  # of which row?
    assert not is_looked_up(Asked("Which number has 240-2230?", "en").of(FLOAT_SWITCH, number, number + 8))


def test_a_cell_is_offered_once_and_not_where_it_could_be_no_answer() -> None:
    long = "x" * 200
    row = next(passages([Block(f"-;b;{long}", kind="row", cells=((0, 1), (2, 3), (4, 204)), begins=True)]))
    at, asked = row.text.index("b"), Asked("Which part?", "en")
    assert list(asked.candidates(row, [Place(at, at + 1, 1.0)])) == [Place(at, at + 1, 1.0)]
    assert list(asked.candidates(row, [])) == []
    assert list(asked.candidates(PROSE, [Place(0, 6, 1.0)])) == [Place(0, 6, 1.0)]


GZIP = Passage(
    "-z, --gzip, --gunzip, --ungzip\n    Filter the archive through gzip(1). It must be installed.",
    0, ("OPTIONS", "-z, --gzip, --gunzip, --ungzip"), "entry",
)  # fmt: skip
COMPRESS = Passage(
    "-Z, --compress\n    Filter the archive through compress(1).", 0, ("OPTIONS", "-Z, --compress"), "entry"
)
FLAG_DAY = Passage(
    "flag day\n n.\n\n    [common] 1. A software change that is neither forward- nor backward-compatible. Costly.\n",
    0, ("flag day",), "entry",
)  # fmt: skip
SOURCE_FORM = Passage(
    '1.13. "Source Code Form"\n    means the form of the work preferred for making modifications.',
    0, ("Definitions", '1.13. "Source Code Form"'), "entry",
)  # fmt: skip


def definition(question: str, passage: Passage, language: str = "en") -> str | None:
    """Returns the span that is offered besides what was found, which is the passage's first letter."""
    asked = Asked(question, language)
    found = [one for one in asked.candidates(passage, [Place(0, 1, 3.0)]) if one[:2] != (0, 1)]
    for one in found:
        assert one.score == 2.0
        assert Evidence(*asked.of(passage, one.start, one.end)).defines == 1
    return passage.text[found[0].start : found[0].end] if found else None


@pytest.mark.parametrize(
    ("question", "passage", "expected"),
    [
        ("What does -z do?", GZIP, "Filter the archive through gzip(1)"),
        ("what does the --gunzip option do in tar", GZIP, "Filter the archive through gzip(1)"),
        ("-z", GZIP, "Filter the archive through gzip(1)"),
        ("What does -z do?", COMPRESS, None),
        ("What is -Z?", COMPRESS, "Filter the archive through compress(1)"),
        ("What is a flag day?", FLAG_DAY, "A software change that is neither forward- nor backward-compatible"),
        ("flag day meaning", FLAG_DAY, "A software change that is neither forward- nor backward-compatible"),
        ("When was the first flag day?", FLAG_DAY, None),
        ("What does flag mean?", FLAG_DAY, None),
        (
            "definition of Source Code Form",
            SOURCE_FORM,
            "means the form of the work preferred for making modifications",
        ),
        ("Which form is preferred for making modifications?", SOURCE_FORM, None),
    ],
)
def test_what_an_entry_says_first_is_offered_to_who_asks_for_its_meaning(
    question: str, passage: Passage, expected: str | None
) -> None:
    assert definition(question, passage) == expected
    assert definition(question, passage, "de") is None


def test_an_option_that_a_question_names_as_it_is_written_tells_its_entry() -> None:
    question = "Which program does the archive go through with -z?"
    assert evidence(question, GZIP, "gzip(1)").names == 1
    assert evidence(question, GZIP, "gzip(1)").defines == 0
    assert Asked(question, "en").of(COMPRESS, 19, 25) is NOTHING
    assert Asked("What may the archive go through?", "en").of(GZIP, 4, 8) is NOTHING


def test_a_misspelt_name_is_the_one_that_was_meant() -> None:
    asked = Asked("What is a falg day?", "en")
    assert asked.of(FLAG_DAY, 0, 4) is NOTHING
    asked.searched({}, {"falg": "flag"})
    assert Evidence(*asked.of(FLAG_DAY, 0, 4)).names == 1


@pytest.mark.parametrize("said", ["", "n.", "-"])
def test_of_an_entry_that_says_nothing_no_definition_is_offered(said: str) -> None:
    assert definition("What is a flag day?", Passage(f"flag day\n{said}", 0, ("flag day",), "entry")) is None


def test_a_long_definition_ends_where_a_part_of_its_sentence_does() -> None:
    said = "A change of all parts at once, " * 20
    found = definition("What is a flag day?", Passage(f"flag day\n{said}", 0, ("flag day",), "entry"))
    assert found is not None
    assert len(found) <= MAX_DEFINITION_CHARACTERS
    assert found.endswith("at once")
    unbroken = Passage("flag day\n" + "change " * 60, 0, ("flag day",), "entry")
    assert definition("What is a flag day?", unbroken) is None


@given(st.text(max_size=40), st.text(max_size=300))
def test_a_definition_lies_below_the_name_whatever_is_written_there(name: str, said: str) -> None:
    passage = Passage(f"{name}\n{said}", 0, (name,), "entry")
    for one in Asked(name, "en").candidates(passage, [Place(0, 1, 3.0)]):
        assert (one.start, one.end) == (0, 1) or len(name) <= one.start < one.end <= len(passage.text)

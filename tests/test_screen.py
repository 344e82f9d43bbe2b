"""Tests what an answer looks like on the screen, and that no text of others steers the terminal."""

from __future__ import annotations

from dataclasses import replace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.answer import Answer, Candidate, ClosePassage, below_headings
from edgeqa.screen import LINE_CHARACTERS, MAX_LINES, describe, folded, plain


def answer(context: str, *spans: tuple[int, int], source: str = "notes.txt") -> Answer:
    """Returns an answer with the spans as candidates, each scored half of the one before."""
    candidates = tuple(
        Candidate(
            text=context[start:end],
            start=start,
            end=end,
            context=context,
            context_start=0,
            source=source,
            source_number=0,
            score=8 / 2**number,
            probability=0.8,
        )
        for number, (start, end) in enumerate(spans)
    )
    best = candidates[0]
    return Answer(
        question="Who?",
        text=best.text,
        start=best.start,
        end=best.end,
        context=context,
        context_start=0,
        source=source,
        score=best.score,
        probability=best.probability,
        model="told 1",
        candidates=candidates,
    )


def shown(of: Answer, *, top: int = 1) -> list[str]:
    return click.unstyle(describe(of, top=top)).splitlines()


def test_only_the_best_candidate_is_called_likely() -> None:
    lines = shown(answer("Ada wrote, Charles built.", (0, 3), (11, 18)), top=2)
    assert "  notes.txt, characters 0-3, 80 % likely" in lines
    assert "  notes.txt, characters 11-18, score 4.0" in lines


def test_a_place_is_on_its_page() -> None:
    found = answer("One.\n\nAda wrote.", (6, 9), source="manual.pdf")
    found = replace(found, candidates=(replace(found.candidates[0], part="#12", part_start=6),))
    assert "  manual.pdf#12, characters 0-3, 80 % likely" in shown(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 metres", "12 metres"),
        ("Charles\nBabbage", "Charles Babbage"),
        ("\x1b]0;owned\x07", "\ufffd]0;owned\ufffd"),
        ("\x1b[2J\x9b2J\x7f", "\ufffd[2J\ufffd2J\ufffd"),
        ("a\u202eb\u2069c", "a\ufffdb\ufffdc"),
        ("a\r\u2028\tb", "a   b"),
        ("caf\udce9 \udcc3\udcbc", "caf\\xe9 ü"),
        ("👩\u200d🔬 東京 naïve", "👩\u200d🔬 東京 naïve"),  # a joiner is part of what is seen
    ],
)
def test_plain_text_is_one_line_without_commands_to_the_terminal(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.text())
def test_plain_text_is_as_long_can_be_written_and_is_plain(text: str) -> None:
    once = plain(text)
    assert len(once) == len(text)
    assert plain(once) == once
    assert len(once.encode().splitlines()) <= 1
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in once)


def test_nothing_of_a_text_or_of_a_files_name_steers_the_terminal() -> None:
    wild = "\x1b]0;owned\x07"
    context = f"It was {wild} who \x1b[2Jdid it.\x9b1m"
    start = context.index(wild)
    found = answer(context, (start, start + len(wild)), source=f"notes{wild}\nNo answer in this text.txt")
    lines = shown(found)
    assert not any(character < " " or "\x7f" <= character < "\xa0" for line in lines for character in line)
    assert lines[3] == (
        f"  notes\ufffd]0;owned\ufffd No answer in this text.txt, characters {start}-{start + len(wild)}, 80 % likely"
    )


def close(text: str, marked: tuple[int, int] | None, *heading: str) -> ClosePassage:
    return ClosePassage(
        text=text,
        heading=heading,
        document="manual.pdf#12",
        address=None,
        source="manual.pdf",
        source_start=100,
        source_end=100 + len(text),
        score=1.0,
        marked=marked,
        document_start=90,
    )


def test_without_an_answer_the_closest_passages_are_shown() -> None:
    passages = (close("The limit is 8 bar.", (13, 18), "Safety", "Limits"), close("No figures here.", None))
    none = replace(answer("The limit is 8 bar.", (13, 18)), text=None, closest=passages)
    assert shown(none)[:-2] == [
        "Not sure. The closest passages:",
        "",
        "  Safety > Limits",
        "  1. The limit is [8 bar].",
        "     manual.pdf#12, characters 10-29",
        "",
        "  2. No figures here.",
        "     manual.pdf#12, characters 10-26",
        "",
        "  The best guess, 80 % likely, is given with --force.",
    ]


def test_nothing_close_is_no_answer_of_a_text_or_of_a_collection() -> None:
    none = replace(answer("Ada wrote.", (0, 3)), text=None, candidates=())
    assert shown(none)[0] == "No answer: nothing is close to the question."


def test_an_answer_stands_in_its_passage_under_its_headings() -> None:
    found = answer("Depth is limited. It may be 12 metres. Not more.", (28, 37))
    found = replace(found, candidates=(replace(found.candidates[0], heading=("Pump", "Depth")),))
    assert shown(found)[2:4] == ["  Pump > Depth", "  Depth is limited. It may be [12 metres]. Not more."]


@pytest.mark.parametrize(
    ("heading", "text", "marked", "expected"),
    [
        (("Pump", "Depth"), "Depth\n\nAt most 12 metres.", "12 metres", "At most [12 metres]."),
        (("Pump", "Depth"), "Pump\n====\n\nDepth\n-----\n\nAt most 12 metres.", "12", "At most [12] metres."),
        (("Pump", "Depth"), "Pump\n\nDepth\n\nAt most 12 metres.", "12 metres", "At most [12 metres]."),
        (("Pump", "Depth"), "Depth\n=====\n\nAt most 12 metres.", "12 metres", "At most [12 metres]."),
        (("Depth",), "Depth\n\nAt most 12 metres.", "Depth", "[Depth] At most 12 metres."),
        (("Depth",), "Depth is given in metres.", "metres", "Depth is given in [metres]."),
        (("Config",), 'Config\n\n{\n  "port": 8080\n}', "8080", '{ "port": [8080] }'),
        (("Usage",), "Usage\n\n```\nedgeqa ask\n```", "edgeqa ask", "``` [edgeqa ask] ```"),
        (("-q",), "-q  be quiet", "quiet", "be [quiet]"),
        (("Depth",), "Depths are given in metres.", "metres", "Depths are given in [metres]."),
        (("Depth",), "Depth", "Depth", "[Depth]"),
    ],
)
def test_headings_are_not_shown_twice(heading: tuple[str, ...], text: str, marked: str, expected: str) -> None:
    start = text.index(marked)
    found = answer(text, (start, start + len(marked)))
    found = replace(found, candidates=(replace(found.candidates[0], heading=heading),))
    assert shown(found)[2:4] == [f"  {' > '.join(heading)}", f"  {expected}"]
    own = close(text, (start, start + len(marked)), *heading)
    assert shown(replace(found, text=None, closest=(own,)))[2:4] == [f"  {' > '.join(heading)}", f"  1. {expected}"]
    assert f"<mark>{marked}</mark>" in found._repr_html_()


@given(st.lists(st.text("ab \n-", min_size=1), max_size=3), st.text("ab \n-"), st.integers(0, 9), st.integers(1, 9))
def test_what_stands_below_headings_is_the_end_of_the_passage_with_its_mark(
    heading: list[str], rest: str, start: int, length: int
) -> None:
    text = "\n\n".join([*heading, rest])
    marked = (min(start, len(text)), min(start + length, len(text)))
    below, at = below_headings(tuple(heading), text, marked)
    assert at is not None
    assert text.endswith(below)
    assert below[slice(*at)] == text[slice(*marked)]


@given(st.text(st.sampled_from("ab \n[]é\x1b"), max_size=2000), st.integers(0, 2000), st.integers(0, 80))
def test_a_passage_fits_its_lines_with_what_is_marked(text: str, start: int, length: int) -> None:
    start = min(start, len(text))
    end = min(start + length, len(text))
    lines = [click.unstyle(line) for line in folded(text, (start, end))]
    assert len(lines) <= MAX_LINES
    assert all(len(line) <= LINE_CHARACTERS for line in lines)
    inner = " ".join(plain(text[start:end]).split())
    assert inner in " ".join(lines).replace("  ", " ") or len(text) > LINE_CHARACTERS
    if len(text) < LINE_CHARACTERS:
        assert "…" not in "".join(lines)


def test_a_long_passage_is_cut_on_both_sides_of_the_answer() -> None:
    words = "word " * 200
    lines = shown(answer(f"{words}Ada {words}", (len(words), len(words) + 3)))[2:-3]
    assert lines[0].startswith("  … word ")
    assert lines[-1].endswith(" …")
    assert sum("[Ada]" in line for line in lines) == 1


def test_a_notebook_shows_the_answer_marked_and_nothing_of_a_text_as_html() -> None:
    found = answer("It is <b>12 & more</b>.", (9, 11), source="<i>.txt")
    found = replace(found, candidates=(replace(found.candidates[0], heading=("A", "B")),))
    shown = found._repr_html_()
    assert "<small>A &gt; B</small>" in shown
    assert "It is &lt;b&gt;<mark>12</mark> &amp; more&lt;/b&gt;." in shown
    assert "&lt;i&gt;.txt" in shown
    odd = answer("It is 12.", (6, 8), source="caf\udce9.txt")
    assert "caf\\xe9.txt" in odd._repr_html_()
    assert odd.to_json()["source"] == odd.to_json()["document"] == "caf\\xe9.txt"
    unsure = replace(found, text=None, closest=(close("No <figures>.", None), close("8 bar", (0, 5))))._repr_html_()
    assert "<p>Not sure.</p>" in unsure
    assert "No &lt;figures&gt;." in unsure
    assert "<mark>8 bar</mark>" in unsure


def of_probability(probability: float, *close_ones: ClosePassage) -> Answer:
    """Returns an answer that is so likely, with passages that come after its own."""
    found = answer("Ada wrote.", (0, 3))
    candidates = (replace(found.candidates[0], probability=probability),)
    own = replace(close("Ada wrote.", (0, 3)), document="notes.txt", source="notes.txt")
    return replace(found, probability=probability, candidates=candidates, closest=(own, *close_ones))


def test_the_passages_that_come_next_stand_below_an_answer_that_is_none_too_likely() -> None:
    unlikely = of_probability(0.74, close("Or Byron did.", (3, 8), "Poets"), close("No figures.", None))
    assert shown(unlikely)[2:-2] == [
        "  [Ada] wrote.",
        "  notes.txt, characters 0-3, 74 % likely",
        "",
        "  Close, too:",
        "",
        "  Poets",
        "  2. Or [Byron] did.",
        "     manual.pdf#12, characters 10-23",
        "",
        "  3. No figures.",
        "     manual.pdf#12, characters 10-21",
    ]


def test_a_likely_answer_stands_alone_and_so_do_several_candidates() -> None:
    other = close("Or Byron did.", (3, 8))
    assert not any("Byron" in line for line in shown(of_probability(0.75, other)))
    assert not any("Byron" in line for line in shown(of_probability(0.3, other), top=2))
    assert not any("Close" in line for line in shown(of_probability(0.3)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on the pro\u2010\n   cessor(s)", "on the processor(s)"),
        ("soft\u00ad\nware", "software"),
        ("a re-\n entrant lock", "a re-entrant lock"),
        ("in the 1990-\n1999 volume", "in the 1990- 1999 volume"),
        ("from Aix-\nLa", "from Aix- La"),
        ("what is -\nnot a word", "what is - not a word"),
    ],
)
def test_a_word_that_the_end_of_a_line_had_broken_is_whole_again(text: str, expected: str) -> None:
    assert folded(text, None) == [expected]


def test_a_passage_fills_its_lines() -> None:
    line = " ".join(["four"] * 19)  # 94 characters: another word does not fit
    assert folded(" ".join([line] * MAX_LINES), None) == [line] * MAX_LINES


def test_a_long_passage_without_a_guess_is_shown_about_the_questions_words() -> None:
    filling = "word " * 200
    text = f"The pump. {filling}Pumps are submerged deeply. {filling}"
    about = folded(text, None, "How deep may a pump be submerged?")
    assert "Pumps are submerged deeply" in " ".join(about)
    assert folded(text, None)[0].startswith("The pump. word")

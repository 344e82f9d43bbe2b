from __future__ import annotations

from dataclasses import replace

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeqa.answer import Answer, Candidate
from edgeqa.screen import SHOWN_CHARACTERS, describe, plain


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
        ("caf\udce9", "caf\ufffd"),
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


def test_no_answer_is_said_with_how_likely_the_best_guess_is() -> None:
    none = replace(answer("Ada wrote.", (0, 3)), text=None)
    assert shown(none)[:2] == ["No answer in this text.", "  The best guess, 80 % likely, is shown with --force."]
    assert shown(replace(none, candidates=()))[:2] == ["No answer in this text.", ""]


def test_a_long_sentence_is_cut_on_both_sides_of_the_answer() -> None:
    words = "word " * 100
    context = f"{words}Ada {words}"
    (line,) = (line for line in shown(answer(context, (len(words), len(words) + 3))) if "[Ada]" in line)
    assert line.startswith("  … word ")
    assert line.endswith(" …")
    assert len(line) < 2 * SHOWN_CHARACTERS + 20

"""Tests, on the real model, answers that are looked up in rows, and spans that evidence speaks against."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

import edgeqa

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.runtime import EdgeQA

PRICES = """Item,Unit,Net price EUR,Delivery
"Wheelbarrow, 85 l",piece,96.00,"5 days, kerbside"
Seed compost,bag 20 l,4.99,next day
Strawberry plants,tray of 6,7.80,2 days
Perlite,bag 100 l,17.90,2 days
"""
OTHER_PARTS = "".join(
    f"\n\n{name} PART\n\nIt stands by the river, and is made of oak." for name in ("FIRST", "SECOND", "THIRD", "LAST")
)
MUFFINS = """Directions

28. Spoon the batter into the prepared muffin tin, filling each cup about three-quarters full.
29. Bake in the preheated oven for 20-25 minutes, or until a toothpick inserted into a muffin comes out clean.
30. Remove the muffins from the oven and allow them to cool in the tin for a few minutes.
"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How much is a wheelbarrow?", "96.00"),
        ("What does a bag of seed compost cost?", "4.99"),
        ("In which unit are strawberry plants sold?", "tray of 6"),
    ],
)
@pytest.mark.parametrize("way", ["file", "collection"])
def test_a_cell_is_looked_up_in_its_row(writing: EdgeQA, tmp_path: Path, question: str, answer: str, way: str) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(PRICES)
    if way == "collection":
        writing.add(file)
    found = writing.ask(question, file if way == "file" else None)
    best = found.candidates[0]
    assert best.text == answer
    assert best.context[best.start : best.end] == answer
    # Asked again for several answers, and with what was remembered of each row, it is the same.
    assert writing.ask(question, file if way == "file" else None, top=3).candidates[0].text == answer


@pytest.mark.parametrize("more", ["", OTHER_PARTS])
def test_a_number_of_an_item_is_no_answer(qa: EdgeQA, more: str) -> None:
    best = qa.ask("At what temperature are the blueberry muffins baked?", MUFFINS + more).candidates[0]
    assert best.text == "20-25 minutes"


@pytest.mark.parametrize("top", [1, 2])
def test_a_span_that_says_the_question_again_is_no_answer_in_a_text_that_is_searched(qa: EdgeQA, top: int) -> None:
    text = "# Maximum length\n\nThe default maximum length of a string is one billion.\n" + OTHER_PARTS
    asked = "What is the default maximum length of a string?"
    assert qa.ask(asked, text, top=top).candidates[0].text == "one billion"


def test_an_answer_is_less_likely_where_another_one_is_nearly_as_good(qa: EdgeQA) -> None:
    numbers = qa.bundle.manifest.searched
    text = "The pump was built in 1902.{}" + OTHER_PARTS

    def beyond_rank(more: str) -> float:
        answer = qa.ask("When was the pump built?", text.format(more))
        assert answer.candidates[0].text in ("1902", "1911")
        return math.log(answer.probability / (1 - answer.probability)) - numbers.slope * answer.closest[0].score

    assert beyond_rank(" The pump was built in 1911.") < beyond_rank(" It stands by the river.") - 0.5


# Many other entries have the letter c, and one of them says "meaning".
OPTIONS = """Options:
  -q, --quiet      print only the answer
  -Q, --query      show the query plan
  --top N          give the N best answers

Files:
  -z, --gzip
      Filter the archive through gzip. It must be there.
  -Z, --compress
      Filter the archive through compress. It must be there.
  -C, --directory=DIR
      Change to DIR before anything else.

Operation modes:
  -c, --create
      Create a new archive. Arguments supply the names of what is archived.
  -r, --append
      Append to the end of an archive. Arguments have the same meaning as for -c (--create).
  -u, --update
      Append what is newer. Arguments have the same meaning as with -c and -r options.
  -A, --catenate
      Append an archive to the end of another. Its meaning is that of c.
"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What does -q do?", "print only the answer"),
        ("What does -Q do?", "show the query plan"),
        ("what does the --top option do", "give the N best answers"),
        ("What does -z do?", "Filter the archive through gzip"),
        ("What does -Z do?", "Filter the archive through compress"),
        ("-C meaning", "Change to DIR before anything else"),
    ],
)
def test_an_option_is_looked_up_as_it_is_written(writing: EdgeQA, tmp_path: Path, question: str, answer: str) -> None:
    file = tmp_path / "help.txt"
    file.write_text(OPTIONS)
    assert writing.ask(question, file).text == answer


def test_what_was_remembered_of_one_option_is_not_given_for_the_other(tmp_path: Path) -> None:
    file = tmp_path / "help.txt"
    file.write_text(OPTIONS)
    with edgeqa.open(reader="fast") as qa:
        assert qa.ask("What does -q do?", file).text == "print only the answer"
        assert qa.ask("What does -Q do?", file).text == "show the query plan"
        assert qa.ask("WHAT does -Q DO?", file).cached


WORDS = """<h1>Words</h1>
<dl><dt>Beacon</dt><dd>A light that warns ships. It stands on a rock, and is lit each night.</dd>
<dt>max_lights (integer)</dt><dd>Sets how many may be lit at once.</dd></dl>
<table><tr><th>Term</th><th>Meaning</th></tr><tr><td>Bundle</td><td>A directory with the files of a model</td></tr>
<tr><td>Probe</td><td>What looks at the device</td></tr></table>"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is a beacon?", "A light that warns ships"),
        ("beacon", "A light that warns ships"),
        ("max_lights meaning", "Sets how many may be lit at once"),
        ("What is a bundle?", "A directory with the files of a model"),
        ("What does probe mean?", "What looks at the device"),
    ],
)
def test_a_term_is_looked_up_by_its_name(writing: EdgeQA, tmp_path: Path, question: str, answer: str) -> None:
    file = tmp_path / "words.html"
    file.write_text(WORDS)
    assert writing.ask(question, file).text == answer


STATUS = """HARBOUR(1)

It prints what is in the harbour.

EXIT STATUS
       0      All is well.

       1      A ship is missing.

       2      Something worth a look was seen, but
              no ship is missing.

LIGHTS
       2      Two ships are at anchor.

       3      Three are. Exit by the north.

A warning is printed on standard error, whatever the exit status is.
"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What does exit status 1 mean?", "A ship is missing"),
        ("exit status 1 meaning", "A ship is missing"),
    ],
)
def test_an_entry_is_named_by_the_heading_above_it_too(
    writing: EdgeQA, tmp_path: Path, question: str, answer: str
) -> None:
    file = tmp_path / "harbour.txt"
    file.write_text(STATUS)
    assert writing.ask(question, file).text == answer


SHIPS = """Ship,Owner,Berth,Depth (m),Delivery
Petrel,Ms Vance,N3,2.4,from 3 June
Auk,Mr Lund,N4,3.1,in stock
Gannet,Ms Orr,S1,2.9,2 weeks
Skua,Mr Bell,S2,4.0,from 9 May
Tern,Ms Cole,S3,1.8,in stock
"""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("who keeps the Gannet", "Ms Orr"),
        ("How deep is the Skua?", "4.0"),
        ("from when on is the Petrel delivered", "from 3 June"),
        ("Which berth is used for the Tern?", "S3"),
    ],
)
def test_a_column_is_named_by_what_is_asked_for(writing: EdgeQA, tmp_path: Path, question: str, answer: str) -> None:
    file = tmp_path / "ships.csv"
    file.write_text(SHIPS)
    assert writing.ask(question, file).text == answer


def test_an_option_is_that_of_the_document_which_the_question_is_about(writing: EdgeQA, tmp_path: Path) -> None:
    for name, said in (("bogo", "Expand the word list by what is read."), ("trace", "Use UDP instead of ICMP.")):
        about = f"{name.upper()} manual\n\n{name} is a program.\n\n"
        (tmp_path / f"{name}.txt").write_text(f"{about}Options:\n  -u\n      {said}\n  -v\n      Be loud.\n")
    texts = [tmp_path / "bogo.txt", tmp_path / "trace.txt"]
    assert writing.ask("What does -u do in bogo?", texts).text == "Expand the word list by what is read"
    assert writing.ask("What does -u do in trace?", texts).text == "Use UDP instead of ICMP"

"""Tests texts as a scope: passages are found, and found again by what a record says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeqa.asking.documents import documents, from_stream, from_text
from edgeqa.asking.text_scope import TextScope
from edgeqa.errors import ContextIsDirectory, ContextUnreadable
from edgeqa.formats.source import HELD_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.asking import SourcePassage
    from edgeqa.runtime import EdgeQA

TABLE = """Spare parts

Part                      Number        Price (EUR)
Impeller                  240-2201      18.90
Shaft seal set            240-2215      12.40
Float switch              240-2230      27.50
"""


def found(texts: TextScope, question: str) -> list[SourcePassage]:
    return [texts.passage(hit) for hit in texts.search(question, 5).best]


@pytest.mark.parametrize(("text", "normal"), [("Cafe\u0301, open", "Caf\u00e9, open"), ("Tea, open", "Tea, open")])
def test_a_text_is_read_in_nfc_and_known_by_what_it_is(text: str, normal: str) -> None:
    document = from_text(text)
    assert "".join(document.blocks()) == normal
    assert "".join(block.text for record in document.records() for block in record) == normal
    assert b"".join(document.raw()) == text.encode()
    assert document.size_bytes == len(text.encode())


@pytest.mark.parametrize("name", ["notes", "notes.txt", "notes.md", "notes.docx"])
def test_a_folder_is_no_text_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ContextIsDirectory):
        documents(tmp_path / name)


def test_a_stream_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with (
        (tmp_path / "written").open("wb") as stream,
        pytest.raises(ContextUnreadable, match="standard input"),
        from_stream(stream, "standard input"),
    ):
        pytest.fail("there is nothing to read")


@pytest.mark.parametrize("held_bytes", [HELD_BYTES, 1000])
@pytest.mark.parametrize("before", [0, 10, (1 << 16) - 12, 1 << 16, 150_000])
def test_a_passage_is_cut_again_from_whichever_blocks_it_lies_in(
    qa: EdgeQA, before: int, held_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeqa.asking.text_scope.HELD_BYTES", held_bytes)  # of a longer one, all is cut anew each time
    lines = "words that fill a line of it\n\n" * (before // 30 + 1)
    text = lines[:before] + "\n\nThe machine was designed by Charles Babbage.\n\n" + TABLE + lines
    for question, start in (("Who designed the machine?", "The machine"), ("price of the float switch", "Part: Float")):
        texts = TextScope(qa._equipment, documents(text))
        passage = found(texts, question)[0]
        assert start in passage.text.text
        again = TextScope(qa._equipment, documents(text)).again(texts.reference(passage))
        assert again is not None
        for name in ("text", "start", "heading", "kind", "pieces"):
            assert getattr(again.text, name) == getattr(passage.text, name)
        for piece in again.text.pieces:
            assert text[piece.place :].startswith(again.text.text[piece.start : piece.end])


def test_what_a_shorter_text_does_not_have_is_not_found_again(qa: EdgeQA) -> None:
    texts = TextScope(qa._equipment, documents("The machine was designed by Charles Babbage."))
    reference = texts.reference(found(texts, "Who?")[0])
    assert TextScope(qa._equipment, documents("The machine.")).again(reference) is None


def test_a_single_passage_is_given_and_of_several_those_that_share_nothing_come_last(qa: EdgeQA) -> None:
    one = TextScope(qa._equipment, documents("The machine was designed by Charles Babbage."))
    one.search("Who?", 5)
    assert one.is_given
    several = TextScope(qa._equipment, documents(["The pump is red.", "The bridge is old."]))
    assert [(hit.number, hit.score > 0) for hit in several.search("How old is the bridge?", 5).best] == [
        (1, True),
        (0, False),
    ]
    assert not several.is_given


def test_of_files_alike_in_content_each_keeps_its_name(qa: EdgeQA, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("The pump is red.\n\nThe bridge is old.")
    for name in ("a.txt", "b.txt"):
        answer = qa.ask("What colour is the pump?", tmp_path / name, force=True)
        assert answer.source == str(tmp_path / name)

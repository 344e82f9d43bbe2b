"""Asks texts, files and a collection, one question or many, and looks at what comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import edgeqa

if TYPE_CHECKING:
    from pathlib import Path


def ask(text: str, file: Path) -> str:
    """Returns what two texts say, or the passage that comes closest."""
    with edgeqa.open(threads=1, persist="memory", reader="fast") as qa:
        answer: edgeqa.Answer = qa.ask("Who built it?", [text, file], top=3)
        best: list[str] = [candidate.text for candidate in answer.candidates]
        likely: float = answer.probability
        if answer.text is None:
            closest: tuple[edgeqa.ClosePassage, ...] = answer.closest
            return closest[0].text if closest else ""
        return f"{answer.text} ({likely:.0%}), {answer.source}, of {best}"


def keep(folder: Path) -> dict[str, int]:
    """Returns how many passages each document of a collection has."""
    with edgeqa.open(collection="manuals") as qa:
        added: edgeqa.Added = qa.add([folder, "notes.txt"], exclude=["drafts/"])
        for name, error in added.failed:
            print(name, error.hint)  # noqa: T201 - as a user would
        gone: list[str] = qa.remove("notes.txt")
        documents: tuple[edgeqa.ListedDocument, ...] = qa.list()
        return {document.document: document.contexts for document in documents if document.document not in gone}


def careful(question: str) -> str | None:
    """Returns an answer, or what to do where there is none."""
    try:
        with edgeqa.open() as qa:
            remembered: edgeqa.Answer | None = qa.remembered(question)
            return (remembered or qa.ask(question)).text
    except edgeqa.NotEnoughMemory as error:
        missing: int = error.missing_bytes
        return f"{missing} bytes are missing"
    except edgeqa.EdgeQAError as error:
        hint: str = error.hint
        return hint


async def together(questions: list[str], text: str) -> list[str | None]:
    """Returns the answers to several questions, asked at the same time."""
    async with edgeqa.aopen() as qa:
        answers: list[edgeqa.Answer] = await asyncio.gather(*(qa.ask(question, text) for question in questions))
        return [answer.text for answer in answers]

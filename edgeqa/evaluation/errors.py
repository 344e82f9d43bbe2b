"""What can be wrong with a file of questions on documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.errors import ContextError

if TYPE_CHECKING:
    from pathlib import Path


class QuestionsFileError(ContextError):
    """A line of a file of questions on documents cannot be used."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        super().__init__(
            f"{path}, line {line}: {reason}",
            'expected on each line: {"doc": ..., "question": ..., "answers": [...], "anchors": [[DOC, QUOTATION]]}',
        )


class QuestionsNotFound(ContextError):
    """A file of questions on documents has none, or none that was chosen."""

    def __init__(self, path: Path, chosen: str) -> None:
        super().__init__(f"{path}: there is no question in it{f' with {chosen}' if chosen else ''}")


class DocumentsNotFound(ContextError, NotADirectoryError):
    """The folder that the documents are to be in is none."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"no such folder: {folder}", "--documents names the folder that the documents are in")


class DocumentMissing(QuestionsFileError):
    """A document that a question is about is not in the folder."""

    def __init__(self, path: Path, line: int, document: str, folder: Path) -> None:
        super().__init__(path, line, f"the document {document!r} is not in {folder}")
        self.hint = "--documents names the folder that the documents are in"


class PlaceNotFound(QuestionsFileError):
    """None of the places that answer a question is found in its documents."""

    def __init__(self, path: Path, line: int, document: str, quotation: str) -> None:
        super().__init__(path, line, f"in {document!r} there is no {quotation!r}")
        self.hint = "a question with answers needs a quotation that its document holds (anchors), or a place (gold)"

"""What can be wrong with a file that is to be read as records. Each error names the file and the place in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable


class FormatUnknown(FormatError):
    """The file is in none of the formats that are read."""

    def __init__(self, name: str, formats: Iterable[str]) -> None:
        super().__init__(
            f"in none of the formats that edgeqa reads: {name}", f"convert it to one of these: {', '.join(formats)}"
        )


class FormatOld(FormatError):
    """The file is in a format that Office had before 2007."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"in a format that Office had before 2007: {name}",
            "save it as .docx, .xlsx or .pptx, or have LibreOffice do it: soffice --headless --convert-to docx FILE",
        )


class ExtraMissing(FormatError, ImportError):
    """The library that reads this format is not installed."""

    def __init__(self, name: str, format_name: str, package: str, install: str = "'edgeqa[docs]'") -> None:
        super().__init__(
            f"cannot read {name}: {format_name} files need {package}, which is not installed", f"pip install {install}"
        )


class FileDamaged(FormatError):
    """The file is not what its format says, or is cut off."""

    def __init__(self, name: str, format_name: str, reason: str) -> None:
        super().__init__(
            f"not a readable {format_name} file: {name}: {reason}",
            "check that it opens in its own program; get it again if it does not",
        )


class FileEncrypted(FormatError):
    """The file can only be read with a password."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"encrypted: {name}: {how}", "save a copy without password or copy protection, and give that")


class FileExcessive(FormatError):
    """The file takes more than its size allows: made to fill memory or disk, or damaged."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"refused: {name}: {what}", "do not trust this file; its text can be given as plain text")


class TextMissing(FormatError):
    """The file is a document, but holds no text."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no text in {name}: its pages are empty, or pictures of text",
            "have a program for OCR add the text, for example: ocrmypdf in.pdf out.pdf",
        )


class RecordInvalid(FormatError):
    """A record of a file cannot be understood."""

    def __init__(self, name: str, place: str, reason: str, hint: str) -> None:
        super().__init__(f"{name}, {place}: {reason}", hint)


class RecordTooLong(FormatError):
    """A record is longer than what is held in memory for one."""

    def __init__(self, name: str, place: str, most_bytes: int) -> None:
        super().__init__(
            f"{name}, {place}: the record is longer than {most_bytes} bytes",
            "is a line end, a quote or a bracket missing before it? Else give this text as a file of its own",
        )


class FieldUnknown(FormatError):
    """A field that was named is not there, or none of the fields has a usual name."""

    def __init__(self, name: str, place: str, field: str | None, option: str, fields: Iterable[str]) -> None:
        known = ", ".join(map(repr, fields))
        missing = "which field holds the text is not clear" if field is None else f"there is no field {field!r}"
        super().__init__(f"{name}, {place}: {missing}; its fields are {known or 'none'}", f"name one with {option}")

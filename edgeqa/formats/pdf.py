"""PDF: each page that has text is a record, named `FILE#12` after the page; needs the extra `edgeqa[docs]`.

Text comes as PDFium finds it, page by page. Pages that are pictures of text have none: they need OCR first.
PDFium is not safe from several threads, so one page is read at a time in the whole process.
"""

from __future__ import annotations

import re
import threading
from typing import IO, TYPE_CHECKING, Any

from edgeqa.formats.errors import ExtraMissing, FileDamaged, FileEncrypted, TextMissing
from edgeqa.formats.plain import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.formats.records import FormatOptions, Record

_PDFIUM = threading.Lock()
_HYPHEN = re.compile(r"[\x02\ufffe](?:\r?\n)?")  # how PDFium writes a hyphen at the end of a line: the word goes on
_FROM_OFFICE = re.compile(r"^Microsoft \w+ - ")
_PASSWORD_NEEDED = 4  # FPDF_ERR_PASSWORD


def read(stream: IO[bytes], name: str, _options: FormatOptions) -> Iterator[Record]:
    """Yields a record a page.

    Raises:
        FormatError: if it is no PDF file, is encrypted, or has no text at all; or if the extra is not installed.
    """
    try:
        import pypdfium2
    except ImportError as error:
        raise ExtraMissing(name, "PDF", "pypdfium2") from error
    document, count, title = _opened(pypdfium2, stream, name)
    try:
        has_text = False
        for number in range(1, count + 1):
            text = _page(pypdfium2, document, number, name)
            if text.strip():
                has_text = True
                yield record(f"{name}#{number}", title, text)
    finally:
        with _PDFIUM:
            document.close()
    if not has_text:
        raise TextMissing(name)


def _opened(pdfium: Any, stream: IO[bytes], name: str) -> tuple[Any, int, str]:  # noqa: ANN401 - it has no types
    with _PDFIUM:
        try:
            document = pdfium.PdfDocument(stream)
        except pdfium.PdfiumError as error:
            if getattr(error, "err_code", None) == _PASSWORD_NEEDED:
                raise FileEncrypted(name, "it needs a password") from error
            raise FileDamaged(name, "PDF", str(error)) from error
        title = document.get_metadata_value("Title")
        return document, len(document), _FROM_OFFICE.sub("", title)


def _page(pdfium: Any, document: Any, number: int, name: str) -> str:  # noqa: ANN401
    with _PDFIUM:
        try:
            page = document[number - 1]
            text_page = page.get_textpage()
            text: str = text_page.get_text_range()
            text_page.close()
            page.close()
        except pdfium.PdfiumError as error:
            raise FileDamaged(name, "PDF", f"page {number}: {error}") from error
    return _HYPHEN.sub("", text).replace("\r\n", "\n").replace("\0", "")

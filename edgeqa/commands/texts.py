"""The texts that a command line names: files, --text, standard input."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa.contexts.documents import from_file, from_stream, from_text
from edgeqa.errors import ContextMissing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from edgeqa.contexts.documents import Document

STANDARD_INPUT = "-"


def named_texts(files: Sequence[str | Path], texts: Sequence[str], opened: ExitStack) -> list[Document]:
    """Returns the documents, which may be read as long as `opened` is.

    Raises:
        ContextError: for a file that cannot be read, or if there is no text at all.
    """
    names = ["text"] if len(texts) == 1 else [f"text {number}" for number in range(1, len(texts) + 1)]
    given = [from_text(text, name) for text, name in zip(texts, names, strict=True)]
    for file in files or (() if texts else (STANDARD_INPUT,)):
        if os.fspath(file) != STANDARD_INPUT:
            given.append(from_file(Path(file)))
        elif sys.stdin is None or sys.stdin.closed or (not files and sys.stdin.isatty()):
            raise ContextMissing
        else:
            given.append(opened.enter_context(from_stream(sys.stdin.buffer, "standard input")))
    return given

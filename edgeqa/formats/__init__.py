"""Files in, records out: text, code, manuals, pages, mails, documents and tables, each read by a reader of its own.

`walk` finds the sources that paths name, each `Source` gives its `Record`s, read as `FormatOptions` say. The names are
imported when they are used: which format a file is in can be told without its reader, and soon.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeqa.formats.blocks import FormatOptions, Record
    from edgeqa.formats.folders import Skipped, is_pipe, walk
    from edgeqa.formats.source import Source

STANDARD_INPUT = "-"
"""What standard input is called where files are named."""
PIPED_NAME = "standard input"
"""What is said where a file's name would be, of a text from there."""

_HOMES = {
    "FormatOptions": "blocks",
    "Record": "blocks",
    "Skipped": "folders",
    "Source": "source",
    "is_pipe": "folders",
    "walk": "folders",
}

__all__ = ["PIPED_NAME", "STANDARD_INPUT", "FormatOptions", "Record", "Skipped", "Source", "is_pipe", "walk"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module has names of any type
    if name not in _HOMES:
        raise AttributeError(f"module 'edgeqa.formats' has no attribute {name!r}")  # noqa: EM102 - Python's own wording
    return getattr(importlib.import_module(f"edgeqa.formats.{_HOMES[name]}"), name)

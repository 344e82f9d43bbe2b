"""Files in, records out: text, Markdown, HTML, JSON Lines, CSV, JSON, and with `edgeqa[docs]` documents.

`walk` finds the sources that paths name, each `Source` gives its `Record`s, read as `FormatOptions` say.
"""

from edgeqa.formats.folders import STANDARD_INPUT, Skipped, is_pipe, walk
from edgeqa.formats.records import FormatOptions, Record
from edgeqa.formats.source import Source

__all__ = ["STANDARD_INPUT", "FormatOptions", "Record", "Skipped", "Source", "is_pipe", "walk"]

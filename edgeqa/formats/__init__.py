"""Formats: text, code, manuals, pages, mails, documents and tables, each with a reader of its own.

In: files. Out: records. `folders.walk` finds the sources that paths name. Each `source.Source` gives its
`blocks.Record`s, as `blocks.FormatOptions` say. The format of a file is known quickly, without its reader.
"""

STANDARD_INPUT = "-"
"""The name of standard input among the names of files."""
PIPED_NAME = "standard input"
"""The words for standard input in messages, in the place of a file's name."""

"""Files in, records out: text, code, manuals, pages, mails, documents and tables, each read by a reader of its own.

`folders.walk` finds the sources that paths name, each `source.Source` gives its `blocks.Record`s, read as
`blocks.FormatOptions` say. Which format a file is in can be told without its reader, and soon.
"""

STANDARD_INPUT = "-"
"""What standard input is called where files are named."""
PIPED_NAME = "standard input"
"""What is said where a file's name would be, of a text from there."""

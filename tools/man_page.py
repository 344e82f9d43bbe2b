"""Writes the manual page of edgeqa from the commands' own help: `python tools/man_page.py man/edgeqa.1`, or `make man`.

There is one page for all commands, in roff's man macros, without a date or a version, so that it changes only with the
commands. Examples stand as they do in the help. The tool invents no text: the page says the same as `--help`.
"""

from __future__ import annotations

import inspect
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeqa.cli import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNS = str.maketrans({"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"})
VERBATIM = "\b"  # how click marks a paragraph whose lines stay as they are
FILES = """.SH FILES
Collections and added models are in the user's data directory, what is remembered is in the user's cache directory; both
are in the directory that the variable
.B EDGEQA_HOME
names, where it is set.
.SH EXIT STATUS
0 answered or done, 1 no answer in the text, 2 wrong usage or text, 3 model, device or collection, 130 interrupted."""


def page() -> Iterator[str]:
    """Yields the lines of the page."""
    yield '.TH EDGEQA 1 "" "edgeqa" "User Commands"'
    yield ".SH NAME"
    yield f"edgeqa \\- {_plain(metadata('edgeqa')['Summary'].rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield ".B edgeqa"
    yield ".RI [ options ]"
    yield ".I command"
    yield ".RI [ arguments ]"
    yield ".SH DESCRIPTION"
    context = click.Context(commands, info_name="edgeqa")
    yield from _help(commands)
    yield ".SH COMMANDS"
    for found in _below(context):
        yield f'.SS "{_plain(found.command_path)} {_plain(" ".join(found.command.collect_usage_pieces(found)))}"'
        yield from _help(found.command)
        yield from _options(found)
    yield from FILES.splitlines()


def _below(parent: click.Context) -> Iterator[click.Context]:
    """Yields the commands of a group, and those of the groups among them."""
    if isinstance(group := parent.command, click.Group):
        for name in group.list_commands(parent):
            command = group.get_command(parent, name)
            if command is not None and not command.hidden:
                found = click.Context(command, parent=parent, info_name=name)
                yield found
                yield from _below(found)


def _help(command: click.Command) -> Iterator[str]:
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        lines = [line.strip() if VERBATIM not in paragraph else line for line in paragraph.splitlines()]
        yield ".PP"
        if lines and lines[0] == VERBATIM:
            yield from (".nf", ".RS", *map(_plain, lines[1:]), ".RE", ".fi")
        else:
            yield from map(_plain, lines)


def _options(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in parameter.opts:
            names, explained = record
            yield from (".TP", f".B {_plain(names)}", _plain(explained))


def _plain(text: str) -> str:
    """Returns text as roff shows it as it stands."""
    shown = text.translate(SIGNS)
    return f"\\&{shown}" if shown.startswith(".") else shown


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("\n".join(page()) + "\n", encoding="utf-8")

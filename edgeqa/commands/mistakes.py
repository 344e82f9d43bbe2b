"""What a person most likely meant where a command line cannot be right: the line in, a hint out.

It is asked after something has failed, or where a question can be none, so that it costs a right line nothing. It looks
whether files are there, and reads none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa.formats import STANDARD_INPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_URLS = ("http://", "https://", "ftp://", "file://", "www.")


def asked_wrongly(question: str, files: Sequence[str]) -> str | None:
    """Returns what to write instead of `edgeqa ask QUESTION FILE...`; None where nothing is known better."""
    import shlex

    missing = [file for file in files if file != STANDARD_INPUT and not os.path.lexists(file)]
    there = [file for file in files if file not in missing]
    if url := next((file for file in (*files, question) if file.lower().startswith(_URLS)), None):
        return f"edgeqa reads nothing from a network: save the page, and name the file instead of {url}"
    if _is_file(question) and missing and (" " in missing[0] or missing[0].endswith("?")):
        others = "".join(f" {shlex.quote(file)}" for file in files if file != missing[0])
        return f"the question comes first: edgeqa ask {_quoted(missing[0])} {shlex.quote(question)}{others}"
    if _is_file(question) and not files:
        return f'{question} is a file, and no question: edgeqa ask "WHAT YOU WANT TO KNOW" {shlex.quote(question)}'
    if len(missing) > 1 and " " not in question:
        whole = " ".join((question, *missing))
        return f"put the question in quotes: {' '.join(('edgeqa ask', _quoted(whole), *map(shlex.quote, there)))}"
    if folder := next((file for file in there if Path(file).is_dir()), None):
        name = shlex.quote(folder)
        return f"add the folder once, and ask all that is in it: edgeqa add {name} && edgeqa ask {_quoted(question)}"
    return None


def is_no_question(question: str, files: Sequence[str], texts: Sequence[str]) -> bool:
    """Tells whether a file's name or a URL stands where the question belongs, and no text is named to ask."""
    if files or texts or " " in question:
        return False
    return _is_file(question) or question.lower().startswith(_URLS)


def command_meant(name: str, commands: Iterable[str]) -> str | None:
    """Returns a line that says which command a word may have been meant as; None where none is near."""
    from difflib import get_close_matches  # here, as all that only a wrong line needs

    if " " in name or name.endswith("?"):
        return f"To ask a question: edgeqa ask {_quoted(name)}"
    if name in ("help", "version"):
        return f"Did you mean edgeqa --{name}?"
    near = get_close_matches(name.lower(), [*commands], 2, 0.6)
    return f"Did you mean {' or '.join(f'edgeqa {command}' for command in near)}?" if near else None


def _is_file(name: str) -> bool:
    return ("." in name or os.sep in name) and os.path.lexists(name)


def _quoted(text: str) -> str:
    """Returns the text as a person quotes it."""
    import shlex

    return f'"{text}"' if not any(mark in text for mark in '"$`\\!') else shlex.quote(text)

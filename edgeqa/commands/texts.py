"""The texts that a command line names (files, --text, standard input, or the collection), and its file of questions.

After a failure, or if the question cannot be one, this module also guesses what the person meant, so that a right line
does not pay for it. The guess looks whether files exist, and reads none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgeqa import streams
from edgeqa.asking.documents import from_file, from_path, from_stream, from_text
from edgeqa.errors import CollectionAndTexts, ContextMissing, QuestionsMissing
from edgeqa.formats import PIPED_NAME, STANDARD_INPUT, in_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import ExitStack
    from io import BufferedReader

    from edgeqa.asking.documents import Document

_URLS = ("http://", "https://", "ftp://", "file://", "www.")


def named_texts(
    files: Sequence[str | Path],
    texts: Sequence[str],
    named: tuple[str, str] | None,
    opened: ExitStack,
    *,
    may_pipe: bool = True,
) -> list[Document] | None:
    """Returns the documents, which may be read as long as `opened` is open; None if the collection is asked.

    The collection is asked if it, or a cluster, or a part, is `named`: what it is, and by which option. It is also
    asked if nothing is: no file and no text, and standard input is empty, has no text, or may not be read (without
    `may_pipe`).

    Raises:
        ContextError: for a file that cannot be read, or if there is no text at all.
        CollectionAndTexts: if both are named.
    """
    if named is not None and (files or texts):
        raise CollectionAndTexts(*named)
    if named is not None or not (files or texts or (may_pipe and _has_something())):
        return None
    if not (files or texts):
        # In `while read question; do edgeqa ask "$question"; done < questions`, it holds the other questions.
        streams.say("edgeqa: the text is what came through standard input; --questions FILE asks many questions")
    names = ["text"] if len(texts) == 1 else [f"text {number}" for number in range(1, len(texts) + 1)]
    given = [from_text(in_utf8(text), name) for text, name in zip(texts, names, strict=True)]
    for file in files or (() if texts else (STANDARD_INPUT,)):
        if os.fspath(file) != STANDARD_INPUT:
            given.append(from_path(Path(file)))
        else:
            given.append(_from_standard_input(opened))
    return given


def questions_in(file: str, opened: ExitStack) -> list[str]:
    """Returns the lines that are not blank.

    Raises:
        ContextError: for a file that cannot be read, or is not UTF-8 text.
        QuestionsMissing: if there is none.
    """
    document = _from_standard_input(opened) if file == STANDARD_INPUT else from_file(Path(file))
    found = [line.strip() for line in "".join(document.blocks()).split("\n")]
    if not any(found):
        raise QuestionsMissing(document.name)
    return [line for line in found if line]


def _from_standard_input(opened: ExitStack) -> Document:
    """Returns standard input as a document, which may be read as long as `opened` is open.

    Raises:
        ContextMissing: if standard input is closed.
        ContextError: if it is not UTF-8 text.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise ContextMissing
    return opened.enter_context(from_stream(sys.stdin.buffer, PIPED_NAME))


def _has_something() -> bool:
    """Tells whether there is text on standard input; waits for the first byte or the end of a pipe."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return False
    try:
        return bool(cast("BufferedReader", sys.stdin.buffer).peek(1))
    except (OSError, ValueError):  # it is a directory, or was closed by the caller: to read it raises the right error
        return True


def asked_wrongly(question: str, files: Sequence[str]) -> str | None:
    """Returns a better line instead of `edgeqa ask QUESTION FILE...`; None if none is known."""
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
    """Tells whether a file's name or a URL stands in the place of the question, and no text is named."""
    if files or texts or " " in question:
        return False
    return _is_file(question) or question.lower().startswith(_URLS)


def command_meant(name: str, commands: Iterable[str]) -> str | None:
    """Returns a line that names the command a word may stand for; None if no command is near."""
    from difflib import get_close_matches  # imported here, because only a wrong line needs it

    if " " in name or name.endswith("?"):
        return f"To ask a question: edgeqa ask {_quoted(name)}"
    if name in ("help", "version"):
        return f"Did you mean edgeqa --{name}?"
    near = get_close_matches(name.lower(), [*commands], 2, 0.6)
    return f"Did you mean {' or '.join(f'edgeqa {command}' for command in near)}?" if near else None


def _is_file(name: str) -> bool:
    return ("." in name or os.sep in name) and os.path.lexists(name)


def _quoted(text: str) -> str:
    """Returns the text in quotes, as a person would write it."""
    import shlex

    return f'"{text}"' if not any(mark in text for mark in '"$`\\!') else shlex.quote(text)

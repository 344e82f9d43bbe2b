"""`edgeqa ask --questions`: many questions, one a line; a JSON object a line on stdout, also for one that fails.

The model is loaded once. What is wrong with one question is no reason to leave out the others: its line has the
`error`, and the exit code is that of the first that failed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa import streams
from edgeqa.commands.options import STANDARD_INPUT
from edgeqa.errors import EXIT_ANSWERED, EdgeQAError, QuestionsMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from edgeqa.answer import Answer
    from edgeqa.timing import Progress


def questions_in(file: str, opened: ExitStack) -> list[str]:
    """Returns the lines that are not blank.

    Raises:
        ContextError: for a file that cannot be read, or is not UTF-8 text.
        QuestionsMissing: if there is none.
    """
    if file != STANDARD_INPUT:
        from edgeqa.asking.documents import from_file  # here: a single question needs none, nor does `--help`

        document = from_file(Path(file))
    else:
        from edgeqa.commands.texts import from_standard_input

        document = from_standard_input(opened)
    found = [line.strip() for line in "".join(document.blocks()).split("\n")]
    if not any(found):
        raise QuestionsMissing(document.name)
    return [line for line in found if line]


def ask_all(questions: Sequence[str], ask: Callable[[str], Answer], *, top: int, progress: Progress) -> int:
    """Prints the answer to each question as it comes; returns the exit code."""
    code = EXIT_ANSWERED
    for number, question in enumerate(questions):
        progress("asking", number, len(questions))
        try:
            found = ask(question).to_json(candidates=top > 1)
        except EdgeQAError as error:
            found = {"question": question, "error": str(error), "hint": error.hint}
            code = code or error.exit_code
        streams.print_json(found)
    progress("asking", len(questions), len(questions))
    return code

"""`edgeqa ask` as click reads it: its options and their help, and the viewer that opens an answer's document.

What the options do is in `edgeqa.asked`. A line of plain options gets there without click: see `edgeqa.__main__`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click

from edgeqa.commands import (
    asking_options,
    budget_option,
    cluster_of,
    cluster_option,
    is_told,
    json_option,
    threads_option,
    within_option,
)
from edgeqa.errors import OptionError


@click.command("ask", short_help="Answer a question from your texts.")
@partial(asking_options, question_required=False)
@click.option(
    "--questions",
    "questions_file",
    metavar="FILE",
    help="Ask each line of FILE (- for standard input) instead of QUESTION, and print a JSON object for each.",
)
@click.option(
    "--quiet",
    "-q",
    is_flag=True,
    help="Print the bare answer and nothing else, on one line; with --top, each on its own.",
)
@within_option
@cluster_option
@json_option
@click.option("--view", "viewed", is_flag=True, help="Open the document of the answer.")
@click.option("--no-cache", is_flag=True, help="Neither look for a remembered answer nor remember this one.")
@click.option("--refresh", is_flag=True, help="Read the text even if the answer is remembered.")
@threads_option
@budget_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    question: str | None,
    questions_file: str | None,
    files: tuple[str, ...],
    collection: str | None,
    cluster: str | None,
    viewed: bool,
    **options: Any,  # noqa: ANN401 - as `ask` names them
) -> None:
    """Answer QUESTION from the collection that `edgeqa add` fills, or from FILEs, --text, or a pipe.

    \b
    edgeqa ask "How deep may the pump be submerged?"
    edgeqa ask "Who designed the machine?" notes.txt
    edgeqa ask "What is the limit?" manuals/*.txt --top 3
    edgeqa ask "When was it built?" --text "The bridge was built in 1932."
    man tar | edgeqa ask "Which option lists the contents of an archive?" --json
    edgeqa ask --questions questions.txt manuals/*.txt

    Without a FILE, a text from a pipe is read. If there is none, the collection is asked, and the answer names its
    document. Standard input is also called "-".

    The format of a file is known by its ending; other files are plain text. An answer from page 12 of a PDF, or from
    the 12th chapter of a book, is from manual.pdf#12.
    A text from a pipe is copied to a temporary file from 4 MiB on, and refused beyond 1 GiB; a file is read in place,
    however long it is.

    Exit codes: 0 answered, 1 no answer in the text, 2 wrong usage or text, 3 model or device.
    """
    from edgeqa.asked import ask

    cluster = cluster_of(ctx, cluster, collection)
    if question is None and questions_file is None:
        raise click.MissingParameter(ctx=ctx, param=ctx.command.params[0])
    code = ask(
        question,
        files,
        questions_file=questions_file,
        collection=collection,
        cluster=cluster,
        is_cluster_told=is_told(ctx),
        view=view if viewed else None,
        **options,
    )
    ctx.exit(code)


# No system runs files with these endings: scripts, settings and documents with macros are left out.
_DOCUMENTS = frozenset(
    ".txt .text .md .markdown .html .htm .xhtml .pdf .docx .odt .ods .odp .epub .rtf .xlsx .pptx .csv .tsv".split()  # noqa: SIM905 - read more easily without quotes
)
_OPENERS = ("open",) if sys.platform == "darwin" else ("xdg-open", "termux-open")


def view(source: str) -> None:
    """Opens a document in the system's viewer for it, and does not wait for the viewer.

    The file must exist under its own name, end as a document does, and be neither a link nor executable. Nothing is
    opened because a document names it.

    Raises:
        OptionError: if it is no such file, or the system has no program that opens documents.
    """
    import os
    import shutil
    import stat
    import subprocess
    from pathlib import Path

    try:
        mode = os.lstat(source).st_mode
    except (OSError, ValueError):
        mode = 0
    if not stat.S_ISREG(mode) or Path(source).suffix.lower() not in _DOCUMENTS or mode & 0o111:
        raise OptionError(name="--view", value=source, expected="for documents of known endings, no links or programs")
    opener = next((found for name in _OPENERS if (found := shutil.which(name))), None)
    if opener is None:
        raise OptionError(name="--view", value=source, expected=f"for systems that have {' or '.join(_OPENERS)}")
    subprocess.Popen(  # noqa: S603 - the opener's absolute path, and a file that was looked at
        [opener, os.path.abspath(source)],  # noqa: PTH100 - an absolute name is no option, whatever it begins with
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

"""`edgeqa ask`: it answers a question from texts, and prints the answer on standard output.

The exit code is 0 for an answer, and 1 if the text has none. With --questions the model is loaded once, and standard
output has one JSON object a line, also for a question that fails.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from edgeqa import streams
from edgeqa.commands import (
    asked,
    budget_option,
    cluster_of,
    cluster_option,
    collection_named,
    is_told,
    json_option,
    named,
    threads_option,
    within_option,
)
from edgeqa.errors import (
    EXIT_ANSWERED,
    EXIT_NO_ANSWER,
    CollectionError,
    ContextError,
    ContextMissing,
    EdgeQAError,
    OptionError,
    QuestionIsFile,
    StandardInputTwice,
)
from edgeqa.formats import STANDARD_INPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeqa.answer import Answer
    from edgeqa.capabilities import Persist, Reader
    from edgeqa.timing import Progress


@click.command("ask", short_help="Answer a question from your texts.")
@partial(asked, question_required=False)
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
def command(  # noqa: C901 - what was meant is told apart once, here
    ctx: click.Context,
    *,
    question: str | None,
    questions_file: str | None,
    files: tuple[str, ...],
    texts: tuple[str, ...],
    top: int,
    force: bool,
    quiet: bool,
    as_json: bool,
    viewed: bool,
    most_contexts: int | None,
    collection: str | None,
    cluster: str | None,
    within: tuple[str, ...],
    no_cache: bool,
    refresh: bool,
    bundle: str | None,
    reader: Reader | None,
    provider: str | None,
    threads: int | None,
    budget_bytes: int | None,
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
    from edgeqa import runtime
    from edgeqa.commands.texts import is_no_question, named_texts, questions_in

    cluster = cluster_of(ctx, cluster, collection)
    with ExitStack() as opened:
        if questions_file is not None:  # then QUESTION is a file, too
            question, files = None, files if question is None else (question, *files)
            if questions_file == STANDARD_INPUT in files:
                raise StandardInputTwice
            questions = questions_in(questions_file, opened)
        elif question is None:
            raise click.MissingParameter(ctx=ctx, param=ctx.command.params[0])
        elif is_no_question(question, files, texts):
            raise _explained(QuestionIsFile(question), question, files)
        try:
            given = named_texts(
                files,
                texts,
                collection_named(collection)
                or (("a cluster", "--cluster") if cluster and is_told(ctx) else None)
                or (("a part of the collection", "--in") if within else None),
                opened,
                may_pipe=questions_file != STANDARD_INPUT,
            )
        except ContextError as error:
            raise _explained(error, question, files) from None
        cluster = None if given else cluster
        persist: Persist | None = "off" if no_cache else None
        qa = opened.enter_context(
            runtime.open(
                bundle=bundle,
                threads=threads,
                budget_bytes=budget_bytes,
                encoding_store_bytes=None if question is None else 0,  # a single question reads no context twice
                persist=persist,
                collection=named(collection),
                cluster=cluster,
                reader=reader,
                provider=provider,
            )
        )
        progress = opened.enter_context(streams.ProgressBar())

        def ask(question: str, shown: Progress | None = None) -> Answer:
            return qa.ask(
                question,
                given,
                top=top,
                force=force,
                most_contexts=most_contexts,
                refresh=refresh,
                within=within or None,
                progress=shown,
            )

        try:
            if question is None:
                ctx.exit(_ask_all(questions, ask, top=top, progress=progress))
            answer = ask(question, progress)
        except CollectionError as error:
            if (
                given is None
                and collection is None
                and cluster is None
                and not within
                and isinstance(error, LookupError)
            ):  # no text is there at all
                raise ContextMissing from error
            raise
        for damage in answer.damaged:
            hint = "ask again in 10 s: others take over" if cluster else "`edgeqa verify` names the texts to add again"
            streams.say(f"edgeqa: {damage}: it is left out\n  hint: {hint}")
        if reason := qa.cache_off_reason:
            streams.say(f"edgeqa: nothing is remembered: {reason}\n  hint: `edgeqa cache verify` mends the cache")
    code = show(answer, top=top, quiet=quiet, as_json=as_json)
    if viewed and (source := answer.source or next((passage.source for passage in answer.closest), None)) is not None:
        view(source)
    ctx.exit(code)


def _ask_all(questions: Sequence[str], ask: Callable[[str], Answer], *, top: int, progress: Progress) -> int:
    """Prints the answer to each question as it comes; returns the exit code of the first that failed.

    A fault in one question does not stop the others: its line has the `error`.
    """
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


def _explained(error: EdgeQAError, question: str | None, files: Sequence[str]) -> EdgeQAError:
    """Returns the error, with a hint that names what the caller probably meant."""
    from edgeqa.commands.texts import asked_wrongly

    if question is not None and (hint := asked_wrongly(question, files)) is not None:
        error.hint = hint
    return error


def show(answer: Answer, *, top: int, quiet: bool, as_json: bool) -> int:
    """Prints an answer; returns the exit code."""
    if as_json:
        streams.print_json(answer.to_json(candidates=top > 1))
    elif quiet:
        from edgeqa.screen import plain

        for candidate in answer.candidates if answer.text is not None else ():
            click.echo(plain(" ".join(candidate.text.split())))
    else:
        from edgeqa.screen import describe

        click.echo(describe(answer, top=top))
        if answer.question_cut:
            streams.say("edgeqa: the question is too long: only its beginning was asked")
    return EXIT_NO_ANSWER if answer.text is None else EXIT_ANSWERED


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

"""`edgeqa ask`: a question and texts in, the answer on stdout, its exit code 0, or 1 where the text has none."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from edgeqa import streams
from edgeqa.commands.options import asked, budget_option, json_option, threads_option
from edgeqa.errors import EXIT_ANSWERED, EXIT_NO_ANSWER, CollectionError, ContextMissing

if TYPE_CHECKING:
    from edgeqa.answer import Answer
    from edgeqa.capabilities.overrides import Persist


@click.command("ask", context_settings={"max_content_width": 100})
@asked
@click.option(
    "--quiet",
    "-q",
    is_flag=True,
    help="Print the bare answer and nothing else, on one line; with --top, each on its own.",
)
@json_option
@click.option("--no-cache", is_flag=True, help="Neither look for a remembered answer nor remember this one.")
@click.option("--refresh", is_flag=True, help="Read the text even if the answer is remembered.")
@threads_option
@budget_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    question: str,
    files: tuple[str, ...],
    texts: tuple[str, ...],
    top: int,
    force: bool,
    quiet: bool,
    as_json: bool,
    most_contexts: int | None,
    collection: str | None,
    no_cache: bool,
    refresh: bool,
    bundle: str | None,
    threads: int | None,
    budget_bytes: int | None,
) -> None:
    """Answer QUESTION from the collection that `edgeqa add` fills, or from FILEs, --text, or a pipe.

    \b
    edgeqa ask "How deep may the pump be submerged?"
    edgeqa ask "Who designed the machine?" examples/analytical-engine.txt
    edgeqa ask "What is the limit?" manuals/*.txt --top 3
    edgeqa ask "When was it built?" --text "The bridge was built in 1932."
    man tar | edgeqa ask "Which option lists the contents of an archive?" --json

    Without a FILE, what comes through a pipe is read; where nothing does, the collection is asked, and the answer says
    which of its documents it is from. Standard input is also called "-".

    Markdown, HTML, PDF, DOCX and EPUB files are known by their endings; all else is plain text. An answer from page 12
    of a PDF, or from the 12th chapter of a book, is from manual.pdf#12.
    What comes through a pipe is copied to a temporary file from 4 MiB on, and refused beyond 1 GiB; a file is read in
    place, however long.

    Exit codes: 0 answered, 1 no answer in the text, 2 wrong usage or text, 3 model or device.
    """
    from edgeqa import runtime
    from edgeqa.commands.progress import ProgressBar
    from edgeqa.commands.texts import named_texts

    with ExitStack() as opened:
        given = named_texts(files, texts, collection, opened)
        persist: Persist | None = "off" if no_cache else None
        qa = opened.enter_context(
            runtime.open(
                bundle=bundle,
                threads=threads,
                budget_bytes=budget_bytes,
                encoding_store_bytes=0,  # there is one question: no context is read twice
                persist=persist,
                collection=collection or "default",
            )
        )
        progress = opened.enter_context(ProgressBar())
        try:
            answer = qa.ask(
                question, given, top=top, force=force, most_contexts=most_contexts, refresh=refresh, progress=progress
            )
        except CollectionError as error:
            if given is None and collection is None and isinstance(error, LookupError):  # there is none at all
                raise ContextMissing from error
            raise
        for damage in answer.damaged:
            streams.say(f"edgeqa: {damage}: it is left out\n  hint: `edgeqa verify` names the texts to add again")
        if reason := qa.cache_off_reason:
            streams.say(f"edgeqa: nothing is remembered: {reason}\n  hint: `edgeqa cache verify` mends the cache")
    ctx.exit(show(answer, top=top, quiet=quiet, as_json=as_json))


def show(answer: Answer, *, top: int, quiet: bool, as_json: bool) -> int:
    """Prints an answer; returns the exit code."""
    if as_json:
        click.echo(json.dumps(answer.to_json(candidates=top > 1), ensure_ascii=not streams.takes_all_characters()))
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

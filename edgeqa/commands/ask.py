"""`edgeqa ask`: a question and texts in, the answer on stdout, its exit code 0, or 1 where the text has none."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeqa.commands.options import budget_option, bundle_option, json_option, threads_option
from edgeqa.errors import EXIT_ANSWERED, EXIT_NO_ANSWER, ContextMissing

if TYPE_CHECKING:
    from edgeqa.contexts.documents import Document


@click.command("ask", context_settings={"max_content_width": 100})
@click.argument("question")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="Answer from this text. May be repeated.")
@click.option(
    "--top", type=click.IntRange(1, 100), default=1, show_default=True, help="Show the N best distinct answers."
)
@click.option("--force", is_flag=True, help='Give the best answer even where "no answer" is likelier.')
@click.option("--quiet", "-q", is_flag=True, help="Print the bare answer and nothing else.")
@json_option
@click.option(
    "--contexts",
    "most_contexts",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Read at most about N contexts; of a longer text, those closest to the question.",
)
@bundle_option
@threads_option
@budget_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    question: str,
    files: tuple[Path, ...],
    texts: tuple[str, ...],
    top: int,
    force: bool,
    quiet: bool,
    as_json: bool,
    most_contexts: int,
    bundle: Path | None,
    threads: int | None,
    budget_bytes: int | None,
) -> None:
    """Answer QUESTION from FILEs, from --text, or from standard input ("-", or no FILE at all).

    \b
    edgeqa ask "Who designed the machine?" examples/analytical-engine.txt
    edgeqa ask "What is the limit?" manuals/*.txt --top 3
    edgeqa ask "When was it built?" --text "The bridge was built in 1932."
    man tar | edgeqa ask "Which option lists the contents of an archive?" --json

    Exit codes: 0 answered, 1 no answer in the text, 2 wrong usage or text, 3 model or device.
    """
    from edgeqa import runtime
    from edgeqa.commands.progress import ProgressBar

    with ExitStack() as opened:
        given = _documents(files, texts, opened)
        qa = opened.enter_context(runtime.open(bundle=bundle, threads=threads, budget_bytes=budget_bytes))
        progress = opened.enter_context(ProgressBar())
        answer = qa.ask(question, given, top=top, force=force, most_contexts=most_contexts, progress=progress)
    if as_json:
        click.echo(json.dumps(answer.to_json(candidates=top > 1), ensure_ascii=False))
    elif quiet:
        if answer.text is not None:
            click.echo(answer.text)
    else:
        from edgeqa.screen import describe

        click.echo(describe(answer, top=top))
        if answer.question_cut:
            click.echo("edgeqa: the question is too long: only its beginning was asked", err=True)
    ctx.exit(EXIT_NO_ANSWER if answer.text is None else EXIT_ANSWERED)


def _documents(files: tuple[Path, ...], texts: tuple[str, ...], opened: ExitStack) -> list[Document]:
    from edgeqa.contexts.documents import from_file, from_stream, from_text

    names = ["text"] if len(texts) == 1 else [f"text {number}" for number in range(1, len(texts) + 1)]
    given = [from_text(text, name) for text, name in zip(texts, names, strict=True)]
    for file in files or (() if texts else (Path("-"),)):
        if file != Path("-"):
            given.append(from_file(file))
        elif sys.stdin is None or sys.stdin.closed or (not files and sys.stdin.isatty()):
            raise ContextMissing
        else:
            given.append(opened.enter_context(from_stream(sys.stdin.buffer, "standard input")))
    return given

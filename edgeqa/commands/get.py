"""`edgeqa get NAME`: a question on one context of a collection, both in one name; computed where it is missing."""

from __future__ import annotations

import click

from edgeqa.commands.ask import show
from edgeqa.commands.options import bundle_option, collection_option, json_option, named, threads_option


@click.command(
    "get", short_help="Answer a question on one passage, by name.", context_settings={"max_content_width": 100}
)
@click.argument("name")
@collection_option
@click.option("--force", is_flag=True, help='Give the best answer even where "no answer" is likelier.')
@click.option("--quiet", "-q", is_flag=True, help="Print the bare answer and nothing else, on one line.")
@json_option
@bundle_option
@threads_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    name: str,
    collection: str | None,
    force: bool,
    quiet: bool,
    as_json: bool,
    bundle: str | None,
    threads: int | None,
) -> None:
    """Answer a question on one context, both in NAME: bertqa{TAG}_DOCUMENT:{TAG}:N_QUESTION.

    \b
    edgeqa get "bertqa{8YG}_manuals/pump.md:{8YG}:2_How deep may the pump be submerged?"

    `edgeqa ask --json` shows DOCUMENT:{TAG}:N as "address". The answer is remembered; where it is missing, it is read.

    Exit codes: 0 answered, 1 no answer in the context, 2 wrong name or no such context, 3 model or device.
    """
    from edgeqa import runtime

    with runtime.open(bundle=bundle, threads=threads, encoding_store_bytes=0, collection=named(collection)) as qa:
        answer = qa.get(name, force=force)
    ctx.exit(show(answer, top=1, quiet=quiet, as_json=as_json))

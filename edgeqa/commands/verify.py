"""`edgeqa verify`: every byte of a collection compared with its checksum. What is damaged on stdout, exit code 3."""

from __future__ import annotations

import json

import click

from edgeqa import streams
from edgeqa.commands.options import collection_option, json_option
from edgeqa.errors import EXIT_ANSWERED, EXIT_DEVICE


@click.command("verify", context_settings={"max_content_width": 100})
@collection_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, collection: str | None, as_json: bool) -> None:
    """Read every byte of a collection; name the shards that are damaged, and the documents that are in them.

    \b
    edgeqa verify
    edgeqa verify --collection support --json

    What is damaged is left out of answers. `edgeqa add` on the files of those documents mends it.

    Exit codes: 0 it is sound, 3 something is damaged.
    """
    from edgeqa.collection import DEFAULT, directory, managing
    from edgeqa.screen import plain

    damages = managing.verify(directory(DEFAULT if collection is None else collection))
    if as_json:
        facts = {"sound": not damages, "damaged": [damage.to_json() for damage in damages]}
        click.echo(json.dumps(facts, ensure_ascii=not streams.takes_all_characters()))
    elif not damages:
        click.echo("sound")
    for damage in damages if not as_json else ():
        for problem in damage.problems:
            click.echo(f"damaged: {plain(str(problem))}")
        for document in damage.documents:
            click.echo(f"  {plain(document.name)}")
        if not damage.documents:
            click.echo("  nothing that is still there: `edgeqa add` on any file clears it away")
    ctx.exit(EXIT_DEVICE if damages else EXIT_ANSWERED)

"""`edgeqa list`: what a collection holds, on stdout; with --json one object a line."""

from __future__ import annotations

import click

from edgeqa import streams
from edgeqa.commands.options import collection_option, named


@click.command("list", short_help="List the documents of a collection.", context_settings={"max_content_width": 100})
@collection_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a document, each on its line.")
def command(*, collection: str | None, as_json: bool) -> None:
    """List the documents of a collection: contexts, tag of the shard that each was added in, name.

    \b
    edgeqa list
    edgeqa list --collection support --json | jq .document

    A tag and a number make the address of a context: DOCUMENT:{TAG}:N.
    """
    from edgeqa.collection import directory
    from edgeqa.collection.overview import listed
    from edgeqa.screen import plain

    for found in listed(directory(named(collection))):
        if as_json:
            streams.print_json(found.to_json())
        else:
            title = f"  ({plain(found.title)})" if found.title else ""
            click.echo(f"{found.contexts:>7}  {found.tag}  {plain(found.document)}{title}")

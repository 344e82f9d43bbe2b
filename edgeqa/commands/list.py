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
    from edgeqa.collection.catalogue import Catalogue
    from edgeqa.screen import plain

    with Catalogue.read(directory(named(collection))) as catalogue:
        for row in catalogue.documents():
            if as_json:
                path = catalogue.source(row.source).full_path
                facts = {"document": row.name, "path": path, "title": row.title, "tag": row.tag}
                streams.print_json({**facts, "contexts": row.contexts})
            else:
                title = f"  ({plain(row.title)})" if row.title else ""
                click.echo(f"{row.contexts:>7}  {row.tag}  {plain(row.name)}{title}")

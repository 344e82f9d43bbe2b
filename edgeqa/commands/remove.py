"""`edgeqa remove`: documents out of a collection. What is gone on stdout."""

from __future__ import annotations

import click

from edgeqa import streams
from edgeqa.commands.options import collection_option, json_option, named


@click.command("remove", short_help="Remove documents from a collection.", context_settings={"max_content_width": 100})
@click.argument("names", nargs=-1, required=True, type=click.Path(readable=False), metavar="NAME...")
@collection_option
@json_option
def command(*, names: tuple[str, ...], collection: str | None, as_json: bool) -> None:
    """Remove files, folders or single documents from a collection. Nothing else is touched: the files stay.

    \b
    edgeqa remove manuals/pump.txt
    edgeqa remove manuals/
    edgeqa remove "faq.jsonl#12" --collection support

    A NAME is one that `edgeqa list` shows, or a path. If one of them is not there, none is removed.

    Exit codes: 0 removed, 2 there is no such document, 3 the collection cannot be written to.
    """
    from edgeqa.collection import directory, managing
    from edgeqa.screen import counted

    gone = managing.remove(directory(named(collection)), names)
    contexts = sum(document.contexts for document in gone)
    if as_json:
        streams.print_json({"documents": len(gone), "contexts": contexts})
    else:
        click.echo(f"removed: {counted(len(gone), 'document')}, {counted(contexts, 'context')}")

"""`edgeqa collections`: which collections there are, and what they take; deleting one, and carrying one elsewhere."""

from __future__ import annotations

import sys

import click

from edgeqa import streams

_WIDE = {"max_content_width": 100}


@click.group(
    "collections",
    short_help="List, delete, export or import collections.",
    invoke_without_command=True,
    context_settings=_WIDE,
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a collection, each on its line.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """List the collections: documents, passages, size on disk, name, and the model that each was made with.

    \b
    edgeqa collections
    edgeqa collections --json | jq .name

    Exit codes: 0 done, 2 there is no such collection, 3 it cannot be read or changed.
    """
    if ctx.invoked_subcommand is not None:
        return
    from edgeqa.capabilities.settings import show_bytes
    from edgeqa.collection.overview import collections
    from edgeqa.screen import counted, plain

    for info in collections():
        if as_json:
            streams.print_json(info.to_json())
        elif info.problem:
            click.echo(f"{info.name}: {plain(info.problem)}")
        else:
            click.echo(
                f"{info.name}: {counted(info.documents, 'document')}, {counted(info.contexts, 'passage')}, "
                f"{show_bytes(info.texts_bytes)} texts, {show_bytes(info.encodings_bytes)} encodings, "
                f"{show_bytes(info.index_bytes)} index; {plain(info.bundle) or 'empty'}, format {info.format}"
            )


@command.command("delete", short_help="Delete a collection.", context_settings=_WIDE)
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask; needed where nobody can be asked, as in a script.")
def _delete(*, name: str, yes: bool) -> None:
    """Delete the collection NAME with its texts, encodings and index. The files that were added stay.

    \b
    edgeqa collections delete support --yes

    Exit codes: 0 deleted, 2 there is no such collection, or nobody agreed, 3 it cannot be deleted.
    """
    from edgeqa.collection import directory
    from edgeqa.collection.overview import delete_collection

    directory(name)  # a name that none can have is said before anything is asked
    if not yes:
        if not sys.stdin.isatty():
            message = f"to delete {name} with all that it holds: edgeqa collections delete {name} --yes"
            raise click.UsageError(message)
        click.confirm(f"Delete the collection {name} with all that it holds?", abort=True, err=True)
    delete_collection(name)
    click.echo(f"deleted: {name}")


@command.command("export", short_help="Write a collection into one file.", context_settings=_WIDE)
@click.argument("name")
@click.argument("file", type=click.Path())
@click.option("--encodings/--no-encodings", default=True, show_default=True, help="Carry encodings; most of the size.")
def _export(*, name: str, file: str, encodings: bool) -> None:
    """Write the collection NAME into FILE, to be imported on any device. No path of this one is in it.

    \b
    edgeqa collections export support support.zip
    edgeqa collections export support support.zip --no-encodings

    Without encodings it is far smaller, and answers take about twice as long where it is imported.

    Exit codes: 0 written, 2 there is no such collection, 3 it cannot be read, or FILE cannot be written.
    """
    from pathlib import Path

    from edgeqa.capabilities.settings import show_bytes
    from edgeqa.collection.carrying import export_collection
    from edgeqa.screen import counted, plain

    made = export_collection(name, file, encodings=encodings)
    size = show_bytes(Path(file).stat().st_size)
    click.echo(f"{plain(file)}: {counted(made.documents, 'document')}, {counted(made.contexts, 'passage')}, {size}")


@command.command("import", short_help="Make a collection of such a file.", context_settings=_WIDE)
@click.argument("file", type=click.Path())
@click.option("--as", "name", metavar="NAME", help="Call the collection NAME, not as it was called.")
def _import(*, file: str, name: str | None) -> None:
    """Make a collection of FILE, which `edgeqa collections export` has written, here or elsewhere.

    \b
    edgeqa collections import support.zip --as carried
    edgeqa ask "How deep may the pump be submerged?" --collection carried

    All of FILE is checked first; the collection is there whole, or not at all. A name that exists is refused.
    Adding files under the names that they have in it replaces them.

    Exit codes: 0 imported, 2 there is a collection of this name, 3 FILE cannot be read, or is damaged.
    """
    from edgeqa.collection.carrying import import_collection
    from edgeqa.screen import counted

    info = import_collection(file, name=name)
    click.echo(f"{info.name}: {counted(info.documents, 'document')}, {counted(info.contexts, 'passage')}")

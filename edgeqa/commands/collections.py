"""`edgeqa list`, `remove`, `verify` and `collections`: they show and change collections and their documents.

Each command reports on standard output; with --json, a list is one object a line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import click

from edgeqa import streams
from edgeqa.commands import cluster_of, cluster_option, collection_option, json_option, named
from edgeqa.errors import EXIT_ANSWERED, EXIT_DEVICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeqa.cluster.documents import StoredDocument
    from edgeqa.cluster.verifying import ClusterVerified
    from edgeqa.collection.catalogue_rows import DocumentRow
    from edgeqa.collection.damage import Damage
    from edgeqa.collection.overview import ListedDocument


@click.command("list", short_help="List the documents of a collection.")
@collection_option
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a document, each on its line.")
@click.pass_context
def list_documents(ctx: click.Context, *, collection: str | None, cluster: str | None, as_json: bool) -> None:
    """List the documents of a collection: number of passages, tag of the shard, name.

    \b
    edgeqa list
    edgeqa list --collection support --json | jq .document

    A tag and a number make the address of a passage: DOCUMENT:{TAG}:N.
    """
    from edgeqa.collection import directory
    from edgeqa.collection.overview import listed
    from edgeqa.screen import plain

    cluster = cluster_of(ctx, cluster, collection)
    for found in listed(directory(named(collection))) if cluster is None else _of_cluster(cluster):
        if as_json:
            streams.print_json(found.to_json())
        else:
            title = f"  ({plain(found.title)})" if found.title else ""
            click.echo(f"{found.contexts:>7}  {found.tag}  {plain(found.document)}{title}")


def _of_cluster(cluster: str) -> Iterable[ListedDocument]:
    from edgeqa import runtime

    with runtime.open(cluster=cluster) as qa:
        return qa.list()


@click.command("remove", short_help="Remove documents from a collection.")
@click.argument("names", nargs=-1, required=True, type=click.Path(readable=False), metavar="NAME...")
@collection_option
@cluster_option
@json_option
@click.pass_context
def remove(
    ctx: click.Context, *, names: tuple[str, ...], collection: str | None, cluster: str | None, as_json: bool
) -> None:
    """Remove files, folders or single documents from a collection. The files themselves stay.

    \b
    edgeqa remove manuals/pump.txt
    edgeqa remove manuals/
    edgeqa remove "faq.jsonl#12" --collection support

    A NAME is one that `edgeqa list` shows, or a path. If one of them is not there, none is removed.

    Exit codes: 0 removed, 2 there is no such document, 3 the collection cannot be written to.
    """
    from edgeqa.collection import directory, managing
    from edgeqa.screen import counted

    cluster = cluster_of(ctx, cluster, collection)
    gone: Sequence[DocumentRow | StoredDocument]
    if cluster is None:
        gone = managing.remove(directory(named(collection)), names)
    else:
        from edgeqa.cluster.runtime import removed_from

        gone = removed_from(cluster, names)
    contexts = sum(document.contexts for document in gone)
    streams.print_either(
        {"documents": len(gone), "contexts": contexts},
        f"removed: {counted(len(gone), 'document')}, {counted(contexts, 'passage')}",
        as_json=as_json,
    )


@click.command("verify", short_help="Read every byte of a collection, and check it.")
@collection_option
@cluster_option
@click.option("--repair", is_flag=True, help="Rebuild the parts that can be rebuilt from the rest, then read all.")
@json_option
@click.pass_context
def verify(ctx: click.Context, *, collection: str | None, cluster: str | None, repair: bool, as_json: bool) -> None:
    """Read every byte of a collection; name damaged shards, and the documents in them.

    \b
    edgeqa verify
    edgeqa verify --collection support --json
    edgeqa verify --repair

    Damaged documents are left out of answers; `edgeqa add` on their files mends them. The route index, by which
    questions find their passages, is read, too; `edgeqa add` on any file makes a damaged one anew. So does --repair,
    which also rebuilds the catalogue from the shards, without the files that were added.

    Exit codes: 0 it is sound, 3 something is damaged.
    """
    from edgeqa.collection import directory, managing, verifying
    from edgeqa.collection.verifying import FORMER_NOTE
    from edgeqa.screen import plain

    cluster = cluster_of(ctx, cluster, collection)
    if cluster is not None:
        ctx.exit(_verify_cluster(cluster, repair=repair, as_json=as_json))
    place = directory(named(collection))
    if repair:
        managing.repair(place)
    found = verifying.verified(place)
    if as_json:
        streams.print_json(found.to_json())
    elif found.sound:
        former = f"sound, as far as can be told: {FORMER_NOTE}; the next `edgeqa add` makes them"
        click.echo(former if found.is_former else "sound")
    for damage in found.damaged if not as_json else ():
        for problem in damage.problems:
            click.echo(f"damaged: {plain(str(problem))}")
        for document in damage.documents:
            click.echo(f"  {plain(document.name)}")
        if not damage.documents:
            click.echo(f"  {_remedy(damage)}")
    if found.route is not None and not as_json:
        click.echo(f"damaged: {plain(str(found.route))}\n  `edgeqa add` on any file makes it anew")
    ctx.exit(EXIT_ANSWERED if found.sound else EXIT_DEVICE)


def _verify_cluster(cluster: str, *, repair: bool, as_json: bool) -> int:
    """Reads all of a cluster, and prints what is damaged; returns the exit code."""
    from edgeqa import runtime
    from edgeqa.screen import counted, plain

    with runtime.open(cluster=cluster) as qa:
        found = cast("ClusterVerified", qa.verify(repair=repair))
    lines = [f"damaged: {plain(one)}\n  `edgeqa add` on its file mends it" for one in found.damaged] or ["sound"]
    lines.append(f"{counted(found.documents, 'document')}, {counted(found.contexts, 'passage')}")
    lines.append(f"workers: {', '.join(found.workers) or 'none'}")
    if found.unserved:
        lines.append(f"served by no worker: {', '.join(found.unserved)}")
    streams.print_either(found.to_json(), "\n".join(lines), as_json=as_json)
    return EXIT_ANSWERED if found.sound else EXIT_DEVICE


def _remedy(damage: Damage) -> str:
    if damage.tag:
        return "nothing that is still there: `edgeqa add` on any file clears it away"
    return "`edgeqa add` on any file, or --repair, makes it again from the rest"


@click.group(
    "collections",
    short_help="List, delete, export or import collections.",
    invoke_without_command=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a collection, each on its line.")
@click.pass_context
def collections(ctx: click.Context, *, as_json: bool) -> None:
    """List the collections: documents, passages, size on disk, name, and the model of each.

    \b
    edgeqa collections
    edgeqa collections --json | jq .name

    Exit codes: 0 done, 2 there is no such collection, 3 it cannot be read or changed.
    """
    if ctx.invoked_subcommand is None:
        _show_all(as_json=as_json)


@collections.command("list", short_help="List the collections, as without a command.")
@json_option
def _list(*, as_json: bool) -> None:
    """List the collections, as `edgeqa collections` does.

    \b
    edgeqa collections list
    """
    _show_all(as_json=as_json)


def _show_all(*, as_json: bool) -> None:
    from edgeqa.capabilities import show_bytes
    from edgeqa.collection import overview
    from edgeqa.screen import counted, plain

    for info in overview.collections():
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


@collections.command("delete", short_help="Delete a collection.")
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

    directory(name)  # this refuses an impossible name before the user is asked to agree
    if not yes:
        if not sys.stdin.isatty():
            message = f"to delete {name} with all that it holds: edgeqa collections delete {name} --yes"
            raise click.UsageError(message)
        click.confirm(f"Delete the collection {name} with all that it holds?", abort=True, err=True)
    delete_collection(name)
    click.echo(f"deleted: {name}")


@collections.command("export", short_help="Write a collection into one file.")
@click.argument("name")
@click.argument("file", type=click.Path())
@click.option("--encodings/--no-encodings", default=True, show_default=True, help="Carry encodings; most of the size.")
def _export(*, name: str, file: str, encodings: bool) -> None:
    """Write the collection NAME into FILE, to be imported on any device. FILE holds no path of this device.

    \b
    edgeqa collections export support support.zip
    edgeqa collections export support support.zip --no-encodings

    Without encodings, FILE is far smaller, and answers take about twice as long on the other device.

    Exit codes: 0 written, 2 there is no such collection, 3 it cannot be read, or FILE cannot be written.
    """
    from pathlib import Path

    from edgeqa.capabilities import show_bytes
    from edgeqa.collection.carrying import export_collection
    from edgeqa.screen import counted, plain

    made = export_collection(name, file, encodings=encodings)
    size = show_bytes(Path(file).stat().st_size)
    click.echo(f"{plain(file)}: {counted(made.documents, 'document')}, {counted(made.contexts, 'passage')}, {size}")


@collections.command("import", short_help="Make a collection from such a file.")
@click.argument("file", type=click.Path())
@click.option("--as", "name", metavar="NAME", help="Call the collection NAME, instead of its old name.")
def _import(*, file: str, name: str | None) -> None:
    """Make a collection from FILE, which `edgeqa collections export` has written, here or elsewhere.

    \b
    edgeqa collections import support.zip --as carried
    edgeqa ask "How deep may the pump be submerged?" --collection carried

    All of FILE is checked first; the collection is imported whole, or not at all. An existing name is refused.
    A file that is added later replaces the imported document of its name.

    Exit codes: 0 imported, 2 there is a collection of this name, 3 FILE cannot be read, or is damaged.
    """
    from edgeqa.collection.carrying import import_collection
    from edgeqa.screen import counted

    info = import_collection(file, name=name)
    click.echo(f"{info.name}: {counted(info.documents, 'document')}, {counted(info.contexts, 'passage')}")

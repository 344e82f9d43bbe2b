"""`edgeqa sync`: a collection made to hold what is on disk now. What was done on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgeqa.commands.adding_options import adding, opened_to_add, tell

if TYPE_CHECKING:
    from edgeqa.collection.managing import Later


@click.command("sync", short_help="Add what is new, remove what is gone.", context_settings={"max_content_width": 100})
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH...")
@adding
@click.option("--drop-all", is_flag=True, help="Remove what is gone even where all that was added from a PATH is gone.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    paths: tuple[str, ...],
    collection: str | None,
    text_field: str | None,
    title_field: str | None,
    name: str | None,
    format_name: str | None,
    exclude: tuple[str, ...],
    encodings_bytes: int | Later | None,
    as_json: bool,
    bundle: str | None,
    threads: int | None,
    budget_bytes: int | None,
    drop_all: bool,
) -> None:
    """Add what is new or changed in PATHs, and remove what was added from them and is not there any more.

    \b
    edgeqa sync manuals/
    edgeqa sync notes/ --collection notes --json

    What was added from elsewhere stays. Where all that was added from a PATH is gone, as from a disk that is not
    mounted, nothing is changed, and the exit code is 3; --drop-all removes it.

    Exit codes: 0 done, 2 wrong usage or a file that cannot be read, 3 model, device or collection.
    """
    with opened_to_add(collection, bundle, threads, budget_bytes) as (qa, progress):
        report = qa.sync(
            paths,
            text_field=text_field,
            title_field=title_field,
            name=name,
            drop_all=drop_all,
            format=format_name,
            exclude=exclude,
            encodings_bytes=encodings_bytes,
            progress=progress,
        )
    ctx.exit(tell(report, as_json=as_json))

"""`edgeqa verify`: every byte of a collection compared with its checksum. What is damaged on stdout, exit code 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgeqa import streams
from edgeqa.commands.options import collection_option, json_option, named
from edgeqa.errors import EXIT_ANSWERED, EXIT_DEVICE

if TYPE_CHECKING:
    from edgeqa.collection.damage import Damage


@click.command(
    "verify", short_help="Read every byte of a collection, and check it.", context_settings={"max_content_width": 100}
)
@collection_option
@click.option("--repair", is_flag=True, help="Make again what can be made from the rest, then read it all.")
@json_option
@click.pass_context
def command(ctx: click.Context, *, collection: str | None, repair: bool, as_json: bool) -> None:
    """Read every byte of a collection; name the shards that are damaged, and the documents that are in them.

    \b
    edgeqa verify
    edgeqa verify --collection support --json
    edgeqa verify --repair

    What is damaged is left out of answers. `edgeqa add` on the files of those documents mends it. The route index, by
    which questions find their contexts, is read, too; `edgeqa add` on any file makes a damaged one anew. So does
    --repair, which also makes the catalogue again from the shards, without any of the files that were added.

    Exit codes: 0 it is sound, 3 something is damaged.
    """
    from edgeqa.collection import directory, managing, verifying
    from edgeqa.collection.verifying import FORMER_NOTE
    from edgeqa.screen import plain

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


def _remedy(damage: Damage) -> str:
    if damage.tag:
        return "nothing that is still there: `edgeqa add` on any file clears it away"
    return "`edgeqa add` on any file, or --repair, makes it again from the rest"

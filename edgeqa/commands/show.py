"""`edgeqa show`: a passage where it stands, by its address or its place in a document; or a document's whole text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from edgeqa import streams
from edgeqa.commands.options import collection_option, json_option, named
from edgeqa.errors import EXIT_ANSWERED, EXIT_NO_ANSWER, OptionError

if TYPE_CHECKING:
    from edgeqa.showing import Shown

_PLACE = re.compile(r"(\d{1,18})-(\d{1,18})")


@click.command("show", short_help="Show a passage where it stands.", context_settings={"max_content_width": 100})
@click.argument("source")
@click.argument("place", required=False, metavar="[START-END]")
@click.option("--text", "whole", is_flag=True, help="Print the whole text of SOURCE, as edgeqa reads it.")
@collection_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, *, source: str, place: str | None, whole: bool, collection: str | None, as_json: bool
) -> None:
    """Show characters START to END of SOURCE where they stand, or the passage of the collection at an address.

    \b
    edgeqa show manual.pdf#12 40-52
    edgeqa show "manuals/pump.md:{8YG}:2"
    edgeqa show page.html --text

    SOURCE is a file, a page or chapter of one (manual.pdf#12), or a document of the collection: what `edgeqa ask` and
    `edgeqa closest` show. --text prints the text that places count in; of a document of the collection, what stands
    between its passages is blank.

    Exit codes: 0 shown, 1 it is gone, 2 wrong usage or text, 3 no such collection.
    """
    from edgeqa import showing
    from edgeqa.collection import directory
    from edgeqa.collection.errors import ContextGone
    from edgeqa.collection.naming import Address

    home = directory(named(collection))
    try:
        if whole:
            for piece in showing.text_pieces(home, source):
                click.echo(piece, nl=False)
            ctx.exit(EXIT_ANSWERED)
        address = Address.parse(source) if place is None else None
        if address is not None:
            found = showing.at_address(home, address)
        else:
            found = showing.in_document(home, source, *_place(source, place))
    except ContextGone as error:
        streams.say(f"edgeqa: {error}\n  hint: {error.hint}")
        ctx.exit(EXIT_NO_ANSWER)
    if as_json:
        streams.print_json(found.to_json())
    else:
        click.echo(_described(found))


def _place(source: str, place: str | None) -> tuple[int, int]:
    expected = f"two numbers, as edgeqa ask shows them: edgeqa show {source} 40-52"
    matched = _PLACE.fullmatch(place or "")
    if matched is None or int(matched[1]) >= int(matched[2]):
        raise OptionError(name="START-END", value=place, expected=expected)
    return int(matched[1]), int(matched[2])


def _described(found: Shown) -> str:
    from edgeqa.screen import plain

    start, end = found.marked
    before, inner, after = found.text[:start], found.text[start:end], found.text[end:]
    marked = "\n".join(click.style(line, bold=True) for line in _lines(f"[{inner}]"))
    around = "\n".join(_lines(before)) + marked + "\n".join(_lines(after))
    place = f"{plain(found.document)}, characters {found.start + start}-{found.start + end}"
    heading = [click.style(plain(" > ".join(found.heading)), dim=True), ""] if found.heading else []
    return "\n".join([*heading, around.strip("\n"), "", click.style(place, dim=True)])


def _lines(text: str) -> list[str]:
    from edgeqa.screen import plain

    return [plain(line) for line in text.split("\n")]

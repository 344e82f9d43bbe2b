"""`edgeqa closest`, `get` and `show`: they find single passages, ask one by its name, and show one in its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from edgeqa import streams
from edgeqa.commands import (
    bundle_option,
    cluster_of,
    cluster_option,
    collection_option,
    decoded,
    is_told,
    json_option,
    named,
    reader_option,
    threads_option,
    within_option,
)
from edgeqa.errors import EXIT_ANSWERED, EXIT_NO_ANSWER, ClusterError, OptionError

if TYPE_CHECKING:
    from edgeqa.asking.surroundings import Shown
    from edgeqa.capabilities import Reader

_PLACE = re.compile(r"(\d{1,18})-(\d{1,18})")


@click.command("closest", short_help="Show the passages closest to a question.")
@click.argument("question")
@click.option("--top", type=click.IntRange(1, 1000), default=5, show_default=True, help="Show N passages.")
@collection_option
@cluster_option
@within_option
@json_option
@bundle_option
@click.pass_context
def closest(
    ctx: click.Context,
    *,
    question: str,
    top: int,
    collection: str | None,
    cluster: str | None,
    within: tuple[str, ...],
    as_json: bool,
    bundle: str | None,
) -> None:
    """Show the passages of the collection that share the most with QUESTION, best first; no model reads them.

    \b
    edgeqa closest "How deep may the pump be submerged?"
    edgeqa closest "submersion depth" --top 10 --json

    Exit codes: 0 found, 1 none shares a word with the question, 2 no such collection.
    """
    from edgeqa import runtime
    from edgeqa.screen import passages_shown

    cluster = cluster_of(ctx, cluster, collection)
    with runtime.open(bundle=bundle, collection=named(collection), cluster=cluster) as qa:
        found = tuple(qa.closest(question, top, within=within or None))
    if as_json:
        facts = {"question": question, "closest": [passage.to_json() for passage in found]}
        streams.print_json(facts)
    else:
        click.echo("\n".join(passages_shown(found)) if found else "No passage shares a word with the question.")
    ctx.exit(EXIT_ANSWERED if found else EXIT_NO_ANSWER)


@click.command("get", short_help="Answer a question on one passage, by name.")
@click.argument("name", callback=decoded)
@collection_option
@cluster_option
@click.option("--force", is_flag=True, help='Give the best answer even if "no answer" is likelier.')
@click.option("--quiet", "-q", is_flag=True, help="Print the bare answer and nothing else, on one line.")
@json_option
@bundle_option
@reader_option
@threads_option
@click.pass_context
def get(
    ctx: click.Context,
    *,
    name: str,
    collection: str | None,
    cluster: str | None,
    force: bool,
    quiet: bool,
    as_json: bool,
    bundle: str | None,
    reader: Reader | None,
    threads: int | None,
) -> None:
    """Answer a question on one passage, both in NAME: bertqa{TAG}_DOCUMENT:{TAG}:N_QUESTION.

    \b
    edgeqa get "bertqa{8YG}_manuals/pump.md:{8YG}:2_How deep may the pump be submerged?"

    `edgeqa ask --json` shows DOCUMENT:{TAG}:N as "address". The answer is remembered; if it is missing, it is read.

    Exit codes: 0 answered, 1 no answer in the passage, 2 wrong name or no such passage, 3 model or device.
    """
    from edgeqa import asked, runtime

    opened = runtime.open(
        bundle=bundle,
        threads=threads,
        encoding_store_bytes=0,
        collection=named(collection),
        cluster=cluster_of(ctx, cluster, collection),
        reader=reader,
    )
    with opened as qa:
        answer = qa.get(name, force=force)
    ctx.exit(asked.show(answer, top=1, quiet=quiet, as_json=as_json))


@click.command("show", short_help="Show a passage where it stands.")
@click.argument("source")
@click.argument("place", required=False, metavar="[START-END]")
@click.option("--text", "whole", is_flag=True, help="Print the whole text of SOURCE, as edgeqa reads it.")
@collection_option
@cluster_option
@json_option
@click.pass_context
def show(
    ctx: click.Context,
    *,
    source: str,
    place: str | None,
    whole: bool,
    collection: str | None,
    cluster: str | None,
    as_json: bool,
) -> None:
    """Show characters START to END of SOURCE where they stand, or the passage of the collection at an address.

    \b
    edgeqa show manual.pdf#12 40-52
    edgeqa show "manuals/pump.md:{8YG}:2"
    edgeqa show page.html --text

    SOURCE is a file, a page or chapter of one (manual.pdf#12), or a document of the collection, as `edgeqa ask` and
    `edgeqa closest` show it. --text prints the text in which places count; in a document of the collection, the text
    between passages is blank.

    Exit codes: 0 shown, 1 it is not there, or not any more, 2 wrong usage or text, or no such collection.
    """
    from edgeqa.asking import surroundings
    from edgeqa.collection import directory
    from edgeqa.collection.errors import ContextGone
    from edgeqa.collection.naming import Address

    home = directory(named(collection))
    cluster = cluster_of(ctx, cluster, collection)
    try:
        if cluster is not None and (is_told(ctx) or not whole):
            try:
                found = _in_cluster(cluster, source, place, whole=whole)
            except (ContextGone, ClusterError) as error:
                if is_told(ctx) or (place is None and Address.parse(source) is not None):
                    raise
                if isinstance(error, ClusterError):  # a file is shown all the same, as it is asked
                    streams.say(f"edgeqa: {error}\n  hint: {error.hint}")
            else:
                streams.print_either(found.to_json(), _described(found), as_json=as_json)
                return
        if whole:
            for piece in surroundings.text_pieces(home, source):
                click.echo(piece, nl=False)
            ctx.exit(EXIT_ANSWERED)
        address = Address.parse(source) if place is None else None
        if address is not None:
            found = surroundings.at_address(home, address)
        else:
            found = surroundings.in_document(home, source, *_place(source, place))
    except ContextGone as error:
        streams.say(f"edgeqa: {error}\n  hint: {error.hint}")
        ctx.exit(EXIT_NO_ANSWER)
    streams.print_either(found.to_json(), _described(found), as_json=as_json)


def _in_cluster(cluster: str, source: str, place: str | None, *, whole: bool) -> Shown:
    from edgeqa import runtime
    from edgeqa.collection.naming import Address

    if whole:
        from edgeqa.cluster.errors import NotInCluster

        raise NotInCluster("whole texts: name a place, or the address of a passage")  # noqa: EM101
    is_address = place is None and Address.parse(source) is not None
    with runtime.open(cluster=cluster, persist="off") as qa:
        return qa.show(source, None if is_address else _place(source, place))


def _place(source: str, place: str | None) -> tuple[int, int]:
    if place is None:
        message = f"which part? edgeqa show {source} 40-52, with numbers as edgeqa ask shows them; all of it: --text"
        raise click.UsageError(message)
    expected = f"two numbers, as edgeqa ask shows them: edgeqa show {source} 40-52"
    matched = _PLACE.fullmatch(place)
    if matched is None or int(matched[1]) >= int(matched[2]):
        raise OptionError(name="START-END", value=place, expected=expected)
    return int(matched[1]), int(matched[2])


def _described(found: Shown) -> str:
    from edgeqa.answer import below_headings
    from edgeqa.screen import plain

    text, marked_at = below_headings(found.heading, found.text, found.marked)
    start, end = marked_at or found.marked
    before, inner, after = text[:start], text[start:end], text[end:]
    marked = "\n".join(click.style(line, bold=True) for line in _lines(f"[{inner}]"))
    around = "\n".join(_lines(before)) + marked + "\n".join(_lines(after))
    place = f"{plain(found.document)}, characters {found.start + found.marked[0]}-{found.start + found.marked[1]}"
    heading = [click.style(plain(" > ".join(found.heading)), dim=True), ""] if found.heading else []
    return "\n".join([*heading, around.strip("\n"), "", click.style(place, dim=True)])


def _lines(text: str) -> list[str]:
    from edgeqa.screen import plain

    return [plain(line) for line in text.split("\n")]

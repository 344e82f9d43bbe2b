"""`edgeqa closest QUESTION`: the passages of a collection that share most with a question, without reading them."""

from __future__ import annotations

import click

from edgeqa import streams
from edgeqa.commands.options import bundle_option, collection_option, json_option, named, within_option
from edgeqa.errors import EXIT_ANSWERED, EXIT_NO_ANSWER


@click.command(
    "closest", short_help="Show the passages closest to a question.", context_settings={"max_content_width": 100}
)
@click.argument("question")
@click.option("--top", type=click.IntRange(1, 1000), default=5, show_default=True, help="Show N passages.")
@collection_option
@within_option
@json_option
@bundle_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    question: str,
    top: int,
    collection: str | None,
    within: tuple[str, ...],
    as_json: bool,
    bundle: str | None,
) -> None:
    """Show the passages of the collection that share most with QUESTION, best first; no model reads them.

    \b
    edgeqa closest "How deep may the pump be submerged?"
    edgeqa closest "submersion depth" --top 10 --json

    Exit codes: 0 found, 1 none shares a word with the question, 3 no such collection.
    """
    from edgeqa import runtime
    from edgeqa.screen import passages_shown

    with runtime.open(bundle=bundle, collection=named(collection)) as qa:
        found = tuple(qa.closest(question, top, within=within or None))
    if as_json:
        facts = {"question": question, "closest": [passage.to_json() for passage in found]}
        streams.print_json(facts)
    else:
        click.echo("\n".join(passages_shown(found)) if found else "No passage shares a word with the question.")
    ctx.exit(EXIT_ANSWERED if found else EXIT_NO_ANSWER)

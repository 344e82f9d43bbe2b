"""`edgeqa bench`: how fast this device answers, with where the time goes, and one line to show to others."""

from __future__ import annotations

import click

from edgeqa import streams
from edgeqa.commands.options import budget_option, bundle_option, json_option, threads_option


@click.command("bench", short_help="Measure how fast this device answers.", context_settings={"max_content_width": 100})
@click.option("--quick", is_flag=True, help="Take a few seconds instead of half a minute; less sure.")
@json_option
@bundle_option
@threads_option
@budget_option
def command(*, quick: bool, as_json: bool, bundle: str | None, threads: int | None, budget_bytes: int | None) -> None:
    """Measure how fast this device answers, from the question to the answer.

    Questions of 8 and 12 tokens are asked of texts of 32, 160, 320 and five times 160 tokens that were seen before, as
    in a collection, and never the same question twice; then a question that was asked before (repeat). Beside it: the
    same on texts never seen before, the network's matrix products alone, which are the limit of this processor, and how
    many questions a second are answered to many callers. The last line is made to be pasted into a chat.

    \b
    edgeqa bench
    edgeqa bench --quick --threads 1
    edgeqa bench --json > figures.json

    Other programs on the device make the figures worse. What is asked is remembered in memory only.
    """
    from edgeqa import runtime
    from edgeqa.bench.measure import QUICK, USUAL, measure
    from edgeqa.commands.progress import ProgressBar

    opened = runtime.open(bundle=bundle, threads=threads, budget_bytes=budget_bytes, persist="memory")
    with opened as qa, ProgressBar() as progress:
        figures = measure(qa, QUICK if quick else USUAL, progress)
    if as_json:
        streams.print_json(figures.to_json())
    else:
        click.echo(figures.table())

"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click


def _bytes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    from edgeqa.capabilities.sizes import parse_bytes

    return None if value is None else parse_bytes(value, "--budget")


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
bundle_option = click.option(
    "--bundle", type=click.Path(path_type=Path), metavar="DIR", help="Use the model in DIR, not the bundled one."
)
threads_option = click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Use N cores.")
budget_option = click.option(
    "--budget",
    "budget_bytes",
    callback=_bytes,
    metavar="SIZE",
    help="Use at most SIZE memory (256M, 1G), not what is free.",
)

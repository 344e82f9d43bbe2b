"""The commands of `edgeqa`: each module has one, and is imported when it is used. Shared options are defined here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def _bytes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    if value is None:  # most starts have none, and need not load the module that reads sizes
        return None
    from edgeqa.capabilities import parse_bytes

    return parse_bytes(value, "--budget")


def decoded(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Returns an argument that names no file as text: under an ASCII locale, Python has left its UTF-8 undecoded."""
    if value is None or value.isascii():
        return value
    from edgeqa.formats import in_utf8

    return in_utf8(value)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
bundle_option = click.option(
    "--bundle",
    metavar="MODEL",
    help="Use this model: its name (edgeqa models list), or its directory.",
)
threads_option = click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Use N cores.")
reader_option = click.option(
    "--reader",
    type=click.Choice(("fast", "careful", "auto")),
    metavar="READER",
    help="The reader that decides: fast, careful, or auto (the default): careful if it is installed and fits.",
)
provider_option = click.option(
    "--provider",
    metavar="NAME",
    help="The provider that computes: cpu, or another of onnxruntime (edgeqa capabilities); by default the quickest.",
)
collection_option = click.option(
    "--collection",
    callback=decoded,
    metavar="NAME",
    help="The collection called NAME, not the default one (see edgeqa add --help).",
)


cluster_option = click.option(
    "--cluster",
    metavar="URL",
    envvar="EDGEQA_CLUSTER",
    show_envvar=True,
    help="A Valkey Cluster instead of a collection: valkey://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...], or valkeys://.",
)


def cluster_of(ctx: click.Context, cluster: str | None, collection: str | None) -> str | None:
    """Returns the cluster that is meant; None if a collection is named and only the environment names a cluster.

    Raises:
        OptionError: if both are named.
    """
    if cluster is None or collection is None:
        return cluster
    if not is_told(ctx):
        return None
    from edgeqa.errors import OptionError

    raise OptionError(name="--collection", value=collection, expected="nothing where --cluster is given")


def check_provider(name: str | None) -> None:
    """Raises ProviderUnknown for a provider that is not there: now, and not when something is first read with it."""
    if name is not None:
        from edgeqa.capabilities.probe import probe
        from edgeqa.models import providers

        providers.offered(probe(providers=False), name)


def is_told(ctx: click.Context) -> bool:
    """Tells whether a cluster is named on the command line: the environment names but what is asked by default."""
    from click.core import ParameterSource

    return ctx.get_parameter_source("cluster") is ParameterSource.COMMANDLINE


within_option = click.option(
    "--in",
    "within",
    multiple=True,
    metavar="PATH",
    help="Only in this file, folder or document of the collection. May be repeated.",
)


def named(collection: str | None) -> str:
    """Returns the name of the collection that is meant; an empty name is passed on, and refused like any wrong name."""
    return "default" if collection is None else collection


budget_option = click.option(
    "--budget",
    "budget_bytes",
    callback=_bytes,
    metavar="SIZE",
    help="Use at most SIZE memory (256M, 1G), not what is free.",
)


def asking_options(function: Callable[..., Any], *, question_required: bool = True) -> Callable[..., Any]:
    """Adds the arguments that an answer depends on: question, texts, choice of the answer, model."""
    options = (
        click.argument("question", required=question_required, metavar="QUESTION"),
        # Names stay as they were written: "-" is standard input and "./-" a file, but a Path would make them equal.
        click.argument("files", nargs=-1, type=click.Path(readable=False), metavar="[FILE]..."),
        click.option("--text", "texts", multiple=True, metavar="TEXT", help="Answer from this text. May be repeated."),
        click.option(
            "--top", type=click.IntRange(1, 100), default=1, show_default=True, help="Show the N best distinct answers."
        ),
        click.option("--force", is_flag=True, help='Give the best answer even if "no answer" is likelier.'),
        click.option(
            "--contexts",
            "most_contexts",
            type=click.IntRange(min=1),
            metavar="N",
            help="Read exactly the N passages closest to the question, not as many as can still change the answer.",
        ),
        collection_option,
        bundle_option,
        reader_option,
        provider_option,
    )
    for option in reversed(options):
        function = option(function)
    return function

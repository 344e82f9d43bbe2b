"""`edgeqa cache`: its commands show and mend the cache, as text or as JSON; exit code 3 means that it was damaged."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from edgeqa import state, streams
from edgeqa.commands import asking_options, json_option, named
from edgeqa.errors import EXIT_ANSWERED, EXIT_DEVICE, EXIT_NO_ANSWER, CacheUnchanged

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.cache import Cache, Key
    from edgeqa.cache.stats import Explanation, Stats
    from edgeqa.capabilities import Reader


@click.group("cache", short_help="Look at remembered answers, and mend the cache.")
def command() -> None:
    """Look at the remembered answers, and mend the cache.

    \b
    edgeqa cache stats
    edgeqa cache explain "Who designed the machine?" notes.txt
    edgeqa cache forget "Who designed the machine?" notes.txt
    edgeqa cache clear --yes

    The cache lives in the user's cache directory, or in $EDGEQA_HOME. It is never needed for a right answer, and may be
    deleted at any time.
    """


def _key(
    question: str,
    files: tuple[str, ...],
    texts: tuple[str, ...],
    *,
    top: int,
    force: bool,
    most_contexts: int | None,
    collection: str | None,
    bundle: str | None,
    reader: Reader | None,
    provider: str | None,
) -> Key:
    """Returns the key of an answer; only the texts are read, because their digest is a part of it."""
    from edgeqa import runtime
    from edgeqa.asked import collection_named, named_texts

    with ExitStack() as opened:
        given = named_texts(files, texts, collection_named(collection), opened)
        qa = opened.enter_context(
            runtime.open(bundle=bundle, persist="off", collection=named(collection), reader=reader, provider=provider)
        )
        return qa.key(question, given, top=top, force=force, most_contexts=most_contexts)


def _open() -> Cache:
    """Returns the user's cache; if there is none yet, none is made."""
    from edgeqa.cache import Cache

    return Cache.open(persist="disk" if _directory().exists() else "off")


def _directory() -> Path:
    from edgeqa.cache import FORMAT_DIRECTORY

    return state.home() / "cache" / FORMAT_DIRECTORY


@command.command("path")
@json_option
def path(*, as_json: bool) -> None:
    """Print where the cache is.

    \b
    edgeqa cache path
    du -sh "$(edgeqa cache path)"
    """
    streams.print_either({"path": str(_directory())}, str(_directory()), as_json=as_json)


@command.command("stats", short_help="Show how full the cache is, and how often it hit.")
@json_option
def stats(*, as_json: bool) -> None:
    """Show how full the cache is, how often it was asked and hit, and which faults it met.

    \b
    edgeqa cache stats
    edgeqa cache stats --json | jq .hit_ratio
    """
    with _open() as cache:
        found = cache.stats()
    facts = dataclasses.asdict(found) | {"path": str(_directory())}
    streams.print_either(facts, "\n".join(_describe_stats(found)), as_json=as_json)


def _describe_stats(stats: Stats) -> list[str]:
    if stats.persist == "off":
        return [f"{_directory()}", "  nothing is stored yet"]
    ratio = "nothing asked yet" if stats.hit_ratio is None else f"{100 * stats.hit_ratio:.1f} %"
    share = f" ({100 * stats.used_bytes / stats.budget_bytes:.0f} %)" if stats.budget_bytes else ""
    lines = [
        f"{_directory()}",
        f"  state      {'open' if stats.state == 'open' else f'off: {stats.note}'}",
        f"  entries    {stats.entries}",
        f"  used       {_mib(stats.used_bytes)} of {_mib(stats.budget_bytes)}{share}",
        f"  hit ratio  {ratio} ({stats.hits} hits, {stats.misses} misses)",
        f"  stored     {stats.puts}, evicted {stats.evictions}, given a second chance {stats.second_chances}",
    ]
    faults = ", ".join(f"{name} {count}" for name, count in stats.faults.items())
    return [*lines, f"  faults     {faults or 'none'}"]


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"


@command.command("explain", short_help="Show the key of QUESTION, and whether it hits.")
@asking_options
@json_option
@click.pass_context
def explain(ctx: click.Context, /, *, question: str, files: tuple[str, ...], as_json: bool, **others: Any) -> None:  # noqa: ANN401 - passed on to _key, which names them
    """Show the key of QUESTION, whether it hits, and when and by which model its answer was stored.

    \b
    edgeqa cache explain "Who designed the machine?" notes.txt
    edgeqa cache explain "When was it built?" --text "The bridge was built in 1932." --json

    Exit codes: 0 it hits, 1 it misses.
    """
    key = _key(question, files, others.pop("texts"), **others)
    with _open() as cache:
        found = cache.explain(key)
    fields = [field.decode("utf-8", "backslashreplace") for field in found.fields]
    facts = dataclasses.asdict(found) | {"fields": fields, "canonical": key.canonical.hex()}
    streams.print_either(facts, "\n".join(_describe_explanation(found, fields)), as_json=as_json)
    ctx.exit(EXIT_ANSWERED if found.hit else EXIT_NO_ANSWER)


def _describe_explanation(found: Explanation, fields: list[str]) -> list[str]:
    lines = ["hit" if found.hit else f"miss: {found.why}", f"  key        {found.digest}"]
    names = ("keyspace", "bundle", "computed", "options", "scope", "question")
    lines += [f"  {name:<10} {field!r}" for name, field in zip(names, fields, strict=False)]
    if found.hit and found.stored_at_ms is not None:
        import datetime

        stored_at = datetime.datetime.fromtimestamp(found.stored_at_ms / 1000).astimezone()
        lines.append(f"  stored     {stored_at:%Y-%m-%d %H:%M:%S %z} by {found.provenance or 'unknown'}")
        if found.remaining_ms is not None:
            lines.append(f"  good for   {found.remaining_ms / 1000:.0f} s more")
    return lines


@command.command("forget")
@asking_options
@json_option
@click.pass_context
def forget(ctx: click.Context, /, *, question: str, files: tuple[str, ...], as_json: bool, **others: Any) -> None:  # noqa: ANN401 - passed on to _key, which names them
    """Delete the remembered answer to QUESTION, in all processes.

    \b
    edgeqa cache forget "Who designed the machine?" notes.txt

    Exit codes: 0 it was there and is gone, 1 it was not there, 3 the cache cannot be used or written.
    """
    key = _key(question, files, others.pop("texts"), **others)
    with _open() as cache:
        forgotten = cache.forget(key)
        if cache.note:
            raise CacheUnchanged(_directory(), "forgotten", cache.note)
    streams.print_either(
        {"forgotten": forgotten}, "forgotten" if forgotten else "it was not remembered", as_json=as_json
    )
    ctx.exit(EXIT_ANSWERED if forgotten else EXIT_NO_ANSWER)


@command.command("verify", short_help="Check every page and record, and mend.")
@json_option
@click.pass_context
def verify(ctx: click.Context, *, as_json: bool) -> None:
    """Check every page and every record; put a damaged file aside, and switch on a cache that was off.

    \b
    edgeqa cache verify

    While other processes use the cache, only its records are checked.

    Exit codes: 0 it is sound, 3 it was damaged.
    """
    from edgeqa.cache.guard import Guard
    from edgeqa.cache.store import StoreFault

    problems: list[str] = []
    how = "pages and records"
    if _directory().exists():
        try:
            problems = Guard(_directory()).repair()
        except StoreFault as fault:
            how = f"records only ({fault.reason})"
        with _open() as cache:
            problems += cache.check()
    lines = [f"damaged: {problem}" for problem in problems] or [f"sound ({how})"]
    streams.print_either(
        {"sound": not problems, "checked": how, "problems": problems}, "\n".join(lines), as_json=as_json
    )
    ctx.exit(EXIT_DEVICE if problems else EXIT_ANSWERED)


@command.command("clear", short_help="Delete all remembered answers.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask first.")
@json_option
def clear(*, yes: bool, as_json: bool) -> None:
    """Delete all remembered answers, and quarantined files, after asking.

    \b
    edgeqa cache clear
    edgeqa cache clear --yes

    Exit codes: 0 it is empty, 3 it is not: another process keeps it, or it cannot be written.
    """
    from edgeqa.cache.guard import Guard
    from edgeqa.cache.store import StoreFault

    if not yes:
        click.confirm(f"Delete everything in {_directory()}?", abort=True, err=True)
    if _directory().exists():
        try:
            Guard(_directory()).discard()
        except StoreFault:  # other processes use it: the file stays, and is emptied
            with _open() as cache:
                if not cache.clear():
                    raise CacheUnchanged(_directory(), "cleared", cache.note) from None
    streams.print_either({"cleared": True}, "cleared", as_json=as_json)

"""What `edgeqa add` and `edgeqa sync` share: their options, what they open, and how they tell what was done."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from edgeqa import streams
from edgeqa.commands.options import budget_option, bundle_option, collection_option, json_option, named, threads_option
from edgeqa.errors import EXIT_ANSWERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgeqa.collection.adding_events import Added
    from edgeqa.collection.managing import Later
    from edgeqa.commands.progress import ProgressBar
    from edgeqa.runtime import EdgeQA

SHOWN = 20  # of what went wrong, in a terminal; --json has more
MOST_ENDINGS = 12


def _encodings(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | Later | None:
    from edgeqa.capabilities.settings import parse_bytes

    if value is not None and value.strip().lower() == "later":
        return "later"
    if value is None or value.strip().lower() in {"0", "none"}:
        return value if value is None else 0
    return parse_bytes(value, "--encodings")


def adding(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds how files are read and where their texts go."""
    options = (
        collection_option,
        click.option("--text-field", metavar="FIELD", help="The field of JSON Lines, JSON, CSV that holds the text."),
        click.option("--title-field", metavar="FIELD", help="The field that holds the title."),
        click.option(
            "--name",
            metavar="NAME",
            help="Call what comes through a pipe NAME. Another text of that name takes its place; without, each is "
            "called after its content, and takes no other's place.",
        ),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help='Leave out of folders what PATTERN names, as in a .gitignore: "drafts/", "*.log". May be repeated.',
        ),
        click.option("--format", "format_name", metavar="NAME", help="Read everything named in this format."),
        click.option(
            "--encodings",
            "encodings_bytes",
            callback=_encodings,
            metavar="SIZE",
            help="Let encodings take at most SIZE of the disk (2G, 0), from now on. They make reading a context "
            "twice as fast; without, answers are the same. By default 10 % of what is free, at most 8G. "
            "`later` adds without them, much faster; add --re-encode makes them when there is time.",
        ),
        json_option,
        bundle_option,
        threads_option,
        budget_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


@contextmanager
def opened_to_add(
    collection: str | None, bundle: str | None, threads: int | None, budget_bytes: int | None
) -> Iterator[tuple[EdgeQA, ProgressBar]]:
    """Gives the runtime that adds to a collection, and the bar that shows how it goes on."""
    from edgeqa import runtime
    from edgeqa.capabilities.settings import show_bytes
    from edgeqa.commands.progress import ProgressBar

    with (
        runtime.open(
            bundle=bundle,
            threads=threads,
            budget_bytes=budget_bytes,
            encoding_store_bytes=0,
            persist="off",
            collection=named(collection),
        ) as qa,
        ProgressBar(lambda rate: f"{show_bytes(int(rate))}/s") as progress,
    ):
        yield qa, progress


def tell(report: Added, *, as_json: bool) -> int:
    """Prints what was done; returns the exit code."""
    from edgeqa.screen import plain

    for name, error in report.failed[:SHOWN]:
        message = str(error) if name in str(error) else f"{name}: {error}"
        streams.say(f"edgeqa: {plain(message)}\n  hint: {plain(error.hint)}")
    for skipped in [skipped for skipped in report.skipped if not skipped.is_kind][:SHOWN]:
        streams.say(f"edgeqa: left out: {plain(skipped.name)}: {skipped.reason}")
    for why, counts in report.skipped_kinds.items():
        streams.say(f"edgeqa: left out: {_by_endings(counts)}: {why}")
    for damage in (damage for damage in report.damaged if damage.documents):
        names = ", ".join(document.name for document in damage.documents[:3])
        streams.say(f"edgeqa: shard {damage.tag} is still damaged; add again what it holds: {plain(names)}, ...")
    if as_json:
        streams.print_json(report.to_json())
    else:
        click.echo("\n".join(_lines(report)))
    return report.failed[0][1].exit_code if report.failed else EXIT_ANSWERED


def _by_endings(counts: dict[str, int]) -> str:
    """Returns how many files have which ending, the most first."""
    from edgeqa.screen import plain

    shown = [f"{count} {plain(ending) or 'without an ending'}" for ending, count in sorted(counts.items(), key=_most)]
    rest = sum(counts.values()) - sum(sorted(counts.values(), reverse=True)[:MOST_ENDINGS])
    return ", ".join([*shown[:MOST_ENDINGS], *([f"{rest} others"] if rest else [])])


def _most(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _lines(report: Added) -> list[str]:
    from edgeqa.screen import counted, plain

    counts = (
        (report.files_re_encoded, "re-encoded"),
        (report.files_added, "added"),
        (report.files_changed, "changed"),
        (report.files_reread, "read anew by a newer reader"),
        (report.files_unchanged, "unchanged"),
        (report.files_removed, "removed"),
        (len(report.failed), "failed"),
        (report.skipped_count, "left out"),
    )
    done = ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing there"
    seconds = (report.timings_ms["total"] - report.timings_ms["load"]) / 1000
    lines = [f"{report.collection}: {done}"]
    if report.contexts:
        rate = report.contexts / max(seconds, 1e-3)
        lines.append(
            f"  {counted(report.documents, 'document')}, {counted(report.contexts, 'context')}, "
            f"{report.encoded} of them encoded, {seconds:.1f} s, {rate:.0f} contexts/s"
        )
    lines += [f"  from a pipe: {plain(name)}" for name in report.piped]
    return lines

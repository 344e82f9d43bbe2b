"""`edgeqa add` and `edgeqa sync`: they bring files and folders into a collection, and report on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgeqa import streams
from edgeqa.commands import (
    budget_option,
    bundle_option,
    check_provider,
    cluster_of,
    cluster_option,
    collection_option,
    decoded,
    json_option,
    named,
    provider_option,
    threads_option,
)
from edgeqa.errors import EXIT_ANSWERED

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.collection.adding import Added
    from edgeqa.collection.managing import Later
    from edgeqa.runtime import EdgeQA

SHOWN = 20  # a terminal shows so many faults at most; --json has more
MAX_ENDINGS = 12


def _encodings(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | Later | None:
    from edgeqa.capabilities import parse_bytes

    if value is not None and value.strip().lower() == "later":
        return "later"
    if value is None or value.strip().lower() in {"0", "none"}:
        return value if value is None else 0
    return parse_bytes(value, "--encodings")


def _adding(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say how files are read and where their texts go."""
    options = (
        collection_option,
        cluster_option,
        click.option(
            "--text-field",
            callback=decoded,
            metavar="FIELD",
            help="The field of JSON Lines, JSON, CSV that holds the text.",
        ),
        click.option("--title-field", callback=decoded, metavar="FIELD", help="The field that holds the title."),
        click.option(
            "--name",
            metavar="NAME",
            help="Call what comes through a pipe NAME; with --cluster, one file, too. Another text of that name takes "
            "its place; without, each is called after its content, and takes no other's place.",
        ),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help='In folders, leave out what matches PATTERN, as in a .gitignore: "drafts/", "*.log". May be repeated.',
        ),
        click.option("--format", metavar="NAME", help="Read all named files in this format."),
        click.option(
            "--encodings",
            "encodings_bytes",
            callback=_encodings,
            metavar="SIZE",
            help="Let encodings take at most SIZE of the disk (2G, 0), from now on. They make reading a passage "
            "twice as fast; without, answers are the same. By default 10 % of what is free, at most 8G. "
            "`later` adds without them, much faster; add --re-encode makes them when there is time.",
        ),
        json_option,
        bundle_option,
        provider_option,
        threads_option,
        budget_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command("add", short_help="Add files and folders to a collection.")
@click.argument("paths", nargs=-1, type=click.Path(readable=False), metavar="PATH...")
@_adding
@click.option(
    "--re-encode",
    is_flag=True,
    help="First make the whole collection anew, from its stored text: for another model, or another --encodings.",
)
@click.pass_context
def add(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - passed on to _run, which names them
    """Add files and whole folders to a collection, so that questions need not name them.

    \b
    edgeqa add manuals/
    edgeqa ask "How deep may the pump be submerged?"
    edgeqa add faq.jsonl --text-field answer --collection support
    edgeqa add ~/project --exclude "drafts/" --exclude "*.log"
    curl -s https://example.org/page.html | edgeqa add - --format html --name page

    Text, source code, man pages, Markdown, HTML, EPUB, mails; DOCX, ODT, RTF, PPTX; XLSX, ODS, CSV, JSON, JSON Lines;
    PDF with the extra edgeqa[docs]. In folders, hidden files, node_modules, and files that a .gitignore or --exclude
    names are left out.

    A text from a pipe is called "standard input" with a digest of it, so that it never replaces another text. With
    --name it has a name of your choice, and replaces a text of that name.

    Adding again reads only changed files. If it is interrupted at any moment, whole documents stay, and adding the same
    again goes on from there. A file that cannot be read is reported, and the others are added.

    Exit codes: 0 all added, 2 wrong usage or a file that cannot be read, 3 model, device or collection.
    """
    ctx.exit(_run(ctx, lambda qa: qa.add, **options))


@click.command("sync", short_help="Add new files, remove those that are gone.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH...")
@_adding
@click.option(
    "--drop-all", is_flag=True, help="Remove documents even if all files that were added from a PATH are gone."
)
@click.pass_context
def sync(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - passed on to _run, which names them
    """Add new and changed files in PATHs, and remove documents whose files are gone from there.

    \b
    edgeqa sync manuals/
    edgeqa sync notes/ --collection notes --json

    Documents from elsewhere stay. If all files that were added from a PATH are gone, as on an unmounted disk, nothing
    is changed, and the exit code is 3; --drop-all removes them.

    Exit codes: 0 done, 2 wrong usage or a file that cannot be read, 3 model, device or collection.
    """
    ctx.exit(_run(ctx, lambda qa: qa.sync, **options))


def _run(
    ctx: click.Context,
    method: Callable[[EdgeQA], Callable[..., Added]],
    *,
    paths: tuple[str, ...],
    collection: str | None,
    cluster: str | None,
    bundle: str | None,
    provider: str | None,
    threads: int | None,
    budget_bytes: int | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - the method's own, by their names
) -> int:
    """Adds to a collection; returns the exit code."""
    from edgeqa import runtime
    from edgeqa.capabilities import show_bytes

    check_provider(provider)
    opened = runtime.open(
        bundle=bundle,
        threads=threads,
        budget_bytes=budget_bytes,
        encoding_store_bytes=0,
        persist="off",
        collection=named(collection),
        cluster=cluster_of(ctx, cluster, collection),
        provider=provider,
    )
    with opened as qa, streams.ProgressBar(lambda rate: f"{show_bytes(int(rate))}/s") as progress:
        report = method(qa)(paths, progress=progress, **options)
    return _tell(report, as_json=as_json)


def _tell(report: Added, *, as_json: bool) -> int:
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
    """Returns the number of files by ending, the most frequent ending first."""
    from edgeqa.screen import plain

    ranked = sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))
    shown = [f"{count} {plain(ending) or 'without an ending'}" for ending, count in ranked[:MAX_ENDINGS]]
    rest = sum(count for _, count in ranked[MAX_ENDINGS:])
    return ", ".join([*shown, *([f"{rest} others"] if rest else [])])


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
            f"  {counted(report.documents, 'document')}, {counted(report.contexts, 'passage')}, "
            f"{report.encoded} of them encoded, {seconds:.1f} s, {rate:.0f} passages/s"
        )
    lines += [f"  from a pipe: {plain(name)}" for name in report.piped]
    return lines

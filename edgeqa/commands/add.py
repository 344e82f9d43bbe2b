"""`edgeqa add`: files and folders in, a collection that can be asked out. What was done on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgeqa.commands.adding_options import adding, opened_to_add, tell

if TYPE_CHECKING:
    from edgeqa.collection.managing import Later


@click.command("add", short_help="Add files and folders to a collection.", context_settings={"max_content_width": 100})
@click.argument("paths", nargs=-1, type=click.Path(readable=False), metavar="PATH...")
@adding
@click.option(
    "--re-encode",
    is_flag=True,
    help="First make all that is there anew, from its stored text: for another model, or another --encodings.",
)
@click.pass_context
def command(
    ctx: click.Context,
    *,
    paths: tuple[str, ...],
    collection: str | None,
    text_field: str | None,
    title_field: str | None,
    name: str | None,
    format_name: str | None,
    exclude: tuple[str, ...],
    encodings_bytes: int | Later | None,
    as_json: bool,
    bundle: str | None,
    threads: int | None,
    budget_bytes: int | None,
    re_encode: bool,
) -> None:
    """Add files, folders and what is in them to a collection, to ask all of it without naming it.

    \b
    edgeqa add manuals/
    edgeqa ask "How deep may the pump be submerged?"
    edgeqa add faq.jsonl --text-field answer --collection support
    edgeqa add ~/project --exclude "drafts/" --exclude "*.log"
    curl -s https://example.org/page.html | edgeqa add - --format html --name page

    Text, source code, man pages, Markdown, HTML, EPUB, mails; DOCX, ODT, RTF, PPTX; XLSX, ODS, CSV, JSON, JSON Lines;
    PDF with the extra edgeqa[docs]. Of folders, hidden files, node_modules, and what a .gitignore or --exclude names
    are left out.

    What comes through a pipe is called "standard input" and a digest of it, so that it takes no other text's place;
    --name calls it as you like, and then replaces what was called so before.

    Adding again reads only what has changed. Broken off at any moment, what is whole by then is kept, and adding the
    same again goes on from there. A file that cannot be read is reported, and the others are added.

    Exit codes: 0 all added, 2 wrong usage or a file that cannot be read, 3 model, device or collection.
    """
    with opened_to_add(collection, bundle, threads, budget_bytes) as (qa, progress):
        report = qa.add(
            paths,
            text_field=text_field,
            title_field=title_field,
            name=name,
            format=format_name,
            exclude=exclude,
            encodings_bytes=encodings_bytes,
            re_encode=re_encode,
            progress=progress,
        )
    ctx.exit(tell(report, as_json=as_json))

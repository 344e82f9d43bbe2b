"""The page: a form with its answer, which works without JavaScript, and the files of its style and script.

In: `/?q=...` asks, `/?document=NAME&start=3&end=9` shows a place in its document, and a file sent to `/?q=...&name=...`
is asked and not kept. Out: HTML, in which no text becomes markup. The files in `serving/page/` are served as they are,
below `/page/`. The script takes parts of these same pages, and shows them without loading the page anew. Nothing comes
from elsewhere, and the content security policy makes the browser keep to that.
"""

from __future__ import annotations

import mimetypes
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

import edgeqa
from edgeqa.answer import below_headings
from edgeqa.serving.api import token_dropped
from edgeqa.serving.bodies import until_gone
from edgeqa.serving.callers import MAX_QUESTION_CHARACTERS
from edgeqa.serving.messages import AskFile, from_query
from edgeqa.serving.problems import problem_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from edgeqa import Answer
    from edgeqa.serving.api import Api

FOLDER = Path(__file__).parent / "page"
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SHOWN_PASSAGES = 3
SHOWN_DOCUMENTS = 200
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/page/page.css">
<link rel="icon" href="/page/icon.svg">
<script src="/page/page.js" defer></script>
</head>
<body>
<header><h1><a href="/">edgeqa</a></h1></header>
<main>
<form id="ask" method="get" action="/" role="search">
<label for="q">Your question</label>
<input id="q" name="q" type="search" maxlength="{most}" required autofocus autocomplete="off" value="{question}">
{collections}<button class="main">Ask</button>
</form>
<p id="asked-file" class="note" hidden>Asked is the file <b id="asked-file-name"></b>, which is not kept.
<button type="button">Ask the collection again</button></p>
{found}
<section id="files" class="files" hidden aria-labelledby="files-head">
<h2 id="files-head">A file of yours</h2>
<label for="file">Drop it here, or choose it; it can be asked without being kept.</label>
<input id="file" type="file">
<p id="chosen" hidden><b id="chosen-name"></b>
<button type="button" id="chosen-ask">Ask it</button> <button type="button" id="chosen-add">Add it</button></p>
<div id="adding" hidden><progress aria-labelledby="adding-said"></progress><p id="adding-said" role="status"></p></div>
</section>
<form id="token" hidden>
<label for="token-field">This server asks for a token before it does that.</label>
<input id="token-field" type="password" autocomplete="off" required><button>Use it</button>
</form>
{documents}
</main>
<dialog id="viewer" aria-labelledby="viewer-head"><div><h2 id="viewer-head"></h2>
<button type="button">Close</button></div><pre class="text"></pre></dialog>
</body>
</html>
"""
_FOLDED = re.compile(r"(?<=\S)(?<=.{60})\n(?=\S)")
"""An end of line inside a paragraph, one character as the blank that is shown for it: marks stay where they are."""
_FOUND = '<section id="found" aria-live="polite" aria-label="Answer"{}>{}</section>'
_AGAIN = '<p class="note again" role="status">Looking again, more carefully …</p>'
"""Below what the fast reader has said, where the careful one is asked next (`?first=1`, by the script)."""


def routes(api: Api) -> list[Route]:
    """Returns the routes of the page."""

    async def index(request: Request) -> Response:
        query = request.query_params
        question = query.get("q", "").strip()[:MAX_QUESTION_CHARACTERS]
        collection, status, found, is_first = query.get("collection") or None, 200, "", False
        headers: dict[str, str] = {}
        try:
            if query.get("document"):
                found = await _document(api, request, collection)
            elif request.method == "POST":
                asked_of = from_query([("question", question), ("name", query.get("name", ""))], AskFile)
                # A file is asked once, since it would have to be sent again for the careful reader.
                answer, path, name = await api.asked_file(request, asked_of)
                found = _answered(answer, collection, links=False).replace(escape(path), escape(name))
            elif question:
                caller, again = api.caller(request), None
                if query.get("first"):
                    again = await api.engine.is_looked_at_again(caller, question, collection=collection)
                is_first = bool(again)
                asked = api.engine.ask(caller, question, collection=collection, reader="fast" if is_first else None)
                found = _answered(await until_gone(request, asked), collection)
        except edgeqa.EdgeQAError as error:
            said = problem_of(error)
            status, headers = said["status"], token_dropped(request, error)
            found = _problem(said)
        documents, more = await _documents(api, request, collection) if request.method == "GET" else ("", {})
        html = _PAGE.format(
            title=f"{escape(question)} - edgeqa" if question else "edgeqa",
            question=escape(question),
            most=MAX_QUESTION_CHARACTERS,
            collections=_choice(api.engine.collection_names, collection),
            found=_FOUND.format(" data-again" if is_first else "", found + (_AGAIN if is_first else "")),
            documents=documents,
        )
        safe = {"Content-Security-Policy": CSP, "Referrer-Policy": "no-referrer"}
        return HTMLResponse(html, status, {**headers, **more, **safe})

    async def file(request: Request) -> Response:
        found = FOLDER / request.path_params["name"]  # this is a single name, since the route takes no slash
        if found.name.startswith(".") or not found.is_file():
            raise HTTPException(404)
        kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        return Response(found.read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})

    async def icon(_: Request) -> Response:
        return RedirectResponse("/page/icon.svg")

    return [
        Route("/", index, methods=["GET", "POST"]),
        Route("/page/{name}", file),
        Route("/favicon.ico", icon),
    ]


def _problem(said: Mapping[str, Any]) -> str:
    """Returns the HTML that tells people what went wrong, and what they can do."""
    hint = escape(said.get("hint", ""))
    return f'<p class="problem" role="alert">{escape(said["detail"])}</p><p class="note">{hint}</p>'


def _choice(names: Sequence[str], chosen: str | None) -> str:
    """Returns the field that chooses a collection, if there is more than one."""
    if len(names) < 2:
        return ""
    options = "".join(f"<option{' selected' * (name == chosen)}>{escape(name)}</option>" for name in names)
    label = '<label class="beside" for="collection">of</label>'
    return f'{label}<select id="collection" name="collection">{options}</select>\n'


def _answered(answer: Answer, collection: str | None, *, links: bool = True) -> str:
    """Returns an answer marked in its passage, or the closest passages."""
    notes = [f"Read as: {answer.question_mended}"] if answer.question_mended else []
    shown = "".join(f'<p class="note">{escape(note)}</p>' for note in (*notes, *answer.notes))
    if answer.text is None:
        passages = "".join(
            _passage(
                p.heading, p.text, p.marked, _place(p.document, p.source_start, p.source_end, collection, links=links)
            )
            for p in answer.closest[:SHOWN_PASSAGES]
        )
        head = "The closest passages:" if passages else "Nothing here is close to the question."
        return f"<h2>Not sure. {head}</h2>{shown}{passages}"
    best = answer.candidates[0]
    place = _place(best.document, best.source_start, best.source_end, collection, links=links)
    said = f'<p class="answer">{escape(answer.text)}</p><p class="sure">{answer.probability:.0%} likely</p>'
    return said + shown + _passage(best.heading, best.context, (best.start, best.end), place)


def _passage(heading: tuple[str, ...], text: str, marked: tuple[int, int] | None, place: str) -> str:
    text, marked = below_headings(heading, text, marked)
    text = _FOLDED.sub(" ", text)
    path = f'<p class="path">{escape(" > ".join(heading))}</p>' if heading else ""
    return f'<article class="passage">{path}<p class="text" tabindex="0">{_marked(text, marked)}</p>{place}</article>'


def _place(document: str, start: int, end: int, collection: str | None, *, links: bool) -> str:
    said = f"{escape(document)}, characters {start} to {end}"
    if not links:
        return f'<p class="note">{said}</p>'
    query: dict[str, str | int] = {"document": document, "start": start, "end": end}
    if collection:
        query["collection"] = collection
    return f'<p><a class="place" href="{_link(query)}#mark">{said}</a></p>'


def _link(query: dict[str, str | int]) -> str:
    return f"/?{escape(urlencode(query))}"


def _marked(text: str, marked: tuple[int, int] | None) -> str:
    if not marked:
        return escape(text)
    start, end = marked
    return f'{escape(text[:start])}<mark id="mark">{escape(text[start:end])}</mark>{escape(text[end:])}'


async def _document(api: Api, request: Request, collection: str | None) -> str:
    """Returns a document's text with a place marked in it."""
    query = request.query_params
    shown = await api.engine.text(api.caller(request), query["document"], collection=collection)
    start, end = (int(query[name]) if query.get(name, "").isdecimal() else 0 for name in ("start", "end"))
    marked = (start, end) if 0 <= start < end <= len(shown.text) else None
    return f'<h2>{escape(shown.document)}</h2><pre class="text">{_marked(shown.text, marked)}</pre>'


async def _documents(api: Api, request: Request, collection: str | None) -> tuple[str, dict[str, str]]:
    """Returns the HTML of the list of documents, each a link to its text, and headers for the reply.

    Nothing for whom it is none of their business, but that their token is wrong: a page is asked for with it, too.
    """
    try:
        found = await api.engine.documents(api.caller(request), collection=collection, most=SHOWN_DOCUMENTS + 1)
    except edgeqa.EdgeQAError as error:
        dropped = token_dropped(request, error)
        return f'<section id="documents">{_problem(problem_of(error)) if dropped else ""}</section>', dropped
    more = f'<p class="note">Only the first {SHOWN_DOCUMENTS} are listed.</p>' if len(found) > SHOWN_DOCUMENTS else ""
    chosen = {"collection": collection} if collection else {}
    items = "".join(
        f'<li><a class="place" href="{_link({"document": one.document, **chosen})}">{escape(one.document)}</a></li>'
        for one in found[:SHOWN_DOCUMENTS]
    )
    head = f"What can be asked: {len(found)} documents" if len(found) != 1 else "What can be asked: 1 document"
    listed = f'<ul class="documents">{items}</ul>' if items else '<p class="note">Nothing yet. Add a file.</p>'
    return f'<section id="documents"><details><summary>{head}</summary>{listed}{more}</details></section>', {}

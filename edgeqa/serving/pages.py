"""The page: a form and its answer, made here, so that it works without JavaScript; and the files that it is dressed in.

In: `/?q=...`. Out: HTML, in which nothing that a text says is markup. What lies in `serving/page/` is served as it is,
below `/page/`. Nothing comes from elsewhere: the content security policy says so to the browser, too.
"""

from __future__ import annotations

import mimetypes
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

import edgeqa
from edgeqa.serving.bodies import until_gone
from edgeqa.serving.messages import MOST_QUESTION_CHARACTERS
from edgeqa.serving.problems import problem_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from edgeqa import Answer
    from edgeqa.serving.http import Api

FOLDER = Path(__file__).parent / "page"
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/page/page.css">
<main>
<h1>edgeqa</h1>
<form method="get" action="/" role="search">
<label for="q">Your question</label>
<input id="q" name="q" type="search" maxlength="{most}" required autofocus value="{question}">
<button>Ask</button>
</form>
{found}
</main>
"""


def routes(api: Api) -> list[Route]:
    """Returns the routes of the page."""

    async def index(request: Request) -> Response:
        question = request.query_params.get("q", "").strip()[:MOST_QUESTION_CHARACTERS]
        if not question:
            return _page("", "")
        try:
            answer = await until_gone(request, api.engine.ask(api.caller(request), question))
        except edgeqa.EdgeQAError as error:
            said = problem_of(error)
            shown = f"<p role=alert>{escape(said['detail'])}<br><small>{escape(said.get('hint', ''))}</small></p>"
            return _page(question, shown, said["status"])
        return _page(question, _answered(answer))

    async def file(request: Request) -> Response:
        found = FOLDER / request.path_params["name"]  # one name: the route takes no slash
        if found.name.startswith(".") or not found.is_file():
            raise HTTPException(404)
        kind = mimetypes.guess_type(found.name)[0] or "application/octet-stream"
        return Response(found.read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})

    async def icon(_: Request) -> Response:
        return RedirectResponse("/page/icon.svg")

    return [Route("/", index), Route("/page/{name}", file), Route("/favicon.ico", icon)]


def _page(question: str, found: str, status: int = 200) -> Response:
    title = f"{escape(question)} - edgeqa" if question else "edgeqa"
    html = _PAGE.format(title=title, question=escape(question), found=found, most=MOST_QUESTION_CHARACTERS)
    return HTMLResponse(html, status, {"Content-Security-Policy": CSP})


def _answered(answer: Answer) -> str:
    """Returns an answer marked in its passage, or the closest passages."""
    if answer.text is not None:
        best = answer.candidates[0]
        shown = _passage(best.heading, best.context, (best.start, best.end), best.document)
        said = f"<p><strong>{escape(answer.text)}</strong> ({answer.probability:.0%})</p>"
        return f'<section aria-live="polite">{said}{shown}</section>'
    passages = "".join(_passage(p.heading, p.text, p.marked, p.document) for p in answer.closest)
    return f'<section aria-live="polite"><p>Not sure. These passages are closest:</p>{passages}</section>'


def _passage(heading: tuple[str, ...], text: str, marked: tuple[int, int] | None, document: str) -> str:
    start, end = marked or (0, 0)
    inner = f"<mark>{escape(text[start:end])}</mark>" if marked else ""
    path = f"<small>{escape(' > '.join(heading))}</small><br>" if heading else ""
    shown = f"{escape(text[:start])}{inner}{escape(text[end:])}"
    return f"<blockquote>{path}{shown}<footer>{escape(document)}</footer></blockquote>"

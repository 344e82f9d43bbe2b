"""Markdown within a paragraph to text: emphasis, links, images, code, HTML, entities.

Pure, and linear in the text's length, whatever stands in it.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from edgeqa.formats.entities import unescape

_TOKEN = re.compile(
    r"(?P<escaped>\\[!-/:-@\[-`{-~])"
    r"|(?P<ticks>`+)"
    r"|(?P<comment><!--)"
    r"|<(?P<auto>[a-zA-Z][a-zA-Z0-9+.-]{1,31}:[^\s<>]*|[^\s<>@]{1,64}@[^\s<>@]{1,255})>"
    r"|</?(?P<tag>[a-zA-Z][a-zA-Z0-9-]{0,31})(?:[\s/][^<>]*)?>"
    r"|(?P<note>\[\^[^\[\]\s]{1,64}\])"
    r"|(?P<open>!?\[)"
    # A link's place; longer ones are data, and were taken out.
    r"|(?P<close>\](?:\((?:[^()\\\n]|\\.|\([^()\n]{0,500}\)){0,2000}\)|\[[^\[\]]{0,500}\])?)"
    r"|(?P<run>\*+|_+|~~)"
)
_TICKS = re.compile("`+")
_IN_WORDS = frozenset(
    (
        "a",
        "abbr",
        "b",
        "big",
        "cite",
        "code",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "mark",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "tt",
        "u",
        "var",
        "wbr",
    )
)


def inline(text: str) -> str:
    """Returns a paragraph's text without its Markdown."""
    return _Inline(text).text()


class _Inline:
    def __init__(self, text: str) -> None:
        self._source = text
        self._out: list[str] = []
        self._brackets: list[int] = []  # places in `_out` of brackets that may begin a link
        self._emphasis: dict[str, list[int]] = {"*": [], "_": [], "~": []}  # places of runs that may begin emphasis
        self._ticks: dict[int, list[int]] | None = None
        self._last_comment_end = text.rfind("-->")

    def text(self) -> str:
        place, source = 0, self._source
        while (found := _TOKEN.search(source, place)) is not None:
            if found.start() > place:
                self._out.append(unescape(source[place : found.start()]))
            place = self._token(found)
        self._out.append(unescape(source[place:]))
        return "".join(self._out)

    def _token(self, found: re.Match[str]) -> int:
        """Takes what was found; returns where to go on."""
        kind, token = found.lastgroup, found.group()
        if kind == "escaped":
            self._out.append(token[1])
        elif kind == "ticks":
            return self._code(found)
        elif kind == "comment":
            return self._comment(found)
        elif kind == "auto":
            self._out.append(found["auto"])
        elif kind == "tag":
            self._out.append("" if found["tag"].lower() in _IN_WORDS else " ")
        elif kind == "open":
            self._brackets.append(len(self._out))
            self._out.append(token)
        elif kind == "close":
            if self._brackets and (begin := self._brackets.pop()) >= 0 and len(token) > 1:
                self._out[begin] = ""
            else:
                self._out.append(unescape(token))
        elif kind == "run":
            self._run(found)
        return found.end()

    def _code(self, found: re.Match[str]) -> int:
        """Takes code up to the next run of as many ticks."""
        if self._ticks is None:
            self._ticks = {}
            for run in _TICKS.finditer(self._source):
                self._ticks.setdefault(len(run.group()), []).append(run.start())
        ticks = found.group()
        ends = self._ticks[len(ticks)]
        at = bisect_left(ends, found.end())
        if at == len(ends):
            self._out.append(ticks)
            return found.end()
        code = self._source[found.end() : ends[at]]
        self._out.append(code[1:-1] if code.strip() and code[0] == code[-1] == " " else code)
        return ends[at] + len(ticks)

    def _comment(self, found: re.Match[str]) -> int:
        if self._last_comment_end < found.end():
            self._out.append(found.group())
            return found.end()
        return self._source.index("-->", found.end()) + 3

    def _run(self, found: re.Match[str]) -> None:
        """Takes a run of emphasis: it ends what was begun, or may begin some, or stands for itself."""
        run, source = found.group(), self._source
        before = source[found.start() - 1] if found.start() else " "
        after = source[found.end()] if found.end() < len(source) else " "
        begins = not after.isspace() and (after.isalnum() or not before.isalnum())
        ends = not before.isspace() and (before.isalnum() or not after.isalnum())
        if run[0] == "_":  # within a word it belongs to the word
            begins, ends = begins and not before.isalnum(), ends and not after.isalnum()
        left = len(run)
        open_runs = self._emphasis[run[0]]
        while ends and left and open_runs:
            opened = self._out[open_runs[-1]]
            used = min(left, len(opened))
            left -= used
            self._out[open_runs[-1]] = opened[used:]
            if used == len(opened):
                open_runs.pop()
        if left:
            if begins:
                open_runs.append(len(self._out))
            self._out.append(run[:left])

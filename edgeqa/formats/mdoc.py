"""The macros of mdoc(7), in which BSD's man pages are written.

In: calls of macros, and lines of text. Out: blocks on a draft. In a line, macros stand among words, and each macro
takes some of the words after it. This module writes their text with the brackets, dashes and blanks of mandoc and
groff.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from edgeqa.formats.prose import LINE, PARAGRAPH, Draft
from edgeqa.formats.roff import GLUED, Call, Roff

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NESTED = 40

_AROUND = {
    "Aq": ("<", ">"), "Bq": ("[", "]"), "Brq": ("{", "}"), "Dq": ("“", "”"), "Op": ("[", "]"), "Pq": ("(", ")"),
    "Qq": ('"', '"'), "Sq": ("‘", "’"), "Ql": ("‘", "’"), "En": ("", ""),
}  # fmt: skip
_OPEN = {"Ao": "<", "Bo": "[", "Bro": "{", "Do": "“", "Oo": "[", "Po": "(", "Qo": '"', "So": "‘", "Xo": "", "Eo": ""}
_CLOSE = {"Ac": ">", "Bc": "]", "Brc": "}", "Dc": "”", "Oc": "]", "Pc": ")", "Qc": '"', "Sc": "’", "Xc": "", "Ec": ""}
_WORDS = frozenset(
    """
    Ad An Ar Cd Cm Dv Em Er Ev Fa Fd Fl Fr Ft Hf Ic In Li Lk Ms Mt Nd Nm No Ns Pa St Sx Sy Tn Va Vt Xr Fn Pf Ap At
    Bx Bsx Nx Fx Ox Dx Ux Ot Lb Ex Rv
    """.split()  # noqa: SIM905 - a list of words is read more easily without quotes
)
_SYSTEMS = {"At": "AT&T UNIX", "Bsx": "BSD/OS", "Nx": "NetBSD", "Fx": "FreeBSD", "Ox": "OpenBSD", "Dx": "DragonFly"}
_STANDARDS = {
    "-ansiC": "ANSI X3.159-1989 (“ANSI C89”)",
    "-isoC": "ISO/IEC 9899:1990 (“ISO C90”)",
    "-isoC-99": "ISO/IEC 9899:1999 (“ISO C99”)",
    "-isoC-2011": "ISO/IEC 9899:2011 (“ISO C11”)",
    "-p1003.1": "IEEE Std 1003.1 (“POSIX.1”)",
    "-p1003.1-88": "IEEE Std 1003.1-1988 (“POSIX.1”)",
    "-p1003.1-90": "IEEE Std 1003.1-1990 (“POSIX.1”)",
    "-p1003.1-2001": "IEEE Std 1003.1-2001 (“POSIX.1”)",
    "-p1003.1-2004": "IEEE Std 1003.1-2004 (“POSIX.1”)",
    "-p1003.1-2008": "IEEE Std 1003.1-2008 (“POSIX.1”)",
    "-p1003.2": "IEEE Std 1003.2 (“POSIX.2”)",
    "-p1003.2-92": "IEEE Std 1003.2-1992 (“POSIX.2”)",
    "-susv2": "Version 2 of the Single UNIX Specification (“SUSv2”)",
    "-susv3": "Version 3 of the Single UNIX Specification (“SUSv3”)",
    "-xpg4": "X/Open Portability Guide Issue 4 (“XPG4”)",
    "-svid4": "System V Interface Definition, Fourth Edition (“SVID4”)",
}
_BEGIN, _END = frozenset("(["), frozenset((".", ",", ":", ";", ")", "]", "?", "!"))
_INLINE = frozenset((*_AROUND, *_OPEN, *_CLOSE, *_WORDS, "Ta"))
_IN_REFERENCE = "TBIJRNVUPQCDO"  # the parts of a reference, in the order in which they are shown
_TERMS = ("-tag", "-hang", "-ohang", "-inset", "-diag")
MANUALS = {
    "1": "General Commands Manual", "2": "System Calls Manual", "3": "Library Functions Manual",
    "4": "Kernel Interfaces Manual", "5": "File Formats Manual", "6": "Games Manual",
    "7": "Miscellaneous Information Manual", "8": "System Manager's Manual", "9": "Kernel Developer's Manual",
}  # fmt: skip


class Mdoc:
    """Writes the blocks of one page."""

    def __init__(self, draft: Draft, roff: Roff, set_title: Callable[[str, str, str], None]) -> None:
        self.draft = draft
        self.footer = ""
        self._roff = roff
        self._set_title = set_title
        self._date = ""
        self._name = ""
        self._section = ""
        self._lists: list[_List] = []
        self._code = 0
        self._displays: list[bool] = []
        self._extended = 0  # open .Xo without .Xc: the head of an entry goes on
        self._is_head = False
        self._line = _Line()
        self._function: list[str] | None = None  # the name in .Fo, then its arguments
        self._reference: list[tuple[str, str]] | None = None  # the kind and the text of each line of .Rs
        self._structure: dict[str, Callable[[list[str]], None]] = {
            "Dt": self._page, "Dd": self._dated, "Os": self._system, "Sh": self._heading,
            "Ss": partial(self._begin_heading, 3), "Pp": self._paragraph, "Lp": self._paragraph,
            "Bl": self._begin_list, "El": self._end_list, "It": self._item, "Bd": self._display,
            "Ed": self._end_display, "D1": self._one_line, "Dl": self._one_line, "Fo": self._begin_function,
            "Fc": self._end_function, "Rs": self._begin_reference, "Re": self._end_reference, "br": self._break,
            "sp": self._paragraph, "Sm": self._spacing,
        }  # fmt: skip

    def text(self, raw: str) -> None:
        """Takes a line of text."""
        shown = self._roff.plain(raw)
        if self._code:
            self._verbatim(shown.replace(GLUED, ""))
        elif not shown.strip():
            if not raw.strip():
                self._paragraph()
        else:
            self._add(shown.replace(GLUED, "").strip(), is_glued=self._line.glued)
            self._line.glued = shown.endswith(GLUED)

    def take(self, call: Call) -> None:
        """Takes the call of a macro."""
        name, words = call.name, self._roff.arguments(call.rest)
        if name == "It" and "\t" in call.rest and self._lists and self._lists[-1].kind == "-column":
            words = [word for cell in call.rest.split("\t") for word in ("Ta", *self._roff.arguments(cell))][1:]
        structure = self._structure.get(name)
        if structure is not None:
            structure(words)
        elif name.startswith("%"):
            if self._reference is not None:
                self._reference.append((name[1:], self._inline(words)))
        elif name in _INLINE:
            self._show([name, *words])

    # --- structure ---------------------------------------------------------------------------------------------------

    def _page(self, words: list[str]) -> None:
        title, section, volume = [*(self._roff.plain(word) for word in words), "", "", ""][:3]
        self._set_title(title, section, MANUALS.get(section[:1], volume))

    def _dated(self, words: list[str]) -> None:
        self._date = self._inline(words).replace("$Mdocdate: ", "").rstrip("$ ")

    def _system(self, words: list[str]) -> None:
        self.footer = " ".join(part for part in (self._inline(words), self._date) if part)

    def _heading(self, words: list[str]) -> None:
        self._section = self._inline(words)
        self._begin_heading(2, words)

    def _begin_heading(self, level: int, words: list[str]) -> None:
        text = self._inline(words)
        self._lists.clear()
        self._displays.clear()
        self._code = self._extended = 0
        self._line = _Line()
        self.draft.begin("heading", level)
        self.draft.add(text)
        self.draft.begin("paragraph")

    def _paragraph(self, _words: list[str] | None = None) -> None:
        if self._code:
            self._verbatim("")
        elif not (self.draft.is_empty and self.draft.kind == "paragraph"):
            self.draft.begin("paragraph", len(self._lists))

    def _begin_list(self, words: list[str]) -> None:
        kind = next((word for word in words if word.startswith("-")), "-item")
        if len(self._lists) < MAX_NESTED:
            self._lists.append(_List(kind))

    def _end_list(self, _words: list[str]) -> None:
        if self._lists:
            self._lists.pop()
        self.draft.begin("paragraph", len(self._lists))

    def _item(self, words: list[str]) -> None:
        here = self._lists[-1] if self._lists else _List("-tag")
        here.entries += 1
        self._line = _Line(spaced=self._line.spaced)
        level = max(1, len(self._lists))
        if here.kind == "-column":
            self._cells(words, begins=here.entries == 1)
        elif here.kind in _TERMS:
            self.draft.begin("term", level)
            self._is_head = True
            self._show(words)
            self._end_head()
        elif here.kind == "-item":
            self.draft.begin("paragraph", level)
        else:
            self.draft.begin("item", level, PARAGRAPH if here.entries == 1 else LINE)
            self.draft.add(f"{here.entries}. " if here.kind == "-enum" else "- ")

    def _cells(self, words: list[str], *, begins: bool) -> None:
        cells: list[list[str]] = [[]]
        for word in words:
            if word == "Ta":
                cells.append([])
                continue
            first, *others = word.split("\t")
            cells[-1] += [first] if first else []
            cells += [[other] if other else [] for other in others]
        self.draft.row([self._inline(cell) for cell in cells], begins=begins)
        self.draft.begin("paragraph", len(self._lists), LINE)

    def _end_head(self) -> None:
        if self._is_head and not self._extended:
            self._is_head = False
            self._line = _Line(spaced=self._line.spaced)
            if not self.draft.is_empty:
                self.draft.begin("paragraph", max(1, len(self._lists)), LINE)

    def _display(self, words: list[str]) -> None:
        is_code = "-literal" in words or "-unfilled" in words
        self._displays.append(is_code)
        del self._displays[:-MAX_NESTED]
        self._code += is_code
        if not is_code:
            self._paragraph()

    def _end_display(self, _words: list[str]) -> None:
        is_code = self._displays.pop() if self._displays else bool(self._code)
        self._code = max(0, self._code - is_code)
        if self.draft.kind == "code" or not is_code:
            self.draft.begin("paragraph", len(self._lists))

    def _one_line(self, words: list[str]) -> None:
        self.draft.begin("code", len(self._lists))
        self.draft.add(self._inline(words))
        self.draft.begin("paragraph", len(self._lists))

    def _verbatim(self, shown: str) -> None:
        if self.draft.kind != "code":
            self.draft.begin("code", len(self._lists))
        self.draft.add(f"{shown}\n")

    def _begin_function(self, words: list[str]) -> None:
        self._function = [self._inline(words[:1])]

    def _end_function(self, words: list[str]) -> None:
        if self._function:
            name, *arguments = self._function
            self._add(f"{name}({', '.join(arguments)})" + ("; " if self._section == "SYNOPSIS" else ""))
        self._function = None
        self._show(words)

    def _begin_reference(self, _words: list[str]) -> None:
        self._reference = []

    def _end_reference(self, _words: list[str]) -> None:
        if self._reference:
            *authors, last = [text for what, text in self._reference if what == "A"] or [""]
            comma = "," if len(authors) > 1 else ""
            by = f"{', '.join(authors)}{comma} and {last}" if authors else last
            others = sorted(
                (pair for pair in self._reference if pair[0] in _IN_REFERENCE),
                key=lambda pair: _IN_REFERENCE.index(pair[0]),
            )
            self._add(", ".join(part for part in (by, *(text for _, text in others)) if part) + ".")
        self._reference = None

    def _break(self, _words: list[str]) -> None:
        if not self._code:
            self.draft.line()

    def _spacing(self, words: list[str]) -> None:
        self._line.spaced = words != ["off"]
        self._line.glued, self._line.apart = False, True

    # --- lines of macros and words -----------------------------------------------------------------------------------

    def _add(self, text: str, *, is_glued: bool = False) -> None:
        if self._code:
            self._verbatim(text)
        elif is_glued:
            self.draft.add(text)
        else:
            self.draft.words(text)

    def _show(self, words: list[str]) -> None:
        if self._function is not None and words[:1] == ["Fa"]:
            self._function += [self._roff.plain(word) for word in words[1:]]
            return
        name = words[0] if words else ""
        if name == "Nm" and self._section == "SYNOPSIS" and not self._is_head:
            self.draft.line()
        if name in ("Ft", "Fn", "In", "Vt", "Fd") and self._section == "SYNOPSIS":
            self.draft.line()
        line = self._line
        begins_glued, line.glued = line.glued or not (line.spaced or line.apart), False
        line.apart = False
        line.parts = []
        self._take(words)
        self._extended = min(max(0, self._extended + words.count("Xo") - words.count("Xc")), MAX_NESTED)
        if shown := "".join(line.parts):
            self._add(shown, is_glued=begins_glued or (shown[0] in ".,:;)]?!" and name in _CLOSE))
        self._end_head()

    def _inline(self, words: list[str]) -> str:
        """Returns the text of a line of macros and words."""
        before, self._line = self._line, _Line(spaced=self._line.spaced)
        self._take(words)
        shown = "".join(self._line.parts)
        self._line = before
        return shown

    def _take(self, words: list[str]) -> None:
        """Joins words and macros, from left to right."""
        line = self._line
        pending: list[str] = []  # the brackets that close at the end of the line
        macro, count = "No", 0  # the current macro, and the number of its arguments so far
        place = 0
        while place < len(words):
            word = words[place]
            place += 1
            if word in _INLINE:
                self._finish(macro, count)
                macro, count = word, 0
                if word in ("Xr", "Fn", "Lk"):
                    place, macro = self._compound(word, words, place), "No"
                elif self._bracket(word, pending):
                    macro = "No"
                continue
            shown = self._roff.plain(word).replace(GLUED, "")
            if word in _END:
                # A point at the end of the last bracket's content belongs behind the bracket, if nothing else follows.
                if pending and all(other in _END for other in words[place:]):
                    self._finish(macro, count)
                    macro, count = "No", 1
                    self._close(pending)
                line.glued = True
                line.put(shown)
            elif word in _BEGIN:
                line.put(shown)
                line.glued = True
            else:
                self._word(macro, shown, count)
                count += 1
        self._finish(macro, count)
        self._close(pending)

    def _bracket(self, macro: str, pending: list[str]) -> bool:
        """Shows a macro for a bracket, or for the way the next word follows; tells whether it was one of these."""
        line = self._line
        if macro in _AROUND:
            line.put(_AROUND[macro][0])
            line.glued = True
            pending.append(_AROUND[macro][1])
        elif macro in _OPEN:
            line.put(_OPEN[macro])
            line.glued = line.glued or bool(_OPEN[macro])
        elif macro in _CLOSE:
            line.glued = line.glued or bool(_CLOSE[macro])
            line.put(_CLOSE[macro])
        elif macro in ("Ap", "Ns"):
            line.glued = True
            line.put("'" if macro == "Ap" else "")
            line.glued = True
        else:
            return False
        return True

    def _close(self, pending: list[str]) -> None:
        while pending:
            self._line.glued = True
            self._line.put(pending.pop())

    def _compound(self, macro: str, words: list[str], place: int) -> int:
        """Shows a macro that joins its arguments in its own way; returns the place of the first argument left."""
        end = place
        while end < len(words) and words[end] not in _INLINE and words[end] not in _END:
            end += 1
        taken = [self._roff.plain(word).replace(GLUED, "") for word in words[place:end]]
        if macro == "Xr":
            shown = f"{taken[0]}({taken[1]})" if len(taken) > 1 else "".join(taken)
            rest = taken[2:]
        elif macro == "Fn":
            shown, rest = f"{taken[0] if taken else ''}({', '.join(taken[1:])})", []
            shown += ";" if self._section == "SYNOPSIS" else ""
        else:
            shown, rest = " ".join([*taken[1:], f"<{taken[0]}>" if len(taken) > 1 else taken[0]]) if taken else "", []
        self._line.put(shown)
        for one in rest:
            self._line.put(one)
        return end

    def _word(self, macro: str, shown: str, count: int) -> None:
        """Shows one word in the way of its macro."""
        if macro == "Nm":
            self._name = self._name or shown
        if (macro in ("Ex", "Rv") and shown == "-std") or not shown:
            return
        self._line.put(self._shown(macro, shown, is_first=not count))
        if macro == "Pf":
            self._line.glued = not count

    def _shown(self, macro: str, shown: str, *, is_first: bool) -> str:
        if macro == "Fl":
            return f"-{shown}"
        if macro == "In":
            return f"#include <{shown}>" if self._section == "SYNOPSIS" else f"<{shown}>"
        if macro == "St":
            return _STANDARDS.get(shown, shown.lstrip("-"))
        if macro in ("Ex", "Rv"):
            return _exits(macro, shown)
        if macro == "Lb":
            return f"library ({shown}, -l{shown.removeprefix('lib')})"
        if is_first and macro in ("Nd", "Bx", *_SYSTEMS):
            return {"Nd": f"— {shown}", "Bx": f"{shown}BSD"}.get(macro) or f"{_SYSTEMS[macro]} {shown}"
        return shown

    def _finish(self, macro: str, count: int) -> None:
        """Shows the text of a macro without arguments."""
        if count:
            return
        shown = {"Fl": "-", "Ar": "file ...", "Nm": self._name, "Bx": "BSD", "Ux": "UNIX", **_SYSTEMS}.get(macro, "")
        self._line.put(shown)
        self._line.glued = self._line.glued or macro == "Fl"


@dataclass(slots=True)
class _List:
    """An open list."""

    kind: str
    entries: int = 0


@dataclass(slots=True)
class _Line:
    """A line while it is read."""

    parts: list[str] = field(default_factory=list)
    glued: bool = False
    """Whether the next word follows without a blank."""
    spaced: bool = True
    """Whether blanks stand between words, as `.Sm` says."""
    apart: bool = False
    """Whether the next line stands apart all the same."""

    def put(self, text: str) -> None:
        """Adds a word."""
        if text:
            if self.parts and not self.glued and self.spaced:
                self.parts.append(" ")
            self.parts.append(text)
            self.glued = False


def _exits(macro: str, name: str) -> str:
    if macro == "Ex":
        return f"The {name} utility exits 0 on success, and >0 if an error occurs."
    return (
        f"The {name}() function returns the value 0 if successful; otherwise the value -1 is returned and the global "
        "variable errno is set to indicate the error."
    )

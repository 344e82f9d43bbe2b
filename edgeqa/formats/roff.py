"""Roff, the language of man pages: this module expands its strings and macros, and evaluates its conditions.

In: the lines of a page. Out: calls of macros that the page does not define itself, and lines of text; `plain` takes the
escapes out of both. The text is that of a terminal: fonts, sizes and places are dropped, and a condition on a terminal
is true. Files that a page wants to include are not read. The expansion of macros and strings is bounded, and loops run
once.

The language is described in CSTR 54 (Ossanna, Kernighan) and groff(7).
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edgeqa.formats.blocks import FileExcessive
from edgeqa.formats.notation import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_EXPANDED_CHARACTERS = 1 << 24  # the longest page that is known, of a compiler, has 1.5 million
LINE_COST = 64  # a line counts for so many characters besides its own
MAX_NESTED = 30  # strings within strings are expanded so deep
GLUED = "\ue000"
"""This ends a text that the next one follows without a blank (the escape `\\c`)."""

_SPECIAL = {
    "bu": "•", "em": "—", "en": "–", "hy": "-", "mi": "−", "pl": "+", "mu": "×", "di": "÷", "+-": "±", "**": "*",
    "aq": "'", "dq": '"', "lq": "“", "rq": "”", "oq": "‘", "cq": "’", "bq": "‚", "Bq": "„", "Fo": "«", "Fc": "»",
    "fo": "‹", "fc": "›", "rs": "\\", "sl": "/", "ba": "|", "or": "|", "bv": "|", "br": "|", "ul": "_", "ru": "_",
    "rn": "‾", "ti": "~", "ha": "^", "at": "@", "sh": "#", "Do": "$", "la": "<", "ra": ">", "lB": "[", "rB": "]",
    "lC": "{", "rC": "}", "co": "©", "rg": "®", "tm": "™", "de": "°", "%0": "‰", "sc": "§", "ps": "¶", "dg": "†",
    "dd": "‡", "ct": "¢", "Po": "£", "Ye": "¥", "Eu": "€", "eu": "€", "fm": "′", "sd": "″", "->": "→", "<-": "←",
    "<>": "↔", "ua": "↑", "da": "↓", "rA": "⇒", "lA": "⇐", "hA": "⇔", "<=": "≤", ">=": "≥", "!=": "≠", "==": "≡",
    "~~": "≈", "~=": "≅", "ap": "∼", "if": "∞", "sr": "√", "es": "∅", "mo": "∈", "no": "¬", "tno": "¬", "pc": "·",
    "md": "·", "12": "½", "14": "¼", "34": "¾", "18": "⅛", "S1": "¹", "S2": "²", "S3": "³", "sq": "□", "ci": "○",
    "OK": "✓", "lh": "☜", "rh": "☞", "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "/o": "ø", "/O": "Ø",
    "oA": "Å", "oa": "å", ",c": "ç", ",C": "Ç", "-D": "Ð", "Sd": "ð", "TP": "Þ", "Tp": "þ", "r!": "¡", "r?": "¿",
    "ga": "`", "aa": "´", "a^": "^", "a~": "~", "ad": "¨", "*a": "α", "*b": "β", "*g": "γ", "*d": "δ", "*e": "ε",
    "*l": "λ", "*m": "μ", "*p": "π", "*s": "σ", "*w": "ω", "*W": "Ω", "*D": "Δ", "*S": "Σ", "mc": "µ", "ff": "ff",
    "fi": "fi", "fl": "fl", "Fi": "ffi", "Fl": "ffl", "Of": "ª", "Om": "º", "lf": "⌊", "rf": "⌋", "lc": "⌈", "rc": "⌉",
}  # fmt: skip
_ACCENTS = {"'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", ":": "\u0308", "v": "\u030c"}
_ONE = {
    "-": "-", "e": "\\", "E": "\\", "~": " ", "0": " ", " ": " ", "t": "\t", "a": "", "'": "´", "`": "`", ".": ".",
    "\\": "\\", "_": "_", "\n": "", "c": GLUED, "$": "",
}  # fmt: skip
_QUOTED = "hvwlLDobxNCABXZRSHTZ"  # escapes with an argument between two quotes
_NAMED = "fFmMkgsYVOnP*(["  # escapes that take a name: of one character, of two after "(", of any in brackets
_CALL = re.compile(r"[.'][ \t]*([^ \t\\]*)[ \t]*(.*)", re.DOTALL)
_COMMENT = re.compile(r'(?<!\\)((?:\\\\)*)\\["#].*', re.DOTALL)
_CONTINUED = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
_ARGUMENT = re.compile(r"\\\$(?:([0-9*@])|\(([0-9]{2})|\[([0-9]{1,3})\])")
_TOKEN = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+|<=|>=|<>|==|[-+*/%<>=&:()])[a-zA-Z]?")
_UNITS_A_CHARACTER = 24
_IN_BLOCK, _OUT_BLOCK = r"\{", r"\}"


@dataclass(frozen=True, slots=True)
class Call:
    """A macro or request that the page does not define, with its arguments and their escapes."""

    name: str
    rest: str


class Roff:
    """One page: an iterator over calls, and over lines of text as they stand in the source."""

    def __init__(self, lines: Iterator[str], name: str) -> None:
        self._lines = lines
        self._name = name
        self._waiting: deque[str] = deque()
        self._left = MAX_EXPANDED_CHARACTERS
        self._strings: dict[str, str] = {"R": "®", "Tm": "™", "lq": "“", "rq": "”", "S": "", "Le": "≤", "Ge": "≥"}
        self._numbers: dict[str, int] = {".g": 1, ".x": 1, ".y": 23, ".$": 0, ".l": 78 * _UNITS_A_CHARACTER}
        self._macros: dict[str, list[str]] = {}
        self._else: list[bool] = []
        self._translated: dict[str, str] = {}
        self._requests: dict[str, Callable[[str], None]] = {
            "de": self._define, "de1": self._define, "dei": self._define, "am": partial(self._define, appended=True),
            "ig": self._ignore, "ds": self._string, "ds1": self._string, "as": partial(self._string, appended=True),
            "nr": self._number, "rn": self._rename, "als": self._alias, "rm": self._remove, "tr": self._translations,
            "if": self._if, "while": self._if, "ie": self._if_else, "el": self._otherwise,
            "nop": self._waiting.appendleft, "do": self._do,
        }  # fmt: skip

    def __iter__(self) -> Iterator[Call | str]:
        while (line := self.raw()) is not None:
            if line[:1] not in (".", "'"):
                yield line
                continue
            found = _CALL.match(_COMMENT.sub(r"\1", line))
            if found is None or not found[1]:
                continue
            name, rest = found[1], found[2]
            if name in self._macros:
                self._invoke(name, rest)
            elif (request := self._requests.get(name)) is not None:
                request(rest)
            else:
                yield Call(name, rest)

    def raw(self) -> str | None:
        """Returns the next line as it stands, joined with those that a backslash continues; None at the end.

        Raises:
            FileExcessive: if the page's macros expand to more than is read.
        """
        line = self._one()
        while line is not None and line.endswith("\\") and _CONTINUED.search(line):
            then = self._one()
            line = line[:-1] + (then or "")
        return line

    def plain(self, raw: str, nested: int = 0) -> str:
        """Returns the text that a terminal shows for a piece of a line, without escapes; it may hold GLUED."""
        if "\\" not in raw:
            self._spend(len(raw))
            return self._translate(raw)
        out: list[tuple[str, int]] = []
        place = height = 0
        while (at := raw.find("\\", place)) >= 0:
            out.append((self._translate(raw[place:at]), height))
            shown, place = self._escape(raw, at + 1, nested)
            height = max(-1, min(height + _moved(raw[at + 1 : place]), 1))
            out.append((shown, height))
        out.append((self._translate(raw[place:]), height))
        shown = joined(out)
        self._spend(len(shown))
        return shown

    def arguments(self, rest: str) -> list[str]:
        """Returns the arguments of a call, with their escapes: words, or texts in double quotes."""
        found: list[str] = []
        place = 0
        while True:
            while place < len(rest) and rest[place] in " \t":
                place += 1
            if place >= len(rest):
                return found
            one: list[str] = []
            quoted = rest[place] == '"'
            place += quoted
            while place < len(rest):
                letter = rest[place]
                if letter == "\\":
                    one.append(rest[place : place + 2])
                    place += 2
                elif quoted and rest.startswith('""', place):
                    one.append('"')
                    place += 2
                elif letter == '"' and quoted:
                    place += 1
                    break
                elif letter in " \t" and not quoted:
                    break
                else:
                    one.append(letter)
                    place += 1
            found.append("".join(one))

    # --- lines -------------------------------------------------------------------------------------------------------

    def _one(self) -> str | None:
        line = self._waiting.popleft() if self._waiting else next(self._lines, None)
        if line is not None:
            self._spend(len(line) + LINE_COST)
        return line

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise FileExcessive(self._name, f"its macros expand to more than {MAX_EXPANDED_CHARACTERS} characters")

    def _invoke(self, name: str, rest: str) -> None:
        given = [name, *self.arguments(rest)]

        def argument(found: re.Match[str]) -> str:
            which = found[1] or found[2] or found[3]
            if which in ("*", "@"):
                return " ".join(given[1:] if which == "*" else [f'"{one}"' for one in given[1:]])
            return given[int(which)] if int(which) < len(given) else ""

        self._numbers[".$"] = len(given) - 1
        body = [_ARGUMENT.sub(argument, line) for line in self._macros[name]]
        self._spend(sum(map(len, body)) + len(body))
        self._waiting.extendleft(reversed(body))

    def _body(self, end: str) -> Iterator[str]:
        """Yields the lines up to the one that ends a definition."""
        marks = (f".{end}", f"'{end}")
        while (line := self._one()) is not None and line.replace(" ", "").replace("\t", "") not in marks:
            yield line

    # --- requests ----------------------------------------------------------------------------------------------------

    def _define(self, rest: str, *, appended: bool = False) -> None:
        names = rest.split()
        if not names:
            return
        end = names[1] if len(names) > 1 else "."
        body = [line.replace("\\\\", "\\") for line in self._body(end)]
        if names[0] not in KEPT:
            self._macros[names[0]] = (self._macros.get(names[0], []) if appended else []) + body

    def _ignore(self, rest: str) -> None:
        for _ in self._body((rest.split() or ["."])[0]):
            pass

    def _string(self, rest: str, *, appended: bool = False) -> None:
        name, _, value = rest.partition(" ")
        value = value.lstrip(" ").removeprefix('"')
        self._strings[name] = (self._strings.get(name, "") if appended else "") + value

    def _number(self, rest: str) -> None:
        name, *values = rest.split()[:2] or [""]
        if name.startswith("\\") or not values:
            return
        before = self._numbers.get(name, 0) if values[0][0] in "+-" else 0
        self._numbers[name] = max(-(1 << 31), min(before + self.number(values[0]), 1 << 31))

    def _rename(self, rest: str) -> None:
        names = rest.split()
        if len(names) > 1 and names[0] in self._macros:
            self._macros[names[1]] = self._macros.pop(names[0])

    def _alias(self, rest: str) -> None:
        names = rest.split()
        if len(names) > 1:
            self._macros[names[0]] = self._macros.get(names[1], [f".{names[1]} \\$@"])

    def _remove(self, rest: str) -> None:
        for name in rest.split():
            self._macros.pop(name, None)
            self._strings.pop(name, None)

    def _translations(self, rest: str) -> None:
        letters: list[str] = []
        place = 0
        while place < len(rest):
            if rest[place] == "\\":
                shown, place = self._escape(rest, place + 1, 0)
                letters.append(shown)
            else:
                letters.append(rest[place])
                place += 1
        letters += [" "] * (len(letters) % 2)
        pairs = zip(letters[::2], letters[1::2], strict=True)
        self._translated |= {one: other for one, other in pairs if len(one) == 1}

    def _translate(self, text: str) -> str:
        return text.translate({ord(k): v for k, v in self._translated.items()}) if self._translated else text

    def _do(self, rest: str) -> None:
        self._waiting.appendleft(f".{rest}")

    def _if(self, rest: str) -> None:
        self._branch(*self._condition(rest))

    def _if_else(self, rest: str) -> None:
        holds, then = self._condition(rest)
        self._else.append(not holds)
        del self._else[:-MAX_NESTED]
        self._branch(holds, then)

    def _otherwise(self, rest: str) -> None:
        self._branch(self._else.pop() if self._else else False, rest)

    def _branch(self, holds: bool, then: str) -> None:  # noqa: FBT001 - what a condition came to
        then = then.lstrip(" \t")
        is_block = then.startswith(_IN_BLOCK)
        if holds:
            then = then[2:] if is_block else then
            if then.strip():
                self._waiting.appendleft(then)
        elif is_block:
            depth = then.count(_IN_BLOCK) - then.count(_OUT_BLOCK)
            while depth > 0 and (line := self._one()) is not None:
                depth += line.count(_IN_BLOCK) - line.count(_OUT_BLOCK)

    def _condition(self, rest: str) -> tuple[bool, str]:
        """Returns whether the condition at the beginning of a line is true, and the rest of the line."""
        rest = rest.lstrip(" \t")
        if rest.startswith("!"):
            holds, then = self._condition(rest[1:])
            return not holds, then
        letter, after = rest[:1], rest[1:]
        if letter and letter in "ntoev" and not after[:1].isalnum():
            return letter in "no", after
        if letter and letter in "drcmFS" and not after[:1].isdigit():
            name, _, then = after.lstrip(" ").partition(" ")
            known = {"d": {*self._strings, *self._macros}, "r": set(self._numbers)}.get(letter)
            return letter == "c" or (known is not None and name in known), then
        if letter == "\\" and after[:1] not in ("n", "w", "*"):
            return False, rest
        if letter and not letter.isalnum() and letter not in "\\(+-.":
            parts = rest[1:].split(letter, 2)
            if len(parts) < 3:
                return False, ""
            return self.plain(parts[0]) == self.plain(parts[1]), parts[2]
        head, then = _expression(rest)
        return self.number(head) > 0, then

    def number(self, raw: str) -> int:
        """Returns the value of an expression, in units; 0 if it is none. Roff evaluates from left to right."""
        stack: list[tuple[int, str]] = []
        value, operator = 0, "+"
        text, place = self.plain(raw), 0
        while (found := _TOKEN.match(text, place)) is not None and len(stack) < MAX_NESTED:
            mark, place = found[1], found.end()
            if mark == "(":
                stack.append((value, operator))
                value, operator = 0, "+"
            elif mark == ")":
                before, operator = stack.pop() if stack else (0, "+")
                value, operator = _applied(before, operator, value), "+"
            elif mark[0].isdigit() or mark[0] == ".":
                value, operator = _applied(value, operator, int(float(mark[:9]))), "+"
            else:
                operator = mark
        return value

    # --- escapes -----------------------------------------------------------------------------------------------------

    def _escape(self, raw: str, place: int, nested: int) -> tuple[str, int]:
        """Returns the text of the escape that begins before `place`, and the place of its end."""
        if place >= len(raw):
            return "", place
        letter = raw[place]
        if letter in _NAMED:
            return self._with_name(raw, place, nested)
        if letter in _QUOTED and place + 1 < len(raw):
            delimiter = raw[place + 1]
            end = raw.find(delimiter, place + 2)
            if end < 0:
                return "", len(raw)
            return self._with_text(letter, raw[place + 2 : end], nested), end + 1
        if letter == "z":  # the next character is printed over this one
            return "", place + 1
        if letter in '"#':
            return "", len(raw)
        if letter in _ONE:
            return _ONE[letter], place + 1
        # Thin spaces, hyphenation and the like have no width in a terminal; a letter that is no escape is itself.
        return ("" if letter in "&)/,:%|^{}!?udrp" else letter), place + 1

    def _with_name(self, raw: str, place: int, nested: int) -> tuple[str, int]:
        letter = raw[place]
        at = place if letter in "([" else place + 1
        sign = ""
        if letter in "sn" and raw[at : at + 1] in ("+", "-"):
            sign = raw[at]
            at += 1
        head = raw[at : at + 1]
        if letter == "s" and head == "'":
            end = raw.find("'", at + 1)
            return "", (end + 1 if end >= 0 else len(raw))
        if head == "(":
            name, end = raw[at + 1 : at + 3], at + 3
        elif head == "[":
            end = _closing(raw, at)
            name, end = raw[at + 1 : end], end + 1
        else:
            name, end = head, at + 1
            if letter == "s" and name.isdigit() and name in "123" and raw[end : end + 1].isdigit() and not sign:
                end += 1  # old roff has sizes of two digits
        if letter in "([":
            return self._special(name), end
        if letter == "*":
            return self._shown(name, nested), end
        if letter == "n":
            return str(self._counted(self.plain(name, nested + 1) if nested < MAX_NESTED else "", sign)), end
        return "", end

    def _counted(self, name: str, sign: str) -> int:
        if sign:
            self._numbers[name] = self._numbers.get(name, 0) + (1 if sign == "+" else -1)
        return self._numbers.get(name, 0)

    def _shown(self, name: str, nested: int) -> str:
        name = name.split(" ")[0]
        if nested >= MAX_NESTED or name not in self._strings:
            return ""
        return self.plain(self._strings[name], nested + 1)

    def _special(self, name: str) -> str:
        """Returns the character of this name: one of groff's, or `u00E9`, or a letter with its accent."""
        if name in _SPECIAL:
            shown = _SPECIAL[name]
            return self._translated.get(shown, shown)
        if re.fullmatch(r"u[0-9A-F]{4,6}(_[0-9A-F]{4,6})*", name):
            points = [int(point, 16) for point in name[1:].split("_")]
            return "".join(chr(point) for point in points if point < 0x110000 and not 0xD800 <= point < 0xE000)
        if re.fullmatch(r"char[0-9]{1,3}", name):
            return chr(int(name[4:]))
        if len(name) == 2 and name[0] in _ACCENTS and name[1].isalpha():
            return name[1] + _ACCENTS[name[0]]
        return ""

    def _with_text(self, letter: str, text: str, nested: int) -> str:
        if letter == "h":  # it moves to the right
            return "" if text.lstrip().startswith("-") or not self.number(text) else " "
        if letter == "w":
            return str(_UNITS_A_CHARACTER * len(self.plain(text, nested + 1))) if nested < MAX_NESTED else "0"
        if letter in "obZ" and nested < MAX_NESTED:
            return self.plain(text, nested + 1)[:1] if letter == "o" else self.plain(text, nested + 1)
        if letter == "C":
            return self._special(text)
        if letter == "N" and text.isdigit():
            return chr(int(text[:7])) if 31 < int(text[:7]) < 0xD800 else ""
        return "1" if letter in "AB" else ""


def _moved(escape: str) -> int:
    """Returns 1 for an escape that moves the next text up, -1 for one that moves it down."""
    if escape in ("u", "d"):
        return 1 if escape == "u" else -1
    if escape[:1] != "v":
        return 0
    return 1 if escape[2:].lstrip().startswith("-") else -1


def _expression(rest: str) -> tuple[str, str]:
    """Splits a line after the expression at its beginning: at a blank outside of parentheses."""
    depth = place = 0
    while place < len(rest):
        letter = rest[place]
        if letter == "\\" and rest[place + 1 : place + 2] == "w" and place + 2 < len(rest):
            end = rest.find(rest[place + 2], place + 3)
            place = end if end >= 0 else len(rest)
        elif (letter == "\\" and rest[place + 1 : place + 2] == "{") or (letter in " \t" and depth <= 0):
            break
        depth += (letter == "(" and rest[place - 1 : place] != "n") - (letter == ")")
        place += 1
    return rest[:place], rest[place:]


def _closing(raw: str, at: int) -> int:
    """Returns the place where the bracket that opens at `at` closes."""
    depth = 0
    for place in range(at, len(raw)):
        depth += (raw[place] == "[") - (raw[place] == "]")
        if not depth:
            return place
    return len(raw)


def _applied(one: int, operator: str, other: int) -> int:
    if operator in "/%":
        if not other:
            return 0
        return one // other if operator == "/" else one % other
    results = {
        "+": one + other,
        "-": one - other,
        "*": one * other,
        "<": one < other,
        ">": one > other,
        "<=": one <= other,
        ">=": one >= other,
        "=": one == other,
        "==": one == other,
        "<>": one != other,
        "&": one > 0 and other > 0,
        ":": one > 0 or other > 0,
    }
    return max(-(1 << 31), min(int(results.get(operator, 0)), 1 << 31))


# A page may define these macros anew, and they keep their meaning; else its structure would be lost.
KEPT = frozenset(("TH", "SH", "SS", "TP", "IP", "PP", "P", "LP", "Sh", "Ss", "Dd", "Dt", "It", "Bl", "El"))

"""Notation: plain text for raised text, numbers of lists, signs of symbol fonts, and formulas. Pure.

In: the meaning in a document. Out: plain text: `10^6` for ten to the sixth, `H2O`, `21st`, a note's number as `[3]`;
`iii` and `C` for numbers of lists; Greek for a letter of the font Symbol; `E = mc^2` and `(a+b)/(2a)` for formulas in
MathML and Office, and in Word's fields `EQ` and `SYMBOL`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ORDINAL = re.compile(r"(?:st|nd|rd|th|er?|[èe]re?|[ei]?[èe]?me|os?|as?|te[rn]?|[ºª])\.?", re.IGNORECASE)
_SIGNS = {"TM": "™", "(TM)": "™", "SM": "℠", "(R)": "®", "(C)": "©"}
_MARKS = re.compile(r"[*†‡§¶#™®©℠°º'′″]+|[\[(][^\[\]()]{0,8}[\])]")
_ONE = re.compile(r"[+\-−–±]?[\w.,∞′∗*°]+[+\-−–]?|[+\-−–]")
_AFTER = re.compile(r"[\w)\]}|°²³%]")


def superscript(before: str, text: str, *, is_note: bool = False) -> str:
    """Returns plain text for raised text.

    Args:
        before: the character directly before it, "" if there is none.
        text: the raised text.
        is_note: whether it leads to a note.
    """
    text = " ".join(text.split())
    if not text or not before or not _AFTER.match(before):
        return text
    if is_note:
        return text if _MARKS.fullmatch(text) else f"[{text}]"
    if before.isdigit() and _ORDINAL.fullmatch(text):
        return text
    if text.upper() in _SIGNS:
        return _SIGNS[text.upper()]
    if _MARKS.fullmatch(text):
        return text
    return f"^{text}" if _ONE.fullmatch(text) else f"^({text})"


def subscript(before: str, text: str) -> str:
    """Returns plain text for lowered text.

    Args:
        before: the character directly before it, "" if there is none.
        text: the lowered text.
    """
    text = " ".join(text.split())
    if not text or not before or not before.isalnum():
        return text
    if _ONE.fullmatch(text):
        return f"_{text}" if before.isdigit() == text[0].isdigit() else text
    return f"_({text})"


SLASHES = ("/", "\u2044", "\u2215")  # of fractions


def digits_meet(before: str, after: str) -> bool:
    """Tells whether two numbers would become one if the two texts stood side by side."""
    return before[-1:].isdigit() and after[:1].isdigit()


def joined(pieces: Iterable[tuple[str, int]]) -> str:
    """Returns the line that these pieces make.

    Args:
        pieces: the text of each, with 1 if it is raised, -1 if it is lowered.
    """
    found = [("".join(text for text, _ in group), raised) for raised, group in groupby(pieces, key=itemgetter(1))]
    written, was_raised = "", 0
    for number, (text, raised) in enumerate(found):
        before = written[-1:]
        if raised > 0 and _is_fraction(found[number : number + 3]):
            piece = text.strip()
        elif raised:
            piece = (superscript if raised > 0 else subscript)(before, text) + (" " if text[-1:].isspace() else "")
        else:
            piece = text
        written += f" {piece}" if (raised or was_raised) and digits_meet(before, piece) else piece
        was_raised = raised
    return written


def _is_fraction(groups: list[tuple[str, int]]) -> bool:
    """Tells whether a raised number begins a fraction, as in 1 1/2."""
    return [raised for _, raised in groups] == [1, 0, -1] and (
        groups[0][0].strip().isdecimal() and groups[1][0] in SLASHES and groups[2][0].strip().isdecimal()
    )


_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)
_MAX_ROMAN = 3999


def numeral(number: int, style: str) -> str:
    """Returns a number in the style of a list.

    Args:
        number: the number.
        style: "a", "A", "i", "I"; any other means digits.
    """
    if number > 0 and style in ("a", "A"):
        written = _letters(number)
    elif 0 < number <= _MAX_ROMAN and style in ("i", "I"):
        written = _roman(number)
    else:
        return str(number)
    return written.upper() if style.isupper() else written


def _letters(number: int) -> str:
    written = ""
    while number:
        number, letter = divmod(number - 1, 26)
        written = chr(ord("a") + letter) + written
    return written


def _roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        written += letters * count
    return written


_PRIVATE = re.compile("[\ue000-\uf8ff]")

_SYMBOL = dict(
    zip(
        range(0x41, 0x5B),
        "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ",
        strict=True,
    ),
) | dict(
    zip(
        range(0x61, 0x7B),
        "αβχδεφγηιϕκλμνοπθρστυϖωξψζ",
        strict=True,
    ),
)
_SYMBOL |= {
    0xA2: "′", 0xA3: "≤", 0xA4: "⁄", 0xA5: "∞", 0xA6: "ƒ", 0xAB: "↔", 0xAC: "←", 0xAD: "↑", 0xAE: "→", 0xAF: "↓",
    0xB0: "°", 0xB1: "±", 0xB2: "″", 0xB3: "≥", 0xB4: "×", 0xB5: "∝", 0xB6: "∂", 0xB7: "•", 0xB8: "÷", 0xB9: "≠",
    0xBA: "≡", 0xBB: "≈", 0xBC: "…", 0xC5: "⊕", 0xC6: "∅", 0xC7: "∩", 0xC8: "∪", 0xC9: "⊃", 0xCC: "⊂", 0xCD: "⊆",
    0xCE: "∈", 0xCF: "∉", 0xD0: "∠", 0xD1: "∇", 0xD2: "®", 0xD3: "©", 0xD4: "™", 0xD5: "∏", 0xD6: "√", 0xD7: "⋅",
    0xD8: "¬", 0xD9: "∧", 0xDA: "∨", 0xDB: "⇔", 0xDC: "⇐", 0xDD: "⇑", 0xDE: "⇒", 0xDF: "⇓", 0xE2: "®", 0xE3: "©",
    0xE4: "™", 0xE5: "∑", 0xF2: "∫", 0x22: "∀", 0x24: "∃", 0x27: "∋", 0x2A: "∗", 0x2D: "−", 0x40: "≅", 0x5C: "∴",
    0x5E: "⊥", 0x7E: "∼", 0xA0: "€",
}  # fmt: skip
_WINGDINGS = {
    0x21: "✏", 0x22: "✂", 0x28: "☎", 0x29: "✆", 0x2A: "✉", 0x45: "☜", 0x46: "☞", 0x47: "☝", 0x48: "☟", 0x4A: "☺",
    0x4B: "😐", 0x4C: "☹", 0x6C: "●", 0x6D: "❍", 0x6E: "■", 0x6F: "□", 0x71: "❑", 0x72: "❒", 0x75: "◆", 0x76: "❖",
    0x77: "◆", 0x9F: "•", 0xA0: "▪", 0xA1: "○", 0xA7: "▪", 0xA8: "☐", 0xAB: "★", 0xD8: "➢", 0xDF: "←", 0xE0: "→",
    0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xEF: "⇦", 0xF0: "⇨", 0xF1: "⇧", 0xF2: "⇩", 0xF3: "⬄", 0xFB: "✗", 0xFC: "✓",
    0xFD: "☒", 0xFE: "☑",
    **{0x81 + n: chr(0x2460 + n) for n in range(10)}, **{0x8C + n: chr(0x2776 + n) for n in range(10)},
}  # fmt: skip
_WINGDINGS_2 = {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA3: "☐"}


def symbol(code: int, font: str) -> str:
    """Returns the character that a font of symbols shows for a code; "" if it is not known."""
    font = font.lower()
    code = code - 0xF000 if 0xF000 <= code <= 0xF0FF else code
    if font.startswith("wingdings 2"):
        return _WINGDINGS_2.get(code, "")
    if font.startswith(("wingdings", "webdings")):
        return _WINGDINGS.get(code, "") if font == "wingdings" else ""
    if code in _SYMBOL and font.startswith("symbol"):
        return _SYMBOL[code]
    if 0xE000 <= code <= 0xF8FF or not 0x20 <= code < 0x110000 or 0xD800 <= code < 0xE000:
        return ""
    return chr(code)


def without_private(text: str, font: str) -> str:
    """Returns text in which codes of a symbol font are replaced by the characters that they show."""
    return _PRIVATE.sub(lambda found: symbol(ord(found[0]), font or "Symbol"), text) if not text.isascii() else text


MAX_NODES = 4000
MAX_FORMULA_CHARACTERS = 1 << 16
MAX_DEPTH = 60

_LEFT_OUT = ("annotation", "annotation-xml", "mphantom", "maligngroup", "malignmark", "mprescripts", "none")
_TOKENS = ("mi", "mn", "mo", "mtext", "ms")
_APART = re.compile(r"[=<>≤≥≈≡≠∼~→⇒⇔∈∉⊂⊆∪∩±×÷·∗+−-]")
_ATOM = re.compile(r"[−-]?(?:[\d.,]+|[^\W\d]+)")
_UNSEEN = re.compile("[\u2061-\u2064]")


@dataclass(slots=True)
class _Node:
    name: str
    parts: list[str] = field(default_factory=list)
    """The text of each child; for a token, its own text."""
    tokens: list[bool] = field(default_factory=list)
    """Whether each part is a token."""

    def add(self, part: str, *, is_token: bool) -> None:
        """Adds the text of a child."""
        self.parts.append(part)
        self.tokens.append(is_token)

    def line(self) -> str:
        """Returns its parts side by side; two numbers stay apart, unless both are tokens of digits."""
        line = ""
        last = -1
        for at, part in enumerate(self.parts):
            if part:
                is_one = at == last + 1 and self.tokens[at] and self.tokens[last]
                line += f" {part}" if digits_meet(line, part) and not is_one else part
                last = at
        return line


class Formula:
    """One formula while it is read."""

    def __init__(self) -> None:
        self._nodes = [_Node("math")]
        self._left_out = ""
        self._left_out_depth = 0
        self._count = self._characters = 0

    def start(self, name: str) -> None:
        """Takes a start tag."""
        name = name.rpartition(":")[2]
        if self._left_out:
            self._left_out_depth += name == self._left_out
        elif name in _LEFT_OUT:
            self._left_out, self._left_out_depth = name, 1
        else:
            self._count += 1
            if len(self._nodes) < MAX_DEPTH and self._count < MAX_NODES:
                self._nodes.append(_Node(name))

    def end(self, name: str) -> None:
        """Takes an end tag."""
        name = name.rpartition(":")[2]
        if self._left_out:
            self._left_out_depth -= name == self._left_out
            if not self._left_out_depth:
                self._left_out = ""
        elif any(node.name == name for node in self._nodes[1:]):
            while self._close() != name:
                pass

    def text(self, text: str) -> None:
        """Takes text."""
        text = _UNSEEN.sub("", " ".join(text.split()))
        if text and not self._left_out and self._count < MAX_NODES and self._characters < MAX_FORMULA_CHARACTERS:
            self._nodes[-1].add(text, is_token=True)
            self._characters += len(text)

    def line(self) -> str:
        """Returns the formula, which ends here."""
        while len(self._nodes) > 1:
            self._close()
        return " ".join(self._nodes[0].line().split())

    def _close(self) -> str:
        node = self._nodes.pop()
        written = _written(node)
        if node.name == "mo" and not self._nodes[-1].parts:  # a sign before a number
            written = written.strip()
        if written or node.name not in ("mrow", "mspace", "semantics", "mstyle"):
            self._nodes[-1].add(written, is_token=node.name in _TOKENS)
        return node.name


def _written(node: _Node) -> str:
    name, parts = node.name, node.parts
    if name == "mspace":
        return " "
    if name in _TOKENS:
        return _token(name, " ".join(parts))
    if name in _FORMS and len(parts) >= _FORMS[name][0]:
        return _FORMS[name][1].format(*parts, *map(_grouped, parts))
    if name == "msqrt":
        return f"√{_grouped(node.line())}"
    if name == "mfenced":
        return f"({', '.join(parts)})"
    if name in ("mtr", "mtable", "mlabeledtr"):
        return (", " if name != "mtable" else "; ").join(part for part in parts if part)
    return node.line()


def _token(name: str, text: str) -> str:
    if name == "mo" and _APART.fullmatch(text):
        return f" {text} "
    return f"{text} " if name == "mo" and text == "," else text


# By form: its number of parts, and the way to write them, with brackets around parts that need some.
_FORMS = {
    "msup": (2, "{2}^{3}"),
    "msub": (2, "{2}_{3}"),
    "msubsup": (3, "{3}_{4}^{5}"),
    "mover": (2, "{0}"),
    "munder": (2, "{0}_{3}"),
    "munderover": (3, "{0}_{4}^{5} "),
    "mfrac": (2, "{2}/{3}"),
    "mroot": (2, "{2}^(1/{1})"),
}


def _grouped(text: str) -> str:
    text = text.strip()
    inner = text[1:-1]
    is_one = (text[:1] == "(" and text[-1:] == ")" and not set(inner) & set("()")) or len(text) < 2
    return text if is_one or _ATOM.fullmatch(text) else f"({text})"


# By element of Office: its counterpart in MathML. An element that is not listed counts only for its content.
_ELEMENTS = {
    "sSup": "msup",
    "sSub": "msub",
    "sSubSup": "msubsup",
    "f": "mfrac",
    "limLow": "munder",
    "limUpp": "mover",
    "m": "mtable",
    "mr": "mtr",
    "eqArr": "mtable",
    **dict.fromkeys(("e", "sub", "sup", "num", "den", "lim", "fName"), "mrow"),
}
_MAX_OPEN = 200


class OfficeMath:
    """One formula while it is read."""

    def __init__(self) -> None:
        self._formula = Formula()
        self._open: list[str] = []
        self._properties = 0  # the number of open elements of properties
        self._signs: list[dict[str, str]] = []  # the signs of open brackets and sums
        self._parts: list[int] = []  # the number of parts so far in each open bracket
        self._degrees: list[str] = []  # the degrees of open roots

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if self._properties or name.endswith("Pr"):
            self._properties += 1
            if self._signs and name in ("begChr", "endChr", "sepChr", "chr"):
                self._signs[-1][name] = attributes.get("val", "")[:1]
            return
        if len(self._open) >= _MAX_OPEN:
            self._open.append("")
            return
        if name in ("d", "nary"):
            self._signs.append({})
            self._parts.append(0)
        elif name == "rad":
            self._degrees.append("")
        self._begin_part(self._open[-1] if self._open else "", name)
        self._open.append(name)
        if name in _ELEMENTS:
            self._formula.start(_ELEMENTS[name])
        elif name == "t":
            self._formula.start("mtext")

    def _begin_part(self, holder: str, name: str) -> None:
        """Writes the sign before a part of a bracket, of a sum or of a root."""
        if holder == "d" and name == "e":
            signs, count = self._signs[-1], self._parts[-1]
            self._sign(signs.get("sepChr", "|") if count else signs.get("begChr", "("))
            self._parts[-1] += 1
        elif holder == "nary":
            if not self._parts[-1]:
                self._sign(self._signs[-1].get("chr", "∫"))
            self._parts[-1] = 1
            self._sign({"sub": "_", "sup": "^"}.get(name, ""))
        elif holder == "rad" and name == "e":
            self._formula.start("mroot" if self._degrees[-1] else "msqrt")

    def end(self, name: str) -> bool:
        """Takes an end tag; returns whether the formula ends with it."""
        if self._properties:
            self._properties -= 1
            return False
        if not self._open:
            return True
        opened = self._open.pop()
        if not opened:
            return False
        if name in _ELEMENTS:
            self._formula.end(_ELEMENTS[name])
        elif name == "t":
            self._formula.end("mtext")
        if name == "e" and self._open and self._open[-1] == "rad":
            self._sign(self._degrees[-1])
            self._formula.end("mroot" if self._degrees[-1] else "msqrt")
        elif name == "rad" and self._degrees:
            self._degrees.pop()
        elif name == "d" and self._signs:
            signs, count = self._signs.pop(), self._parts.pop()
            self._sign(("" if count else signs.get("begChr", "(")) + signs.get("endChr", ")"))
        elif name == "nary" and self._signs:
            self._signs.pop()
            self._parts.pop()
        return False

    def text(self, text: str) -> None:
        """Takes text."""
        if self._properties or not self._open or self._open[-1] != "t":
            return
        if "deg" in self._open[-4:]:
            self._degrees[-1] = (self._degrees[-1] + text.strip())[:20]
        else:
            self._formula.text(text)

    def line(self) -> str:
        """Returns the formula."""
        return self._formula.line()

    def _sign(self, sign: str) -> None:
        if sign:
            self._formula.start("mtext")
            self._formula.text(sign)
            self._formula.end("mtext")


MAX_FIELD_CHARACTERS = 4000
_MAX_FIELD_DEPTH = 20
_FIELD = re.compile(r"\s*(EQ|SYMBOL)\b\s*(.*)", re.IGNORECASE | re.DOTALL)
_FIELD_LOOK = re.compile(r"\\\*\s*(?:\"[^\"]*\"|\w+)\s*")
_FIELD_SWITCH = re.compile(r"\\([a-zA-Z]+)\s?(-?\d*)\s*|\\(.)|(.)", re.DOTALL)
_SYMBOL_FIELD = re.compile(r"(0x[0-9a-f]+|\d+)", re.IGNORECASE)
_SYMBOL_FONT = re.compile(r"\\f\s*\"?([^\"\\]+)", re.IGNORECASE)


def field_shown(code: str) -> str:
    r"""Returns the text that Word shows for the code of a field `EQ` or `SYMBOL`, "" for another.

    Args:
        code: `EQ \f(1,2)` for a half, for example, or `SYMBOL 109 \f "Symbol"` for a Greek letter.
    """
    found = _FIELD.match(code[:MAX_FIELD_CHARACTERS])
    if found is None:
        return ""
    if found[1].upper() == "EQ":
        return " ".join(_Equation(_FIELD_LOOK.sub("", found[2])).line().split())
    number = _SYMBOL_FIELD.match(found[2])
    font = _SYMBOL_FONT.search(found[2])
    if number is None:
        return ""
    return symbol(int(number[1], 16 if number[1][:2].lower() == "0x" else 10), font[1].strip() if font else "Symbol")


class _Equation:
    """A reader of the code of a field `EQ`."""

    def __init__(self, code: str) -> None:
        self._tokens = [found.groups(default="") for found in _FIELD_SWITCH.finditer(code)]
        self._at = 0

    def line(self, depth: int = 0) -> str:
        """Returns the text up to the end of an argument, or of the code."""
        written, switches = "", ""
        while self._at < len(self._tokens):
            word, _, escaped, character = self._tokens[self._at]
            if character in (",", ";", ")") and depth:
                break
            self._at += 1
            if word:
                switches += f" {word.lower()}"
            elif character == "(" and switches and depth < _MAX_FIELD_DEPTH:
                piece = _form(switches.split(), self._arguments(depth), written[-1:])
                written += f" {piece}" if digits_meet(written, piece) else piece
                switches = ""
            elif not switches or not (escaped or character.isspace()):  # an escaped sign belongs to its switch
                written += character or escaped
        return written

    def _arguments(self, depth: int) -> list[str]:
        found = []
        while self._at < len(self._tokens):
            found.append(self.line(depth + 1).strip())
            self._at += 1
            if self._tokens[self._at - 1 : self._at] and self._tokens[self._at - 1][3] == ")":
                break
        return found


def _form(switches: list[str], arguments: list[str], before: str) -> str:
    """Returns the text for arguments and the switches before them."""
    what = switches[0]
    if what == "f" and len(arguments) > 1:
        return f"{_grouped(arguments[0])}/{_grouped(arguments[1])}"
    if what == "r":
        return f"√{_grouped(arguments[0])}" if len(arguments) < 2 else f"{_grouped(arguments[1])}^(1/{arguments[0]})"
    if what == "s" and switches[-1].startswith("up"):
        return superscript(before or "x", arguments[0])
    if what == "s" and switches[-1].startswith("do"):
        return subscript(before or "x", arguments[0])
    if what == "o" and len(arguments) > 1 and arguments[0].startswith("^"):  # a word with its reading above it
        return f"{arguments[1]} ({arguments[0][1:].strip('()')})"
    if what == "b":
        return f"({arguments[0]})"
    if what == "i" and len(arguments) > 2:
        return f"∫_{_grouped(arguments[0])}^{_grouped(arguments[1])} {arguments[2]}"
    return (", " if what in ("a", "l") else "").join(arguments)

"""MathML to a line of text: `E = mc^2`, `(a+b)/(2a)`; the other forms that a formula is kept in beside it are left out.

Pure. In: tags and text between <math> and </math>, as they come. Out: one line. What is larger or deeper than a formula
in a text is given as its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MOST_NODES = 4000
MOST_DEPTH = 60

_LEFT_OUT = ("annotation", "annotation-xml", "mphantom", "maligngroup", "malignmark", "mprescripts", "none")
_TOKENS = ("mi", "mn", "mo", "mtext", "ms")
_APART = re.compile(r"[=<>≤≥≈≡≠∼~→⇒⇔∈∉⊂⊆∪∩±×÷·∗+−-]")  # noqa: RUF001 - signs as they are printed
_ONE = re.compile(r"[−-]?(?:[\d.,]+|[^\W\d]+)")  # noqa: RUF001 - a minus sign
_UNSEEN = re.compile("[\u2061-\u2064]")


@dataclass(slots=True)
class _Node:
    name: str
    parts: list[str] = field(default_factory=list)
    """What its children are written as; of a token, its text."""


class Formula:
    """One formula in the making."""

    def __init__(self) -> None:
        self._nodes = [_Node("math")]
        self._left_out = ""
        self._left_out_depth = 0
        self._count = 0
        self._words: list[str] = []

    def start(self, name: str) -> None:
        """Takes a start tag."""
        name = name.rpartition(":")[2]
        if self._left_out:
            self._left_out_depth += name == self._left_out
        elif name in _LEFT_OUT:
            self._left_out, self._left_out_depth = name, 1
        else:
            self._count += 1
            if len(self._nodes) < MOST_DEPTH and self._count < MOST_NODES:
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
        if text and not self._left_out and self._count < MOST_NODES:
            self._nodes[-1].parts.append(text)

    def line(self) -> str:
        """Returns the formula, which ends here."""
        while len(self._nodes) > 1:
            self._close()
        return " ".join("".join(self._nodes[0].parts).split())

    def _close(self) -> str:
        node = self._nodes.pop()
        written = _written(node)
        if node.name == "mo" and not self._nodes[-1].parts:  # a sign before a number
            written = written.strip()
        if written or node.name not in ("mrow", "mspace", "semantics", "mstyle"):
            self._nodes[-1].parts.append(written)
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
        return f"√{_grouped(''.join(parts))}"
    if name == "mfenced":
        return f"({', '.join(parts)})"
    if name in ("mtr", "mtable", "mlabeledtr"):
        return (", " if name != "mtable" else "; ").join(part for part in parts if part)
    return "".join(parts)


def _token(name: str, text: str) -> str:
    if name == "mo" and _APART.fullmatch(text):
        return f" {text} "
    return f"{text} " if name == "mo" and text == "," else text


# How many parts a form has, and how it is written of them, and of them in brackets where they need some.
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
    return text if is_one or _ONE.fullmatch(text) else f"({text})"

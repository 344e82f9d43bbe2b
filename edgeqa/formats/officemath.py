"""Formulas of Office to a line of text, by way of MathML: `E = mc^2`, `(a+b)/(2a)`.

Pure. In: tags and text within <m:oMath>, as they come. Out: one line.
"""

from __future__ import annotations

from edgeqa.formats.mathml import Formula

# What an element of Office is in MathML; what is not named here is only what it holds.
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
_MOST_DEPTH = 200


class OfficeMath:
    """One formula in the making."""

    def __init__(self) -> None:
        self._formula = Formula()
        self._open: list[str] = []
        self._properties = 0  # elements of properties that are open
        self._signs: list[dict[str, str]] = []  # of brackets and of sums: what they are written with
        self._parts: list[int] = []  # how many parts within brackets there were
        self._degrees: list[str] = []  # of roots

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Takes a start tag."""
        if self._properties or name.endswith("Pr"):
            self._properties += 1
            if self._signs and name in ("begChr", "endChr", "sepChr", "chr"):
                self._signs[-1][name] = attributes.get("val", "")[:1]
            return
        if len(self._open) >= _MOST_DEPTH:
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
        """Writes what stands before a part of brackets, of a sum or of a root."""
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

"""HTML: this module takes a page apart into text and tags, and knows the meaning of elements and the encoding.

In: a page, cut anywhere. Out: text as str, and `Tag`s; style sheets are text between their tags. It reads in one pass,
in linear time, and holds only tags and elements that have not ended yet, so that neither the size nor the nesting of a
page takes memory. It builds no tree and never fails: anything that is no tag is text, as in browsers. An encoding is
declared only by a byte order mark, an XML declaration, or the attributes made for it. The rules for elements come from
the HTML standard ("optional tags", "scope"), as far as text needs them: which elements begin blocks, which end others
by their beginning, and which are not shown.
"""

from __future__ import annotations

import codecs
import html
import re
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.formats import checked, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# This matches text and a whole tag after it. Anything else is taken step by step, with the same result: a tag ends at
# the first ">" that is not in quotes, and quotes count only as the value of an attribute.
_TEXT_AND_TAG = re.compile(
    r"""([^<]*)<(/?)([a-zA-Z][^\s/>]{0,63})((?=[\s/>])[^>=]*(?:=\s{0,99}(?:"[^"]*"|'[^']*'|(?![\s"']))[^>=]*)*)>"""
)
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,63})")
_SEVERAL = re.compile("<+(?=<)")
_TAG_END = re.compile(r"""[>]|=\s{0,99}["']""")
_ASSIGNED = re.compile(r"=\s{0,99}\Z")
_COMMENT_END = re.compile("-->|(?<!<!)--!>")  # browsers end comments so
_DECLARATION_END = re.compile(">")
_CDATA_END = re.compile("]]>")
_DOCTYPE = re.compile(r"""[^\[>]*(?:\[(?:[^\]"']|"[^"]*"|'[^']*')*\]\s*)?>""")
_ENTITY = re.compile(r"""<!ENTITY\s+([\w.-]{1,64})\s+("[^"<]{0,1000}"|'[^'<]{0,1000}')\s*>""")
_ENTITY_REFERENCE = re.compile(r"&([\w.-]{1,64});")
MAX_DOCTYPE_CHARACTERS = 1 << 14
MAX_ENTITIES = 200
_MAX_END_CHARACTERS = 4
_REFERENCE = re.compile(r"&[#a-zA-Z0-9]{0,40}\Z")
_MAX_OPENING_CHARACTERS = 80  # so many characters after "<" are enough to know what begins there
_ATTRIBUTE = re.compile(r"""([^\s"'>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*)))?""")
MAX_ATTRIBUTE_CHARACTERS = 1 << 14  # the rest of a tag's attributes is not read
# These elements hold no tags but their own end. Nobody sees their content, except for titles and examples.
_RAW = ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
_RAW_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _RAW}


class Tag(NamedTuple):
    """A tag, its name in lower case."""

    name: str
    is_end: bool
    source: str = ""
    """Its attributes as they are written."""

    def attributes(self) -> dict[str, str]:
        """Returns the attributes by their names in lower case; "" for one without a value."""
        found: dict[str, str] = {}
        for name, *values in _ATTRIBUTE.findall(self.source):
            found.setdefault(name.lower(), unescape("".join(values)))
        return found


class Tokenizer:
    """Takes one page apart."""

    def __init__(self, *, is_xml: bool = False) -> None:
        """Begins a page.

        Args:
            is_xml: whether a tag may end itself (`<title/>`), and `<![CDATA[` is text.
        """
        self._is_xml = is_xml
        self._held = ""
        self._place = 0
        self._is_last = False
        self._state: Callable[[], Iterator[str | Tag]] = self._text
        self._tag = Tag("", is_end=False)
        self._attributes: list[str] = []  # the attributes of a tag that is taken step by step
        self._attribute_characters = 0
        self._quote = ""
        self._raw = ""
        self._entities: dict[str, str] = {}  # the entities that the page defines

    def feed(self, piece: str, *, is_last: bool = False) -> Iterator[str | Tag]:
        """Yields the finished tags and the text between them, with its references resolved."""
        self._is_last = is_last
        self._held, self._place = self._held[self._place :] + piece, 0
        while True:
            state, place = self._state, self._place
            yield from state()
            if self._state == state and self._place == place:
                return

    def _text(self) -> Iterator[str | Tag]:
        held, place = self._held, self._place
        while (found := _TEXT_AND_TAG.match(held, place)) is not None:
            text, slash, name, attributes = found.groups()
            self._place = place = found.end()
            if text:
                yield self._unescaped(text) if "&" in text else text
            yield from self._whole(Tag(name.lower(), slash == "/", attributes[:MAX_ATTRIBUTE_CHARACTERS]))
            if self._raw:
                return
        opening = held.find("<", place)
        if opening < 0:
            opening = self._text_end(place, len(held))
        if opening > place:
            self._place = opening
            yield self._unescaped(held[place:opening])
        elif (
            place < len(held) and held[place] == "<" and (self._is_last or len(held) - place > _MAX_OPENING_CHARACTERS)
        ):
            yield from self._opening()

    def _opening(self) -> Iterator[str | Tag]:
        held, place = self._held, self._place
        if (tag := _TAG.match(held, place)) is not None:
            self._tag = Tag(tag[2].lower(), is_end=bool(tag[1]))
            self._place, self._state = tag.end(), self._in_tag
            self._attributes, self._attribute_characters = [], 0
        elif held.startswith("<!--", place):
            self._place, self._state = place + 2, self._comment  # "<!-->" is a whole comment
        elif self._is_xml and held.startswith("<![CDATA[", place):
            self._place, self._state = place + 9, self._cdata
        elif self._is_xml and held.startswith("<!DOCTYPE", place):
            self._place, self._state = place + 2, self._doctype
        elif held.startswith(("<!", "<?", "</"), place):
            self._place, self._state = place + 2, self._declaration
        else:
            several = _SEVERAL.match(held, place)
            self._place = several.end() if several else place + 1
            yield held[place : self._place]

    def _in_tag(self) -> Iterator[str | Tag]:
        held, place = self._held, self._place
        if self._quote:
            end = held.find(self._quote, place)
            self._place = end + 1 if end >= 0 else len(held)
            self._quote = "" if end >= 0 else self._quote
        elif (found := _TAG_END.search(held, place)) is None:
            # The sign before the end may end the tag itself; an assignment may go on with a quote.
            assigned = _ASSIGNED.search(held, place)
            self._place = assigned.start() if assigned and not self._is_last else max(place, len(held) - 1)
        elif found.group() != ">":
            self._place, self._quote = found.end(), found.group()[-1]
        else:
            self._place, self._state = found.end(), self._text
            self._keep(place, found.start())
            yield from self._whole(self._tag._replace(source="".join(self._attributes)))
            return
        self._keep(place, self._place)

    def _keep(self, begin: int, end: int) -> None:
        """Notes a part of a tag's attributes."""
        if self._attribute_characters < MAX_ATTRIBUTE_CHARACTERS:
            taken = self._held[begin : min(end, begin + MAX_ATTRIBUTE_CHARACTERS - self._attribute_characters)]
            self._attributes.append(taken)
            self._attribute_characters += len(taken)

    def _whole(self, tag: Tag) -> Iterator[Tag]:
        """Yields a tag that ended before `_place`."""
        yield tag
        if tag.is_end:
            return
        # In HTML no element ends itself; but one that holds no tags would swallow the rest of the page.
        if self._held[self._place - 2] == "/" and (self._is_xml or tag.name in _RAW_END):
            yield Tag(tag.name, is_end=True)
        elif tag.name in _RAW_END:
            self._raw, self._state = tag.name, self._in_raw

    def _in_raw(self) -> Iterator[str | Tag]:
        held, place = self._held, self._place
        found = _RAW_END[self._raw].search(held, place)
        if found is not None:
            end, self._state = found.start(), self._text
        else:
            end = len(held) if self._is_last else max(place, len(held) - len(self._raw) - 2)
        if self._raw == "title":
            end = end if found else self._text_end(place, end)
            yield self._unescaped(held[place:end])
        elif self._raw in ("style", "xmp") and end > place:
            yield held[place:end]
        self._place = end
        if found is not None:
            self._raw = ""

    def _text_end(self, place: int, end: int) -> int:
        """Returns the end of the text from `place` to `end`, without a reference at its end that may go on."""
        reference = None if self._is_last else _REFERENCE.search(self._held, max(place, end - 42), end)
        return reference.start() if reference else end

    def _comment(self) -> Iterator[str | Tag]:
        return self._past(_COMMENT_END)

    def _declaration(self) -> Iterator[str | Tag]:
        return self._past(_DECLARATION_END)

    def _doctype(self) -> Iterator[str | Tag]:
        """Takes the declaration at the beginning of an XML document, and its definitions."""
        held, place = self._held, self._place
        if (found := _DOCTYPE.match(held, place)) is not None:
            for name, value in _ENTITY.findall(held[place : found.end()])[:MAX_ENTITIES]:
                self._entities.setdefault(name, value[1:-1])
            self._place, self._state = found.end(), self._text
        elif self._is_last or len(held) - place > MAX_DOCTYPE_CHARACTERS:
            self._state = self._declaration
        return iter(())

    def _unescaped(self, text: str) -> str:
        """Returns `text` with the characters that its references mean."""
        if self._entities:
            text = _ENTITY_REFERENCE.sub(lambda found: self._entities.get(found[1], found[0]), text)
        return unescape(text)

    def _cdata(self) -> Iterator[str | Tag]:
        before = self._place
        yield from self._past(_CDATA_END)
        end = self._place - (3 if self._state == self._text else 0)
        if end > before:
            yield self._held[before:end]

    def _past(self, end: re.Pattern[str]) -> Iterator[str | Tag]:
        """Goes on behind `end`, or to where it may begin."""
        found = end.search(self._held, self._place)
        if found is not None:
            self._place, self._state = found.end(), self._text
        else:
            self._place = max(self._place, len(self._held) - _MAX_END_CHARACTERS + 1)
        return iter(())


_TOO_LONG = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")  # no character; Python would refuse the number


def unescape(text: str) -> str:
    """Returns `text` with characters in the place of references; all other text stays."""
    if "&" not in text:
        return text
    return html.unescape(_TOO_LONG.sub("\ufffd", text))


_DECLARED_XML = re.compile(rb"""\A\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:-]+)""", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_DECLARED_WITHIN_BYTES = 1 << 14
_BOMS_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LEGACY = re.compile(
    r"cp(125\d|866|874|932|936|949|950)|iso8859-\d+|koi8-[ru]|shift_jis|euc_(jp|kr)|gb2312|gbk|gb18030|big5(hkscs)?"
    r"|mac-(roman|cyrillic)|iso2022_jp|tis-620"
)
# Browsers know encodings that Python does not, and read some names as larger encodings that include the named one.
_LABELS = {
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "ks_c_5601-1987": "cp949",
    "windows-949": "cp949",
    "x-x-big5": "big5hkscs",
    "x-mac-roman": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "dos-874": "cp874",
    "iso-8859-8-i": "iso8859-8",
    "x-cp1250": "cp1250",
    "x-cp1251": "cp1251",
    "x-cp1252": "cp1252",
}
_LARGER = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}


IN_WINDOWS = "edgeqa-in-windows"
"""A treatment of bytes that are no UTF-8 in a page that should be: they are read as Windows-1252."""


def _in_windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(IN_WINDOWS, _in_windows)


def decode_page(blocks: Iterator[bytes], name: str, errors: str = "strict") -> Iterator[str]:
    """Yields the page's source, in the encoding that it declares, else UTF-8.

    Args:
        blocks: the page.
        name: its name in an error.
        errors: the treatment of bytes that are no UTF-8 in a page that should be; an error by default.

    Raises:
        ContextError: naming `name` and the offset of the first bytes that are no text.
    """
    first = next(blocks, b"")
    whole = chain([first], blocks)
    if first.startswith(_BOMS_UTF16):
        return codecs.iterdecode(whole, "utf-16", errors="replace")
    encoding = "" if first.startswith(codecs.BOM_UTF8) else _declared(first[:_DECLARED_WITHIN_BYTES])
    known = known_encoding(encoding)
    if not _LEGACY.fullmatch(known):
        return (
            decode(whole, name) if errors == "strict" else codecs.iterdecode(checked(whole, name), "utf-8-sig", errors)
        )
    return codecs.iterdecode(checked(whole, name), known, errors="replace")


def known_encoding(label: str) -> str:
    """Returns the encoding that a browser uses for this name; UTF-8 for an unknown name."""
    try:
        known = codecs.lookup(_LABELS.get(label, label)).name
    except (LookupError, ValueError):
        known = "utf-8"
    return _LARGER.get(known, known)


def _declared(head: bytes) -> str:
    """Returns the name of the encoding that a page's beginning declares; "" if it declares none."""
    if (found := _DECLARED_XML.match(head)) is not None:
        return found[1].decode("ascii", "replace").lower()
    for token in Tokenizer().feed(head.decode("latin-1")):
        if isinstance(token, Tag) and token.name == "meta" and not token.is_end:
            attributes = token.attributes()
            if encoding := attributes.get("charset", "").strip():
                return encoding.lower()
            if attributes.get("http-equiv", "").strip().lower() == "content-type":
                declared = _CHARSET.search(attributes.get("content", ""))
                if declared is not None:
                    return declared[1].lower()
    return ""


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


MAX_DEPTH = 200  # elements are told apart to this depth

VOID = _names(
    "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr"
)
HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
LISTS = frozenset(("ul", "ol", "menu", "dl", "dir", "details"))
BLOCKS = _names(
    "address article aside blockquote body caption center dialog div fieldset figcaption figure footer form header "
    "hgroup legend main nav p search section"
)
TABLE_PARTS = frozenset(("caption", "thead", "tbody", "tfoot", "tr", "td", "th"))
MAIN = frozenset(("main", "article"))  # these are never left out: an end tag before them was forgotten
_WITHOUT_PLACE = _names("rp del script textarea iframe noembed noframes")
IN_LINES = _names(
    "a abbr b bdi bdo big cite code data dfn em font i ins kbd label mark q rt ruby s samp small span strike strong "
    "sub sup time tt u var"
)
LEFT_OUT = _WITHOUT_PLACE | _names(
    "nav svg noscript template select button object canvas audio video datalist applet map"
)
"""Elements that nobody sees, that operate the page, or that mark deleted text."""
KNOWN = (
    BLOCKS
    | HEADINGS
    | LISTS
    | TABLE_PARTS
    | LEFT_OUT
    | _names("a br dd dt hr li link listing math p pre q rt rtc ruby style sub summary sup table title xmp")
)
"""Elements that change the writing of text, even without attributes."""
ELEMENTS = (
    KNOWN
    | VOID
    | IN_LINES
    | _names(
        "abbr acronym annotation blink colgroup font foreignobject g head html input label marquee meter nobr optgroup "
        "option output path picture plaintext portal progress rb slot tbody tfoot thead title xml"
    )
)
"""The elements of HTML, and those of SVG and MathML that are often found in it."""

_BREAKS_OUT = _names("blockquote body center code div dl h1 h2 h3 h4 h5 h6 head hr li main ol p pre section table ul")
"""Elements that end an <svg> or <math> whose end tag was forgotten, as in browsers."""
_NO_CONTROL = _names("article dl h1 h2 h3 h4 h5 h6 main ol p pre section table ul")
"""Elements that no button holds: its end tag was forgotten."""
ENDS_PARAGRAPH = (BLOCKS - {"body", "caption"}) | HEADINGS | LISTS | _names("dd dt hr li listing pre summary table xmp")
_CLOSED_BY: Mapping[str, tuple[str, ...]] = {
    "li": ("li",),
    "dt": ("dt", "dd"),
    "dd": ("dt", "dd"),
    "td": ("td", "th"),
    "th": ("td", "th"),
    "tr": ("tr", "caption"),
    "thead": ("thead", "tbody", "tfoot", "tr", "caption"),
    "tbody": ("thead", "tbody", "tfoot", "tr", "caption"),
    "tfoot": ("thead", "tbody", "tfoot", "tr", "caption"),
    "caption": ("caption",),
    "rt": ("rt", "rp"),
    "rp": ("rt", "rp"),
    "rtc": ("rt", "rp", "rtc"),
    "button": ("button",),
    **{name: tuple(HEADINGS) for name in HEADINGS},
}
# These are barriers: an element outside of one is not ended by the begin or end of an element inside.
_CELLS = frozenset(("td", "th", "caption", "table"))
_BARRIERS: Mapping[str, frozenset[str]] = {
    "li": LISTS | _CELLS,
    "dt": LISTS | _CELLS,
    "dd": LISTS | _CELLS,
    **{name: frozenset(("table",)) for name in TABLE_PARTS},
    "table": frozenset(),
    "rt": frozenset(("ruby", "rtc")),
    "rp": frozenset(("ruby",)),
    "rtc": frozenset(("ruby",)),
}


class OpenElements:
    """The open elements that matter, outermost first; never more than MAX_DEPTH."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._counts: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return bool(self._counts.get(name))

    def push(self, name: str) -> None:
        """Begins an element."""
        self.names.append(name)
        self._counts[name] = self._counts.get(name, 0) + 1

    def pop(self) -> str:
        """Ends the innermost element, and returns its name."""
        name = self.names.pop()
        self._counts[name] -= 1
        return name

    def ended_by(self, name: str) -> int:
        """Returns the number of open elements that end where an element of this name begins."""
        ended = 0
        if "p" in self and (name in ENDS_PARAGRAPH or name == "p"):
            ended = self._from(("p",), _CELLS)
        if name in _CLOSED_BY:
            ended = max(ended, self._from(_CLOSED_BY[name], _BARRIERS.get(name, _CELLS)))
        return ended

    def ended_with(self, name: str) -> int:
        """Returns the number of open elements that end with the end tag of this name; 0 if it ends none."""
        return self._from(tuple(HEADINGS) if name in HEADINGS else (name,), _BARRIERS.get(name, _CELLS))

    def _from(self, names: tuple[str, ...], barriers: frozenset[str]) -> int:
        """Returns the number of elements from the outermost one with such a name on, as far as the next barrier."""
        counts = self._counts
        for name in names:
            if counts.get(name):
                break
        else:
            return 0
        found = 0
        for count, name in enumerate(reversed(self.names), 1):
            if name in names:
                found = count
                if len(names) == 1:
                    break
            elif name in barriers:
                break
        return found


def breaks_out(name: str, root: str) -> bool:
    """Tells whether the beginning of this element shows that the hidden element `root` has ended before."""
    if root in ("svg", "math"):
        return name in _BREAKS_OUT
    return name in (_NO_CONTROL if root == "button" else MAIN)


_OUT_OF_SIGHT = re.compile(  # far away, or clipped to nothing: only screen readers get it
    r"position:(?:absolute|fixed)[^\"]*(?:left|top):-\d{4,}px|(?:left|top):-\d{4,}px[^\"]*position:(?:absolute|fixed)"
    r"|(?:^|;)clip:rect\((?:(?:0|0px|1px),?){4}\)|(?:^|;)clip-path:inset\((?:50|100)%"
)
_STYLE = re.compile(
    r"(?:^|;)(?:mso-hide:all|content-visibility:hidden)"
    r"|(?:^|;)(?:max-)?height:0(?:px)?(?:;|!|$).*overflow:hidden|overflow:hidden.*;(?:max-)?height:0(?:px)?(?:;|!|$)"
)
_NO_SIZE = re.compile(r"0(?:\.0*)?(?:px|pt|em|rem|%)?")
# Classes that common style sheets put out of sight, and the links to the editor in Wikipedia's pages.
_UNSEEN_CLASSES = frozenset(
    ("sr-only", "visually-hidden", "screen-reader-text", "element-invisible", "mw-editsection", "mw-jump-link")
)
_MAX_STYLE_CHARACTERS = 2000
_ALWAYS_SHOWN = ("html", "body")
_FORMULA_CLASSES = ("mwe-math", "katex-mathml")  # Wikipedia and KaTeX hide these behind a picture of the formula


def hides(name: str, attributes: Mapping[str, str], sheet: StyleSheet, outer: Sequence[frozenset[str]] = ()) -> bool:
    """Tells whether an element is not shown, by its attributes or the page's own style sheets.

    Args:
        name: of the element.
        attributes: of it.
        sheet: of the page.
        outer: the marks of the elements around it, outermost first.
    """
    if name in _ALWAYS_SHOWN:
        return False
    classes = attributes.get("class", "")
    if any(mark in classes for mark in _FORMULA_CLASSES):
        return False
    if classes and not _UNSEEN_CLASSES.isdisjoint(classes.split()):
        return True
    if attributes.get("hidden", "until-found").strip().lower() != "until-found":
        return True
    if attributes.get("aria-hidden", "").strip().lower() == "true" or (name == "dialog" and "open" not in attributes):
        return True
    role = attributes.get("role", "").strip().lower()
    if "popover" in attributes or role in ("navigation", "doc-pagebreak") or "pagebreak" in _kinds(attributes):
        return True
    style = written(attributes.get("style", ""))
    if style and (_is_hidden(style) or _STYLE.search(style)):
        return True
    if style and name in IN_LINES | {"p"} and _NO_SIZE.fullmatch(value(style, "font-size")):
        return True  # the content of other elements often has a size of its own
    return sheet.hides(marks_of(name, attributes), outer)


def _is_hidden(style: str) -> bool:
    return bool(
        value(style, "display") == "none" or value(style, "visibility") in _UNSEEN or _OUT_OF_SIGHT.search(style)
    )


def marks_of(name: str, attributes: Mapping[str, str]) -> frozenset[str]:
    """Returns the marks of an element: its name, its id and its classes."""
    identity = attributes.get("id", "")
    return frozenset(
        (name, *((f"#{identity}",) if identity else ()), *(f".{one}" for one in attributes.get("class", "").split()))
    )


def leaves_gap(name: str, attributes: Mapping[str, str]) -> bool:
    """Tells whether a hidden element leaves a gap in its line, as if something were there."""
    return name not in _WITHOUT_PLACE and (name not in IN_LINES or "visibility" in attributes.get("style", ""))


def _kinds(attributes: Mapping[str, str]) -> list[str]:
    """Returns the type of a book's element, in EPUB's words."""
    return attributes.get("epub:type", "").split()


# The next functions read declarations of style, from an attribute or from between the braces of a rule.

_VALUE = re.compile(
    r"(?:^|;)(display|visibility|vertical-align|position|top|bottom|font-size|font-variant-position|list-style(?:-type)?)"
    r":([^;!]*)(!important)?"
)
_SMALL = re.compile(r"smaller|x-small|xx-small|(\d*\.?\d+)(em|rem|%)")
_MAX_SMALL = {"em": 0.9, "rem": 0.9, "%": 90.0}
_LIST_STYLE = re.compile(r"none|disc|circle|square|decimal|(?:lower|upper)-(?:alpha|latin|roman)")
_LENGTH = re.compile(r"(-?\d*\.?\d+)(px|pt|em|rem|ex|%)")
_RAISES = {"px": 3.0, "pt": 2.5, "em": 0.25, "rem": 0.25, "ex": 0.5, "%": 20.0}  # moved so far, text is raised
_UNSEEN = ("hidden", "collapse")
_DISPLAYED = {
    **dict.fromkeys(("block", "flex", "grid", "list-item", "flow-root"), "block"),
    "table": "table",
    "table-row": "row",
    "table-cell": "cell",
}


def written(style: str) -> str:
    """Returns declarations in a normal form: in small letters, without blanks and comments."""
    return "".join(_without_comments(style[:_MAX_STYLE_CHARACTERS]).lower().split())


def value(style: str, name: str) -> str:
    """Returns the value that `written` declarations give to `name`; "" if they give none."""
    found, is_important = "", False
    for match in _VALUE.finditer(style):
        if match[1] == name and (match[3] or not is_important):
            found, is_important = match[2], bool(match[3])
    return found


def shown_as(style: str) -> str:
    """Returns the effect of `written` declarations on an element of a line: "sup", "block" and others; "" for none."""
    aligned = value(style, "vertical-align")
    moved = _moved(aligned)
    if not moved and value(style, "position") == "relative":
        moved = _moved(value(style, "bottom")) or -_moved(value(style, "top"))
    if moved or aligned in ("super", "sub"):
        return "sup" if moved > 0 or aligned == "super" else "sub"
    if (variant := value(style, "font-variant-position")) in ("super", "sub"):
        return "sup" if variant == "super" else "sub"
    if aligned in _AT_AN_EDGE and _is_small(value(style, "font-size")):
        return _AT_AN_EDGE[aligned]
    return _DISPLAYED.get(value(style, "display"), "")


_AT_AN_EDGE = {"top": "sup", "text-top": "sup", "bottom": "sub", "text-bottom": "sub"}


def _is_small(size: str) -> bool:
    found = _SMALL.fullmatch(size)
    return found is not None and (not found[1] or 0 < float(found[1]) <= _MAX_SMALL[found[2]])


def list_style(style: str) -> str:
    """Returns the marker of a list's items that a style declares; "" if it declares none."""
    found = _LIST_STYLE.search(value(style, "list-style-type") or value(style, "list-style"))
    return found[0] if found else ""


def _moved(length: str) -> int:
    """Returns 1 for a length that raises text, -1 for one that lowers it, else 0."""
    found = _LENGTH.fullmatch(length)
    if found is None or abs(float(found[1])) < _RAISES[found[2]]:
        return 0
    return 1 if float(found[1]) > 0 else -1


MAX_SHEET_CHARACTERS = 1 << 18
MAX_SELECTORS = 1 << 14
MAX_STEPS = 1 << 22  # of the search among the elements around others, in one page
_SIMPLE = re.compile(r"([a-z][a-z0-9]*)?((?:[.#][\w-]+){0,4})")
_NESTED = re.compile(r"\s*(>)\s*|\s+")
_MAX_NESTED = 4  # elements within each other in one rule
_NAMED = re.compile(r"[.#][\w-]+")
_FOR_SCREENS = re.compile(r"\s*@(?:media\s+(?:only\s+)?(?:screen|all)|supports\b[^{]*|layer\b[^{]*)\s*", re.IGNORECASE)
_MATTERS = re.compile(r"display|visibility|vertical-align|position|clip|list-style", re.IGNORECASE)
_IMPORT = re.compile(r"@import\s+(?:url\(\s*)?[\"']?([^\"')\s;]{1,500})", re.IGNORECASE)


class _Within(NamedTuple):
    """A rule for an element within others."""

    marks: frozenset[str]
    outer: tuple[tuple[frozenset[str], bool], ...]
    """The elements around it, innermost first: the marks of each, and whether none may lie between."""
    effect: str


class StyleSheet:
    """The plain rules of a page's style sheets: for an element, a class, an id, or several of these together.

    A rule for an element within others counts if it names a class or an id. An element that one rule hides and another
    rule shows again, as that of an open tab or menu, counts as shown: people can get to it.
    """

    def __init__(self) -> None:
        self._rules: dict[frozenset[str], str] = {}  # by an element's marks: "hidden" or its effect
        self._lists: dict[frozenset[str], str] = {}  # by a list's marks: how its items are marked
        self._shown: set[str] = set()
        self._several: list[frozenset[str]] = []  # those rules that need several marks
        self._within: dict[str, list[_Within]] = {}  # by one of the element's marks
        self._steps = 0
        self.elements: set[str] = set()
        """The names of elements in the rules. Such an element is looked at even without attributes."""
        self.is_empty = True
        """Whether there is no rule."""
        self.asks_for_outer = False
        """Whether any rule depends on the elements around an element."""

    def add(self, source: str) -> None:
        """Takes a style sheet. Rules for some media are left out."""
        source = source[:MAX_SHEET_CHARACTERS]
        if not _MATTERS.search(source):
            return
        for selectors, declarations in _rules(_without_comments(source).replace("<!--", "").replace("-->", "")):
            style = written(declarations)
            effect, of_lists = "hidden" if _is_hidden(style) else shown_as(style), list_style(style)
            if effect != "hidden" and (value(style, "display") or value(style, "visibility") == "visible"):
                self._shown.update(_NAMED.findall(selectors))
            for selector in selectors.split(",") if effect or of_lists else ():
                self._add_rule(selector.strip(), effect, of_lists)

    def _add_rule(self, selector: str, effect: str, of_lists: str) -> None:
        *steps, last = _NESTED.split(selector)
        found = [_marks(selector) for selector in (*steps[::2], last)]
        if len(self._rules) >= MAX_SELECTORS or len(found) > _MAX_NESTED or not all(found):
            return
        marks = found.pop()
        self.elements.update(mark for mark in marks if mark[0] not in ".#")
        if not found:
            if len(marks) > 1 and marks not in self._rules:
                self._several.append(marks)
            self._rules.update({marks: effect} if effect else {})
            self._lists.update({marks: of_lists} if of_lists else {})
        elif effect and any(mark[0] in ".#" for one in (marks, *found) for mark in one):
            outer = tuple(zip(reversed(found), (between == ">" for between in reversed(steps[1::2])), strict=True))
            self._within.setdefault(max(marks), []).append(_Within(marks, outer, effect))
            self.asks_for_outer = True
        self.is_empty = not (self._rules or self._within or self._lists)

    def hides(self, has: frozenset[str], outer: Sequence[frozenset[str]] = ()) -> bool:
        """Tells whether a rule hides an element of these marks within elements of the outer ones, outermost first."""
        return any(effect == "hidden" and not marks & self._shown for marks, effect in self._of(has, outer))

    def shown_as(self, has: frozenset[str], outer: Sequence[frozenset[str]] = ()) -> str:
        """Returns the effect of a rule on such an element of a line, "" for none."""
        return next((effect for _, effect in self._of(has, outer) if effect != "hidden"), "")

    def list_style(self, has: frozenset[str]) -> str:
        """Returns the marker that the rules declare for the items of such a list; "" if none does."""
        found = [marks for marks in self._lists if marks <= has]
        return (
            self._lists[max(found, key=lambda marks: (any(mark[0] in ".#" for mark in marks), len(marks)))]
            if found
            else ""
        )

    def _of(self, has: frozenset[str], outer: Sequence[frozenset[str]]) -> Iterator[tuple[frozenset[str], str]]:
        """Yields the rules for such an element, those with several marks first."""
        for mark in has if self._within and outer else ():
            for rule in self._within.get(mark, ()):
                if rule.marks <= has and self._lies_in(rule.outer, outer):
                    yield rule.marks.union(*(marks for marks, _ in rule.outer)), rule.effect
        if not self._rules:
            return
        for marks in self._several if len(has) > 1 else ():
            if marks <= has and marks in self._rules:
                yield marks, self._rules[marks]
        for mark in sorted(has):
            if (effect := self._rules.get(frozenset((mark,)))) is not None:
                yield frozenset((mark,)), effect

    def _lies_in(self, wanted: tuple[tuple[frozenset[str], bool], ...], outer: Sequence[frozenset[str]]) -> bool:
        at = len(outer)
        for marks, is_next in wanted:
            while True:
                at -= 1
                self._steps += 1
                if at < 0 or self._steps > MAX_STEPS:
                    return False
                if marks <= outer[at]:
                    break
                if is_next:
                    return False
        return True


def _marks(selector: str) -> frozenset[str]:
    """Returns the marks in a selector, none if it is not plain."""
    simple = _SIMPLE.fullmatch(selector)
    return frozenset((*filter(None, (simple[1],)), *_NAMED.findall(simple[2]))) if simple else frozenset()


def imported(source: str) -> list[str]:
    """Returns the addresses of the style sheets that one imports."""
    return _IMPORT.findall(_without_comments(source[:MAX_SHEET_CHARACTERS]).partition("{")[0])


def _without_comments(source: str) -> str:
    if "/*" not in source:
        return source
    kept: list[str] = []
    for number, part in enumerate(source.split("/*")):
        kept.append(part.partition("*/")[2] if number else part)
    return "".join(kept)


def _rules(source: str, nested: int = 0) -> Iterator[tuple[str, str]]:
    """Yields selectors and declarations; of those within other blocks, as `@media print { ... }`, only for screens."""
    depth = begin = opening = 0
    is_nested = False
    for found in re.finditer(r"[{}]", source):
        if found.group() == "{":
            depth += 1
            is_nested = is_nested or depth > 1
            opening = opening if depth > 1 else found.end()
        elif depth:
            depth -= 1
            if not depth:
                selectors = source[begin : opening - 1].rpartition(";")[2]  # this leaves out statements without a block
                inner = source[opening : found.start()]
                if not is_nested:
                    yield selectors, inner
                elif nested < _MAX_NESTED_RULES and _FOR_SCREENS.fullmatch(selectors):
                    yield from _rules(inner, nested + 1)
                begin, is_nested = found.end(), False


_MAX_NESTED_RULES = 3

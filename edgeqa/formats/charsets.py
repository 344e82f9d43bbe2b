"""In which encoding a page is written: as it declares itself, as browsers take that.

In: blocks of bytes. Out: text. Only a byte order mark, an XML declaration and the attributes made for it declare; what
is in comments, scripts or descriptions does not.
"""

from __future__ import annotations

import codecs
import re
from itertools import chain
from typing import TYPE_CHECKING

from edgeqa.formats.tags import Tag, Tokenizer
from edgeqa.formats.text import checked, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

_DECLARED_XML = re.compile(rb"""\A\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:-]+)""", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_DECLARED_WITHIN_BYTES = 1 << 14
_BOMS_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LEGACY = re.compile(
    r"cp(125\d|866|874|932|936|949|950)|iso8859-\d+|koi8-[ru]|shift_jis|euc_(jp|kr)|gb2312|gbk|gb18030|big5(hkscs)?"
    r"|mac-(roman|cyrillic)|iso2022_jp|tis-620"
)
# What browsers take names for: names that Python does not know, and larger tables under the names of smaller ones.
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


def decode_page(blocks: Iterator[bytes], name: str, errors: str = "strict") -> Iterator[str]:
    """Yields the page's source, in the encoding that it declares, else UTF-8.

    Args:
        blocks: the page.
        name: what to call it in an error.
        errors: "replace" to give U+FFFD for what is not UTF-8 where UTF-8 is meant.

    Raises:
        ContextError: naming `name` and the offset of what is not text.
    """
    first = next(blocks, b"")
    whole = chain([first], blocks)
    if first.startswith(_BOMS_UTF16):
        return codecs.iterdecode(whole, "utf-16", errors="replace")
    encoding = "" if first.startswith(codecs.BOM_UTF8) else _declared(first[:_DECLARED_WITHIN_BYTES])
    try:
        known = codecs.lookup(_LABELS.get(encoding, encoding)).name
    except (LookupError, ValueError):
        known = "utf-8"
    known = _LARGER.get(known, known)
    if not _LEGACY.fullmatch(known):
        return (
            decode(whole, name) if errors == "strict" else codecs.iterdecode(checked(whole, name), "utf-8-sig", errors)
        )
    return codecs.iterdecode(checked(whole, name), known, errors="replace")


def _declared(head: bytes) -> str:
    """Returns the encoding that a page's beginning declares, as it is called there; "" if there is none."""
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

"""Character references (`&amp;`, `&#8217;`) to characters, as HTML and Markdown have them."""

from __future__ import annotations

import html
import re

_TOO_LONG = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")  # no character; Python would refuse so long a number


def unescape(text: str) -> str:
    """Returns `text` with the characters that are meant; what is no reference stays."""
    if "&" not in text:
        return text
    return html.unescape(_TOO_LONG.sub("\ufffd", text))

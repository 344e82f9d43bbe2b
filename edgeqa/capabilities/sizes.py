"""Numbers of bytes as people write and read them: "256M" in, 268435456 out, and back. Pure."""

from __future__ import annotations

import re

from edgeqa.capabilities.overrides import MOST_BYTES
from edgeqa.errors import OptionError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)


def parse_bytes(text: str, name: str = "size") -> int:
    """Returns the number of bytes that `text` stands for: 1048576, 256M, 1.5G, 64MiB; M and MiB are both 1024 * 1024.

    Raises:
        OptionError: if it stands for none, for no byte at all, or for more than there can be; `name` says in the
            message what it was given for.
    """
    matched = _SIZE.fullmatch(text.strip())
    value_bytes = float(matched[1]) * _UNITS[matched[2].lower()] if matched else 0.0
    if not 1 <= value_bytes < MOST_BYTES:
        raise OptionError(name, text, "a number of bytes, as in 256M or 1.5G")
    return int(value_bytes)


def show_bytes(value_bytes: int) -> str:
    """Returns `value_bytes` in the largest unit that keeps it at 1 or above, with at most one decimal."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if value_bytes >= unit:
            return f"{value_bytes / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{value_bytes} B"

"""Small files of JSON that end in the checksum of all that stands before it: facts in, bytes out, and back. Pure.

    {"format": 2, ..., "check": "<XXH3-128 in hex>"}

The checksum is of the bytes as they are, white space too, so that no changed bit passes.
"""

from __future__ import annotations

import json
from typing import Any

import xxhash

_CHECK = b', "check": "'
_END = b'"}\n'


def dump(facts: dict[str, Any]) -> bytes:
    """Returns the bytes of a file with these facts; there must be one."""
    return _ended(json.dumps(facts).encode()[:-1])


def load(raw: bytes) -> dict[str, Any]:
    """Returns the facts in the bytes of a file.

    Raises:
        ValueError: if it is not what was written.
    """
    body = raw.rpartition(_CHECK)[0]
    if not body or _ended(body) != raw:
        message = "wrong checksum"
        raise ValueError(message)
    facts: dict[str, Any] = json.loads(body + b"}")
    return facts


def _ended(body: bytes) -> bytes:
    return body + _CHECK + xxhash.xxh3_128_hexdigest(body).encode() + _END

"""What of a bundle a collection depends on: its tokenizer, what encodes a context, and how long a context may be.

Pure. A bundle whose reading half, calibration or licence changes keeps its collections; one with another tokenizer or
encoder needs `edgeqa add --re-encode`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.digests import blake2b

if TYPE_CHECKING:
    from edgeqa.models.bundle import Bundle


class Encoder(NamedTuple):
    """What makes a collection's token ids and encodings."""

    digest: str
    bundle: str
    """Name and version of the bundle, for messages."""
    width: int
    """Of an encoding's rows; 0 for a bundle whose contexts are kept as token ids alone."""

    @classmethod
    def of(cls, bundle: Bundle) -> Encoder:
        """Returns what contexts added with `bundle` depend on."""
        m = bundle.manifest
        split = m.joint is None
        files = {f.name: f.sha256 for f in m.files if f.name == "tokenizer.json" or (split and f.name[:6] == "encode")}
        facts = [m.kind, m.max_context_tokens, files, *((m.context_position, m.sep_id) if split else ())]
        digest = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
        return cls(digest, f"{m.name} {m.version}", m.width if split else 0)

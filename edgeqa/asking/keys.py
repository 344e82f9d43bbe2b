"""What an answer is remembered under: a question, and what it is asked of, in; a key out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.cache import answer_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeqa.cache import Key
    from edgeqa.parts import Parts


def key_in(parts: Parts, asked: str, digest: str, options: Mapping[str, object]) -> Key:
    """Returns what an answer to the question is remembered under, in a scope with this digest."""
    key_of = answer_keys(
        bundle_digest=parts.bundle.digest,
        precision=parts.precision,
        options=dict(options),
        scope_digest=digest,
        lowercase=parts.bundle.manifest.lowercase,
    )
    return key_of(asked)

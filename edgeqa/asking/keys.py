"""What an answer is remembered under: a question, and what it is asked of, in; a key out."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from edgeqa.cache import answer_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgeqa.cache import Key
    from edgeqa.parts import Parts


def key_in(parts: Parts, asked: str, digest: str, options: Mapping[str, object]) -> Key:
    """Returns what an answer to the question is remembered under, in a scope with this digest."""
    bundle = parts.bundle
    return _key_of(bundle.digest, parts.precision, tuple(options.items()), digest, bundle.manifest.lowercase)(asked)


@lru_cache(maxsize=64)
def _key_of(
    bundle_digest: str,
    precision: str,
    options: tuple[tuple[str, object], ...],
    digest: str,
    lowercase: bool,  # noqa: FBT001
) -> Callable[[str], Key]:
    """Returns what makes keys of questions: made once for all that share the rest. Options of a name have one type."""
    return answer_keys(
        bundle_digest=bundle_digest,
        precision=precision,
        options=dict(options),
        scope_digest=digest,
        lowercase=lowercase,
    )

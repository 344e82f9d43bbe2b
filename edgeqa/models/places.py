"""Spans in tokens to places in characters: whole characters of a reader, with the signs that belong to them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.contexts.graphemes import widen
from edgeqa.contexts.pieces import Place
from edgeqa.contexts.signs import with_signs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.contexts.context import Context
    from edgeqa.models.spans import Span


def places(spans: Iterable[Span], context: Context) -> list[Place]:
    """Returns where in the context's text its spans are."""
    offsets, text, found = context.tokens.offsets, context.text, []
    for span in spans:
        start, end = widen(text, *with_signs(text, offsets.item(span.first, 0), offsets.item(span.last, 1)))
        found.append(Place(start, end, span.score))
    return found

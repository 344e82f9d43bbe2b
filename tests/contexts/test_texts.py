"""Passages of short texts are kept, and are what cutting the text up anew would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeqa.contexts.documents import from_text
from edgeqa.contexts.passages import Limits, passages
from edgeqa.contexts.texts import SHORT_BYTES, Passages

if TYPE_CHECKING:
    from edgeqa.models.tokenizer import Tokenizer, Tokens

LIMITS = Limits(447, 320)
SHORT = "The pump stands in the cellar.\n\nNobody has looked at it since e\u0301te\u0301. "


class Counting:
    """A tokenizer that counts what it is asked for."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self.calls = tokenizer, 0

    def __call__(self, text: str) -> Tokens:
        self.calls += 1
        return self._tokenizer.tokenize(text)


def test_a_short_text_is_tokenised_once(tokenizer: Tokenizer) -> None:
    tokenize = Counting(tokenizer)
    kept = Passages(tokenize, LIMITS, 1 << 20)
    first, again = (list(kept.of(from_text(SHORT, name))) for name in ("a", "b"))
    assert first == again
    assert tokenize.calls == 1
    assert first[0].text == SHORT.replace("e\u0301", "\u00e9")  # NFC, as without a store
    list(kept.of(from_text(SHORT + "It hums.")))
    assert tokenize.calls == 2


@pytest.mark.parametrize(("text", "budget_bytes"), [(SHORT, 0), (SHORT, 500), (SHORT * 400, 1 << 20)])
def test_without_room_or_of_a_long_text_nothing_is_kept(tokenizer: Tokenizer, text: str, budget_bytes: int) -> None:
    assert (len(text) > SHORT_BYTES) == (text != SHORT)
    tokenize = Counting(tokenizer)
    kept = Passages(tokenize, LIMITS, budget_bytes)
    found = [list(kept.of(from_text(text))) for _ in range(2)]
    once = tokenize.calls // 2
    assert tokenize.calls == 2 * once > 0
    expected = list(passages(from_text(text).blocks(), tokenizer.tokenize, LIMITS))
    for passages_found in found:
        assert [(p.text, p.start, p.tokens.ids.tolist()) for p in passages_found] == [
            (p.text, p.start, p.tokens.ids.tolist()) for p in expected
        ]

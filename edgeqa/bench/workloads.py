"""What is timed: workloads of known lengths, and questions and contexts of exactly so many tokens.

Pure but for the tokenizer that counts. The texts are common words in random order, the same for the same seed: the time
that reading takes depends on how long a text is, not on what it says. No two questions are alike, so that none is in
the answer cache.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeqa.models.tokenizer import Tokenizer

_WORDS = (
    "a about after again all also always an and another any are around as at away back be because been before began "
    "being below between big book both boy built but by called came can car change city close cold come could "
    "country cut day did different do does door down draw each earth east easy end enough even every example eye "
    "face fall far farm father feet few field find fire first fish five follow food for form found four from front "
    "full game gave get girl give go good got great green ground group grow had half hand hard has have he head "
    "hear help her here high him his hold home horse hot hour house how idea if in into is island it just keep kind "
    "king know land large last late learn leave left let letter life light like line list little live long look low "
    "made main make man many map mark may me mean men might mile more most mother mountain move much must my name "
    "near need never new next night no north not now number of off often old on one only open or order other our "
    "out over own page paper part people picture place plan plant play point power press problem pull put question "
    "rain ran read real red rest right river road rock room round rule run said same saw say school sea second see "
    "set seven she ship short should show side sing sit six sleep slow small snow so some song soon south space "
    "stand star start state stay step still stop story street strong study such sun sure table take talk teach tell "
    "ten than that the their them then there these they thing think this those though thought three through time to "
    "today together told too took top town travel tree true try turn two under unit until up us use very voice walk "
    "wall want war warm was watch water way we week well went were west what wheel when where which while white who "
    "whole why wind with wood word work world would write year you young your"
)
_SENTENCE_WORDS = 12


@dataclass(frozen=True, slots=True)
class Workload:
    """A question of some length asked of contexts of some length."""

    name: str
    about: str
    question_tokens: int
    context_tokens: int
    contexts: int = 1
    calls: int = 1
    """How often in a round: the quick ones more often, so that all are about equally sure."""


WORKLOADS = (
    Workload("sentence", "a short question, one sentence", 8, 32, calls=12),
    Workload("paragraph", "a question, one paragraph", 12, 160, calls=6),
    Workload("long", "a question, a long paragraph", 12, 320, calls=4),
    Workload("page", "a question, five paragraphs", 12, 160, contexts=5, calls=2),
)


class Texts:
    """Makes questions and contexts; special tokens are not counted."""

    def __init__(self, tokenizer: Tokenizer, seed: int = 0) -> None:
        self._tokenizer = tokenizer
        self._random = random.Random(seed)  # noqa: S311 - texts, not secrets
        self._words = _WORDS.split()

    def question(self, tokens: int) -> str:
        """Returns a question that was not asked before, of so many tokens."""
        return self._text(tokens, "?")

    def context(self, tokens: int) -> str:
        """Returns a text of so many tokens."""
        return self._text(tokens, ".")

    def contexts(self, workload: Workload) -> str | list[str]:
        """Returns what a workload's questions are asked of."""
        made = [self.context(workload.context_tokens) for _ in range(workload.contexts)]
        return made[0] if len(made) == 1 else made

    def _text(self, tokens: int, end: str) -> str:
        words = [self._random.choice(self._words) for _ in range(tokens)]
        for place in range(_SENTENCE_WORDS, tokens - 1, _SENTENCE_WORDS):
            words[place] = ". " + words[place]
        # Every word is a token of its own in the usual vocabularies; in others, the text ends up to a word early.
        while True:
            text = " ".join(words).replace(" .", ".") + end
            if len(self._tokenizer.tokenize(text)) <= tokens or len(words) == 1:
                return text
            words.pop()

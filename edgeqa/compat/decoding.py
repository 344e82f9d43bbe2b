"""Logits to answers, as transformers 4.57.1 does it: its oddities are kept here, on purpose. Pure.

- Each window has a softmax of its own, over the context's tokens and [CLS].
- Answers that read alike but for case, in one window or several, are one: its score is the sum of theirs, and may
  exceed 1; its place is that of the first that was found.
- "No answer" has the smallest score that a window gives it.
- Among few tokens, what is left for a large `top_k` are spans of score 0, some of them empty.
- `rank` gives a list, or the answer itself if it is the only one.

A span is snapped to whole words, where the tokenizer knows words. `ranking` is what edgeqa thinks better.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeqa.compat.settings import Settings
    from edgeqa.compat.windows import Window

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Ints = NDArray[np.int64]

MASKED = np.float32(-10000.0)
QUESTION, CONTEXT = 0, 1  # numbers of a window's two sequences


class Answer(TypedDict):
    """An answer of a pipeline; its place counts code points of the context that was given."""

    score: float
    start: int
    end: int
    answer: str


@dataclass(slots=True)
class Decoder:
    """Takes a context's windows one by one."""

    context: str
    settings: Settings
    cls_id: int | None
    _found: dict[str, Answer] = field(default_factory=dict)  # by text in lower case
    _no_answer: float = 1e6

    def offer(self, window: Window, start: Floats, end: Floats) -> None:
        """Takes a window and its logits, float32 [tokens]."""
        align, top = self.settings.align_to_words, self.settings.top_k
        possible = np.array([sequence == CONTEXT for sequence in window.sequence_ids])
        if self.cls_id is not None:
            possible |= np.array(window.ids) == self.cls_id
        starts, ends = _probabilities(start, possible), _probabilities(end, possible)
        self._no_answer = min(self._no_answer, float(starts[0] * ends[0]))
        starts[0] = ends[0] = 0
        # More than wanted, as some fall together when they are snapped to words.
        firsts, lasts, scores = _best(starts, ends, 2 * top + 10 if align else top, self.settings.max_answer_len)
        offsets = window.offsets
        for first, last, score in zip(firsts.tolist(), lasts.tolist(), scores.tolist(), strict=True):
            if not (possible[first] and possible[last]):
                continue
            place = (_words(window, first, last) if align else None) or (offsets[first][0], offsets[last][1])
            text = self.context[slice(*place)]
            if (known := self._found.get(text.lower())) is not None:
                known["score"] += score
            else:
                self._found[text.lower()] = Answer(score=score, start=place[0], end=place[1], answer=text)

    def rank(self) -> list[Answer]:
        """Returns the best answers, best first."""
        answers = list(self._found.values())
        if self.settings.handle_impossible_answer:
            answers.append(Answer(score=self._no_answer, start=0, end=0, answer=""))
        return sorted(answers, key=lambda answer: answer["score"], reverse=True)[: self.settings.top_k]


def _probabilities(logits: Floats, possible: Mask) -> Floats:
    masked = np.where(possible, logits, MASKED)
    exponentials = np.exp(masked - masked.max())
    probabilities: Floats = exponentials / exponentials.sum()
    return probabilities


def _best(starts: Floats, ends: Floats, most: int, max_answer_len: int) -> tuple[Ints, Ints, Floats]:
    """Returns first token, last token and score of the `most` best spans, best first.

    All pairs are laid out, also those that cannot be: which of many spans of score 0 come last depends on it.
    """
    pairs = np.tril(np.triu(np.outer(starts, ends)), min(max_answer_len, len(starts)) - 1)
    scores = pairs.ravel()
    if most == 1:
        order = np.array([scores.argmax()])
    elif len(scores) <= most:
        order = np.argsort(-scores)
    else:
        chosen = np.argpartition(-scores, most)[:most]
        order = chosen[np.argsort(-scores[chosen])]
    firsts, lasts = np.unravel_index(order, pairs.shape)
    return firsts, lasts, scores[order]


def _words(window: Window, first: int, last: int) -> tuple[int, int] | None:
    """Returns first character of the word of `first`, and the one after that of `last`; None where there are none."""
    places: list[Any] = []
    for token in (first, last):
        word = window.token_to_word(token)
        place = None if word is None else window.word_to_chars(word, CONTEXT)
        if place is None:
            return None
        places.append(place)
    return places[0][0], places[1][1]

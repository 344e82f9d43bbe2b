"""Logits to answers as edgeqa ranks them, with `compatible=False`: without the oddities that `decoding` keeps. Pure.

- A span's score is its start and end logit less those that the same window gives [CLS], "no answer", so that spans of
  different windows can be compared.
- Over all windows there is one distribution: the probabilities of all spans and of "no answer" add up to 1. A place in
  the text counts once, with the best of its scores, however many windows it is in.
- Equal answers at different places are different answers; places that overlap a better answer's are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgeqa.compat.decoding import CONTEXT, Answer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeqa.compat.decoding import Floats, Ints
    from edgeqa.compat.settings import Settings
    from edgeqa.compat.windows import Window


@dataclass(slots=True)
class Ranker:
    """Takes a context's windows one by one."""

    context: str
    settings: Settings
    _places: list[Ints] = field(default_factory=list)
    _scores: list[NDArray[np.float64]] = field(default_factory=list)

    def offer(self, window: Window, start: Floats, end: Floats) -> None:
        """Takes a window and its logits, float32 [tokens]."""
        tokens = np.array([i for i, sequence in enumerate(window.sequence_ids) if sequence == CONTEXT], dtype=np.int64)
        if not len(tokens):
            return
        places = np.array(window.offsets)[tokens]
        if self.settings.align_to_words:
            places = _snapped(places, [window.word_ids[i] for i in tokens])
        band = np.arange(min(self.settings.max_answer_len, len(tokens)))
        first, more = (a.ravel() for a in np.broadcast_arrays(np.arange(len(tokens))[:, None], band))
        last = first + more
        inside = last < len(tokens)
        first, last = first[inside], last[inside]
        starts, ends = places[first, 0], places[last, 1]
        scores = start[tokens][first].astype(np.float64) + end[tokens][last] - start[0] - end[0]
        some = ends > starts
        self._places.append(np.stack([starts, ends], axis=1)[some])
        self._scores.append(scores[some])

    def rank(self) -> list[Answer]:
        """Returns the best answers, best first; "no answer" where there is no other."""
        places, scores = self._distinct()
        most = max(0.0, float(scores.max(initial=0.0)))
        # The score of "no answer" is 0: the logits of [CLS] less themselves.
        total = np.exp(-most) + np.exp(scores - most).sum()
        no_answer = Answer(score=float(np.exp(-most) / total), start=0, end=0, answer="")
        answers = [] if len(scores) and not self.settings.handle_impossible_answer else [no_answer]
        wanted = self.settings.top_k
        free = np.ones(len(self.context) + 1, dtype=bool)
        for number in np.lexsort((places[:, 1], places[:, 0], -scores)):
            if len(answers) >= wanted + self.settings.handle_impossible_answer:
                break
            start, end = places[number].tolist()
            if free[start:end].all():
                free[start:end] = False
                probability = float(np.exp(scores[number] - most) / total)
                answers.append(Answer(score=probability, start=start, end=end, answer=self.context[start:end]))
        return sorted(answers, key=lambda answer: -answer["score"])[:wanted]

    def _distinct(self) -> tuple[Ints, NDArray[np.float64]]:
        if not self._places:
            return np.empty((0, 2), dtype=np.int64), np.empty(0)
        places, which = np.unique(np.concatenate(self._places), axis=0, return_inverse=True)
        best = np.full(len(places), -np.inf)
        np.maximum.at(best, which.ravel(), np.concatenate(self._scores))
        return places, best


def _snapped(places: Ints, words: list[int | None]) -> Ints:
    """Returns for each token the place of its word, or its own where it has none; words come in the text's order."""
    snapped, first = places.copy(), 0
    for token in range(1, len(words) + 1):
        if token == len(words) or words[token] is None or words[token] != words[first]:
            snapped[first:token] = places[first, 0], places[token - 1, 1]
            first = token
    return snapped

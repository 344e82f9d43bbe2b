"""Decoding: it makes answers from logits. Pure.

In: a context's windows with their logits. Out: its best answers.

`Decoder` does this as transformers 4.57.1 does, and keeps the oddities on purpose:

- Each window has a softmax of its own, over the context's tokens and [CLS].
- Answers with the same text, apart from case, are one answer, in one window or several. Its score is the sum of their
  scores, and may exceed 1; its place is that of the first.
- "No answer" has the smallest score that a window gives it.
- For a large `top_k` among few tokens, spans of score 0 are left, and some of them are empty.

`Ranker` does it in edgeqa's own way, with `compatible=False`:

- A span's score is the sum of its start and end logits, less the logits that the same window gives [CLS], "no answer".
  So spans of different windows can be compared.
- There is one distribution over all windows: the probabilities of all spans and of "no answer" add up to 1. A place in
  the text counts once, with its best score, in however many windows it is.
- Equal answers at different places are different answers; a place that overlaps a better answer's is left out.

Both widen a span to whole words, if the tokenizer knows words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgeqa.compat.calls import Settings

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Ints = NDArray[np.int64]

Window = Any
"""`tokenizers.Encoding`"""
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
        # It takes more spans than wanted, since some become equal when they are widened to words.
        firsts, lasts, scores = _best_pairs(starts, ends, 2 * top + 10 if align else top, self.settings.max_answer_len)
        offsets = window.offsets
        for first, last, score in zip(firsts.tolist(), lasts.tolist(), scores.tolist(), strict=True):
            if not (possible[first] and possible[last]):
                continue
            place = (_word_place(window, first, last) if align else None) or (offsets[first][0], offsets[last][1])
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
            places = _snap_to_words(places, [window.word_ids[i] for i in tokens])
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
        """Returns the best answers, best first; "no answer" if there is no other."""
        places, scores = self._distinct()
        most = max(0.0, float(scores.max(initial=0.0)))
        # The score of "no answer" is 0, because it is the logits of [CLS] less themselves.
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


def _probabilities(logits: Floats, possible: Mask) -> Floats:
    masked = np.where(possible, logits, MASKED)
    exponentials = np.exp(masked - masked.max())
    probabilities: Floats = exponentials / exponentials.sum()
    return probabilities


def _best_pairs(starts: Floats, ends: Floats, most: int, max_answer_len: int) -> tuple[Ints, Ints, Floats]:
    """Returns first token, last token and score of the `most` best spans, best first.

    All pairs are laid out, impossible ones too, because the order among spans of score 0 depends on it.
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


def _word_place(window: Window, first: int, last: int) -> tuple[int, int] | None:
    """Returns where the word of token `first` begins and the word of `last` ends; None if they have no words."""
    places: list[Any] = []
    for token in (first, last):
        word = window.token_to_word(token)
        place = None if word is None else window.word_to_chars(word, CONTEXT)
        if place is None:
            return None
        places.append(place)
    return places[0][0], places[1][1]


def _snap_to_words(places: Ints, words: list[int | None]) -> Ints:
    """Returns the place of each token's word, or the token's own if it has no word; words are in the text's order."""
    snapped, first = places.copy(), 0
    for token in range(1, len(words) + 1):
        if token == len(words) or words[token] is None or words[token] != words[first]:
            snapped[first:token] = places[first, 0], places[token - 1, 1]
            first = token
    return snapped

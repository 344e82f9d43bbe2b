"""Makes the golden cases of a bundle: a few questions and contexts with the token ids and logits that they must give.

In: the tokenizer and the reference network. Out: the cases as JSON values. The logits are those of the reference
network in float32, never those of the graphs that are tested with them. There are four cases: an answer late in the
text, an answer with digits, no answer, and a text that is neither English nor ASCII.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokenizers import Tokenizer
    from weights import Floats, Sizes, Weights

    Network = Callable[[Sequence[int], Sequence[int]], Floats]
    """From the ids up to the context, and those from there on, to the logits of all tokens, `[tokens, 2]`."""

DECIMALS = 4


class Frame(NamedTuple):
    """The special tokens around a question and a context."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]


QUESTIONS_AND_CONTEXTS = (
    (
        "Who designed the machine?",
        "In 1843 Ada Lovelace published notes on the Analytical Engine, among them a method for computing Bernoulli "
        "numbers that is often called the first computer program. The machine itself was designed by Charles Babbage "
        "and never finished.",
    ),
    (
        "How deep may the pump be submerged?",
        "The pump is rated IP68. It may be submerged to a depth of 12 metres for at most 30 days, after which the "
        "seals must be replaced.",
    ),
    (
        "When did the Normans arrive in Iceland?",
        "Photosynthesis turns carbon dioxide and water into sugars, using the energy of sunlight.",
    ),
    (
        "¿Qué significa 東京?",
        "東京 (Tōkyō) means “eastern capital”. Its naïve romanisation drops the macrons: Tokyo.",
    ),
)


def golden_cases(tokenizer: Tokenizer, frame: Frame, network: Network) -> list[dict[str, object]]:
    """Returns the cases, ready to be written as JSON."""
    return [_case(tokenizer, frame, network, question, context) for question, context in QUESTIONS_AND_CONTEXTS]


def split_network(weights: Weights, sizes: Sizes) -> Network:
    """Returns the reference network of a split reader."""

    def logits(question_ids: Sequence[int], context_ids: Sequence[int]) -> Floats:
        ids = np.array([[*question_ids, *context_ids]])
        types = np.array([[0] * len(question_ids) + [1] * len(context_ids)])
        valid = np.ones_like(types, np.bool_)
        hidden = reference.encode(weights, sizes, ids, types, valid)
        of_all: Floats = reference.read(weights, sizes, hidden, valid)[0]
        return of_all

    return logits


def _case(tokenizer: Tokenizer, frame: Frame, network: Network, question: str, context: str) -> dict[str, object]:
    question_ids = [*frame.before, *tokenizer.encode(question, add_special_tokens=False).ids, *frame.between]
    context_ids = [*tokenizer.encode(context, add_special_tokens=False).ids, *frame.after]
    start, end = network(question_ids, context_ids).T
    return {
        "question": question,
        "context": context,
        "question_ids": question_ids,
        "context_ids": context_ids,
        "start_logits": _rounded(start),
        "end_logits": _rounded(end),
    }


def _rounded(logits: Floats) -> list[float]:
    return [round(float(logit), DECIMALS) for logit in logits]

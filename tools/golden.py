"""The golden cases of a bundle: a few questions and contexts with the token ids and logits that they must give.

In go the weights and the tokenizer, out come the cases as JSON values. The logits are the reference network's in
float32, never those of the graphs that are tested with them. The four cases: an answer late in the text, one with
digits, none at all, and text that is neither English nor ASCII.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import reference

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from weights import Floats, Sizes, Weights

DECIMALS = 4

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


def golden_cases(weights: Weights, sizes: Sizes, tokenizer: Tokenizer) -> list[dict[str, object]]:
    """Returns the cases, ready to be written as JSON."""
    return [_case(weights, sizes, tokenizer, question, context) for question, context in QUESTIONS_AND_CONTEXTS]


def _case(weights: Weights, sizes: Sizes, tokenizer: Tokenizer, question: str, context: str) -> dict[str, object]:
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    question_ids = [cls, *tokenizer.encode(question, add_special_tokens=False).ids, sep]
    context_ids = [*tokenizer.encode(context, add_special_tokens=False).ids, sep]
    ids = np.array([question_ids + context_ids])
    types = np.array([[0] * len(question_ids) + [1] * len(context_ids)])
    valid = np.ones_like(types, np.bool_)
    hidden = reference.encode(weights, sizes, ids, types, valid)
    start, end = reference.read(weights, sizes, hidden, valid)[0].T
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

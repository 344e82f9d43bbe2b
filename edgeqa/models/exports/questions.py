"""The built-in questions, and the replies to them: a reader and its tokenizer in, answers and logits out.

They are short texts and questions on them whose answers are beyond doubt, for any reader of English. They serve two
ends. The first four are a bundle's golden cases; all of them are asked before and after a change of precision, to see
whether answers move. They are far too few and too easy to tell how good a model is.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeqa.contexts.windows import meaningful
from edgeqa.models.metrics import score_v1
from edgeqa.models.selftest import pair_ids
from edgeqa.models.spans import best_spans, span_table

if TYPE_CHECKING:
    from edgeqa.models.manifest import Pair
    from edgeqa.models.readers import Floats, JointReader
    from edgeqa.models.tokenizer import Tokenizer
    from edgeqa.timing import Progress


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A question on a text."""

    question: str
    context: str
    answer: str
    """Empty where the text has none."""


_ENGINE = (
    "In 1843 Ada Lovelace published notes on the Analytical Engine, among them a method for computing Bernoulli "
    "numbers that is often called the first computer program. The machine itself was designed by Charles Babbage "
    "and never finished."
)
_PUMP = (
    "The pump is rated IP68. It may be submerged to a depth of 12 metres for at most 30 days, after which the seals "
    "must be replaced. The impeller is made of phosphor bronze, and the motor takes 750 watts."
)
_PLANTS = "Photosynthesis turns carbon dioxide and water into sugars, using the energy of sunlight."
_TOKYO = "東京 (Tōkyō) means “eastern capital”. Its naïve romanisation drops the macrons: Tokyo."
_BRIDGE = (
    "The Sydney Harbour Bridge was opened on 19 March 1932, after eight years of work. It was built by Dorman Long of "
    "Middlesbrough, carries trains, cars and people on foot, and is repainted all year round by a crew of 100. Its "
    "arch spans 503 metres."
)
_RIVER = (
    "The Danube rises in the Black Forest in Germany and flows for 2,850 kilometres through ten countries before it "
    "reaches the Black Sea. Vienna, Bratislava, Budapest and Belgrade lie on its banks. Its delta, most of it in "
    "Romania, is home to pelicans."
)
_LIBRARY = (
    "The library opens at nine in the morning from Monday to Friday and at eleven on Saturdays; on Sundays it is "
    "closed. A card costs five pounds a year, and children need none. Up to ten books may be borrowed for three weeks. "
    "Who returns a book late pays twenty pence a day."
)
_TEA = (
    "Robert Fortune, a Scottish botanist, travelled to China in 1848 in disguise and brought 20,000 tea plants to "
    "Darjeeling in India for the East India Company."
)

GOLDEN = 4
DECIMALS = 4  # of golden logits

QUESTIONS = (
    BuiltIn("Who designed the machine?", _ENGINE, "Charles Babbage"),
    BuiltIn("How deep may the pump be submerged?", _PUMP, "12 metres"),
    BuiltIn("When did the Normans arrive in Iceland?", _PLANTS, ""),
    BuiltIn("¿Qué significa 東京?", _TOKYO, "eastern capital"),
    BuiltIn("When were the notes published?", _ENGINE, "1843"),
    BuiltIn("Who published notes on the Analytical Engine?", _ENGINE, "Ada Lovelace"),
    BuiltIn("What is the impeller made of?", _PUMP, "phosphor bronze"),
    BuiltIn("How many watts does the motor take?", _PUMP, "750"),
    BuiltIn("When was the bridge opened?", _BRIDGE, "19 March 1932"),
    BuiltIn("Who built the bridge?", _BRIDGE, "Dorman Long"),
    BuiltIn("How far does the arch span?", _BRIDGE, "503 metres"),
    BuiltIn("How long did the work on the bridge take?", _BRIDGE, "eight years"),
    BuiltIn("Where does the Danube rise?", _RIVER, "the Black Forest"),
    BuiltIn("How long is the Danube?", _RIVER, "2,850 kilometres"),
    BuiltIn("How many countries does the Danube flow through?", _RIVER, "ten"),
    BuiltIn("Which birds live in the delta?", _RIVER, "pelicans"),
    BuiltIn("When does the library open on Saturdays?", _LIBRARY, "eleven"),
    BuiltIn("How much does a card cost?", _LIBRARY, "five pounds a year"),
    BuiltIn("How many books may be borrowed?", _LIBRARY, "ten"),
    BuiltIn("Who needs no card?", _LIBRARY, "children"),
    BuiltIn("Who travelled to China in disguise?", _TEA, "Robert Fortune"),
    BuiltIn("When did the botanist travel to China?", _TEA, "1848"),
    BuiltIn("How many tea plants were brought to India?", _TEA, "20,000"),
    BuiltIn("What energy does photosynthesis use?", _PLANTS, "sunlight"),
)


@dataclass(frozen=True, slots=True)
class Replies:
    """A reader's replies to the built-in questions, in their order."""

    answers: tuple[str, ...]
    """The best spans, whether "no answer" is likelier or not."""
    logits: tuple[tuple[Floats, Floats], ...]
    """Start and end logits of all tokens."""

    @property
    def is_finite(self) -> bool:
        """Whether all logits are numbers."""
        return all(bool(np.isfinite(start).all() and np.isfinite(end).all()) for start, end in self.logits)

    @property
    def right_percent(self) -> float:
        """F1 over the questions that have an answer, in percent."""
        asked = [(said, b.answer) for said, b in zip(self.answers, QUESTIONS, strict=True) if b.answer]
        return 100 * fmean(score_v1(said, [answer]).f1 for said, answer in asked)


@dataclass(frozen=True, slots=True)
class Drift:
    """The difference between two readers' answers."""

    answers_percent: float
    """100 minus the F1 of the one's answers against the other's."""
    questions: int
    """The number of answers that differ."""
    logits: float
    """Largest difference of a logit."""


def ask_built_in(reader: JointReader, tokenizer: Tokenizer, progress: Progress) -> Replies:
    """Returns the answers of `reader`."""
    answers, logits = [], []
    for number, built_in in enumerate(QUESTIONS):
        progress("asking the built-in questions", number, len(QUESTIONS))
        question, context = tokenizer.tokenize(built_in.question), tokenizer.tokenize(built_in.context)
        found = reader.read(question.ids, context.ids)
        telling = meaningful(built_in.context, context.offsets)
        spans = best_spans(found, span_table(context.words, np.zeros_like(context.words), telling))
        places = [(context.offsets[s.first, 0], context.offsets[s.last, 1]) for s in spans]
        answers.append("".join(built_in.context[begin:end] for begin, end in places))
        logits.append(reader.logits(question.ids, context.ids))
    return Replies(tuple(answers), tuple(logits))


def drift_between(before: Replies, after: Replies) -> Drift:
    """Measures how far the replies `after` are from those `before`."""
    pairs = list(zip(after.answers, before.answers, strict=True))
    f1 = fmean(1.0 if one == other else score_v1(one, [other]).f1 for one, other in pairs)
    differences = [
        np.abs(np.subtract(one, other)).max() for one, other in zip(before.logits, after.logits, strict=True)
    ]
    # numpy's max, unlike Python's, lets no NaN pass for a small number.
    return Drift(100 * (1 - f1), sum(one != other for one, other in pairs), float(np.max(differences)))


def golden_cases(said: Replies, pair: Pair, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Returns a bundle's golden cases, ready to be written as JSON: the first questions, with the logits in `said`."""
    return [_case(number, said, pair, tokenizer) for number in range(GOLDEN)]


def _case(number: int, said: Replies, pair: Pair, tokenizer: Tokenizer) -> dict[str, Any]:
    built_in, (start, end) = QUESTIONS[number], said.logits[number]
    question, context = tokenizer.tokenize(built_in.question), tokenizer.tokenize(built_in.context)
    question_ids, context_ids = pair_ids(pair, question.ids, context.ids)
    return {
        "question": built_in.question,
        "context": built_in.context,
        "question_ids": [int(i) for i in question_ids],
        "context_ids": [int(i) for i in context_ids],
        "start_logits": [round(float(logit), DECIMALS) for logit in start],
        "end_logits": [round(float(logit), DECIMALS) for logit in end],
    }

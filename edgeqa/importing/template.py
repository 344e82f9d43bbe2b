"""How a tokenizer lays out a question and a context, and whether it folds case: tokenizer.json in, facts out.

The layout is seen by asking: the tokenizer's own post-processor, of whatever type, is given a pair, and what it puts
before, between and after the two is what the graph was trained with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeqa.importing.errors import ExportFileInvalid, ExportPairUnknown
from edgeqa.importing.questions import QUESTIONS
from edgeqa.models.manifest import MOST_SPECIAL_TOKENS, MOST_TYPE, Pair

if TYPE_CHECKING:
    from pathlib import Path

QUESTION, CONTEXT = "Who was it?", "It was Ada."


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """What of a tokenizer matters for a bundle."""

    pair: Pair
    lowercase: bool
    tokens: int
    """One more than its largest id."""


def tokenizer_facts(file: Path) -> TokenizerFacts:
    """Returns the facts of the tokenizer in `file`.

    Raises:
        ExportFileInvalid: if it is none.
        ExportPairUnknown: if it lays a question and a context out in a way that no reader here can.
    """
    from tokenizers import Tokenizer

    try:
        library = Tokenizer.from_file(str(file))
        library.no_truncation()
        library.no_padding()
        encoding = library.encode(QUESTION, CONTEXT)
        for built_in in QUESTIONS:  # what does not come out of these does not come out of a user's
            library.encode(built_in.question, built_in.context)
    except BaseException as error:  # the library raises bare Exception, and BaseException where it panics
        if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)):
            raise
        raise ExportFileInvalid(file, f"not a tokenizer ({' '.join(str(error).split())[:200]})") from error
    normalizer = json.loads(library.to_str()).get("normalizer")
    return TokenizerFacts(
        pair=_pair(file, encoding.ids, encoding.type_ids, encoding.sequence_ids),
        lowercase=_folds_case(normalizer),
        tokens=max(library.get_vocab(with_added_tokens=True).values(), default=-1) + 1,
    )


def _pair(file: Path, ids: list[int], types: list[int], sequences: list[int | None]) -> Pair:
    where = {number: [at for at, its in enumerate(sequences) if its == number] for number in (0, 1)}
    question, context = where[0], where[1]
    if not question or not context:
        raise ExportPairUnknown(file, f"the tokenizer gives no tokens for {QUESTION!r}, {CONTEXT!r}")
    first, second = slice(question[0], question[-1] + 1), slice(context[0], context[-1] + 1)
    if set(sequences[first]) != {0} or set(sequences[second]) != {1} or first.stop > second.start:
        raise ExportPairUnknown(file, "the tokenizer mixes question and context")
    before, between, after = ids[: first.start], ids[first.stop : second.start], ids[second.stop :]
    if not before or not after:
        raise ExportPairUnknown(file, "the tokenizer puts no special token before the question, or none at the end")
    if len(before) + len(between) + len(after) > MOST_SPECIAL_TOKENS:
        raise ExportPairUnknown(file, f"the tokenizer adds more than {MOST_SPECIAL_TOKENS} special tokens")
    of_question, of_context = set(types[: second.start]), set(types[second.start :])
    if len(of_question) > 1 or len(of_context) > 1 or max(of_question | of_context) > MOST_TYPE:
        raise ExportPairUnknown(file, f"the tokenizer gives the token types {types}")
    return Pair(tuple(before), tuple(between), tuple(after), of_question.pop(), of_context.pop())


def _folds_case(normalizer: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Tells whether the normalizer, or one of those that it is a sequence of, makes letters small."""
    if not isinstance(normalizer, dict):
        return False
    if normalizer.get("type") == "Sequence":
        return any(map(_folds_case, normalizer.get("normalizers", [])))
    return normalizer.get("type") == "Lowercase" or normalizer.get("lowercase") is True

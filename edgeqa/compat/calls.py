"""The forms that questions come in: the arguments of a call in, `(question, context)` pairs out.

Forms and precedence are those of the question-answering pipeline of transformers 4.57.1. Pure: no text is read, and a
generator is not begun.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.compat.errors import (
    InputsMissing,
    InputsMixed,
    InputsUnknown,
    KeysUnknown,
    LengthsDiffer,
    ListsNested,
    PartEmpty,
    PartMissing,
    PartType,
    PartUnreadable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = ("question", "context")
INPUTS = ("X", "data", *PARTS)
"""Keyword arguments that hold questions; all others are settings."""


class Example(NamedTuple):
    """One question and the text to answer it from."""

    question: str
    context: str


class Form(Enum):
    """What a call gives back."""

    ONE = auto()
    """an answer"""
    MANY = auto()
    """a list with an answer for each example"""
    ONE_IN_LIST = auto()
    """a list of one was given: transformers gives an answer, not a list"""
    STREAM = auto()
    """an iterator, as examples come"""


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked."""

    examples: Iterable[Example]
    form: Form


def understood(args: Sequence[object], inputs: Mapping[str, object]) -> Call:
    """Returns what a call asks.

    Args:
        args: its positional arguments.
        inputs: its keyword arguments of the names `INPUTS`.

    Raises:
        PipelineError: for arguments in no known form, and for a question or a context that is missing or empty.
    """
    given = _given(args, inputs)
    if isinstance(given, Generator):
        return Call(_stream(given), Form.STREAM)
    if isinstance(given, Mapping) or _is_squad_example(given):
        item = _item(given)
        return Call([item], Form.ONE) if isinstance(item, Example) else Call(item, Form.MANY)
    if isinstance(given, str) or not isinstance(given, Iterable):
        if hasattr(given, "__len__") and hasattr(given, "__getitem__") and not isinstance(given, str):
            return Call(_stream(given[i] for i in range(len(given))), Form.STREAM)  # as torch's data sets are
        raise InputsUnknown(given)
    items = [_item(item) for item in given]
    if len(items) == 1 and not isinstance(items[0], Example):
        return Call(items[0], Form.MANY)
    examples = [item for item in items if isinstance(item, Example)]
    if len(examples) < len(items):
        raise ListsNested
    return Call(examples, Form.ONE_IN_LIST if len(examples) == 1 else Form.MANY)


def _given(args: Sequence[object], inputs: Mapping[str, object]) -> Any:  # noqa: ANN401 - whatever the caller passed
    if len(args) == 2 and all(isinstance(a, str) for a in args):
        return {"question": args[0], "context": args[1]}
    if args:
        return args[0] if len(args) == 1 else list(args)
    for name in ("X", "data"):
        if name in inputs:
            return inputs[name]
    if not all(part in inputs for part in PARTS):
        raise InputsMissing(inputs)
    question, context = (inputs[part] for part in PARTS)
    match question, context:
        case (str(), str()):
            return {"question": question, "context": context}
        case (list(), str()):
            return [{"question": q, "context": context} for q in question]
        case (list(), list()):
            return _paired(question, context)
    raise InputsMixed(question, context)


def _paired(questions: list[Any], contexts: list[Any]) -> list[dict[str, Any]]:
    if len(questions) != len(contexts):
        raise LengthsDiffer(len(questions), len(contexts))
    return [{"question": q, "context": c} for q, c in zip(questions, contexts, strict=True)]


def _stream(items: Iterable[object]) -> Iterator[Example]:
    for item in items:
        example = _item(item)
        if not isinstance(example, Example):
            raise ListsNested
        yield example


def _item(item: object) -> Example | list[Example]:
    """Returns the example in `item`, or those of a dict of lists."""
    if _is_squad_example(item):
        return _example(item.question_text, item.context_text)  # type: ignore[attr-defined]
    if not isinstance(item, Mapping):
        raise InputsUnknown(item)
    for part in PARTS:
        if part not in item:
            raise PartMissing(part)
    if surplus := [key for key in item if key not in PARTS]:
        raise KeysUnknown(surplus)
    match item["question"], item["context"]:
        case (list() as questions, list() as contexts):
            return [_example(**pair) for pair in _paired(questions, contexts)]
        case (list() as questions, str() as context):
            return [_example(question, context) for question in questions]
    return _example(item["question"], item["context"])


def _example(question: object, context: object) -> Example:
    for part, value in (("question", question), ("context", context)):
        if value is None or value == "":
            raise PartEmpty(part, value)
        if not isinstance(value, str):
            raise PartType(part, value)
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise PartUnreadable(part, error.start) from error
    return Example(str(question), str(context))


def _is_squad_example(item: object) -> bool:
    return hasattr(item, "question_text") and hasattr(item, "context_text")

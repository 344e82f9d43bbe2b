"""Calls of the pipeline: this module parses their arguments. Pure.

In: positional and keyword arguments. Out: `(question, context)` pairs, and checked settings. Names, forms and order of
precedence are those of the question-answering pipeline of transformers 4.57.1. No text is read, and no generator is
started. Each error also inherits the builtin that transformers raises in its place, so that code which catches that
goes on working.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.errors import EXIT_DEVICE, OptionError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SHOWN = 80  # a message shows so many characters of a value
_FORMS = 'pass question="..." and context="...", lists of these, or {"question": "...", "context": "..."}'


class TaskUnknown(PipelineError, KeyError):
    """Another task than question answering was asked for."""

    def __init__(self, task: object) -> None:
        super().__init__(f"unknown task: {task!r}", 'the one task is "question-answering"')


class CallNotUnderstood(PipelineError, TypeError):
    """The arguments are in none of the forms that a question can be asked in."""

    hint = _FORMS


class InputsUnknown(CallNotUnderstood):
    """The given object holds no questions."""

    def __init__(self, value: object) -> None:
        super().__init__(f"no question and context in {_shown(value)}")


class InputsMissing(CallNotUnderstood):
    """A call has no question, or no context."""

    def __init__(self, given: Iterable[str]) -> None:
        super().__init__(f"a call needs a question and a context; given: {', '.join(given) or 'neither'}")


class InputsMixed(CallNotUnderstood):
    """Question and context are of types that do not go together."""

    def __init__(self, question: object, context: object) -> None:
        kinds = f"{type(question).__name__} and {type(context).__name__}"
        super().__init__(f"question and context are two strings, two lists, or a list and a string, not {kinds}")


class LengthsDiffer(CallNotUnderstood):
    """The numbers of questions and contexts differ, and there is more than one context."""

    def __init__(self, questions: int, contexts: int) -> None:
        super().__init__(f"{questions} questions and {contexts} contexts: the lists are not of the same length")


class ListsNested(CallNotUnderstood):
    """A dict of lists is one of several inputs."""

    def __init__(self) -> None:
        super().__init__("a dict of lists cannot be one of several inputs")


class KeysUnknown(CallNotUnderstood):
    """A dict has more in it than a question and a context."""

    def __init__(self, keys: Iterable[object]) -> None:
        super().__init__(f"a dict has keys beside question and context: {', '.join(map(str, keys))}")


class PartType(CallNotUnderstood):
    """A question or a context is not a string."""

    def __init__(self, part: str, value: object) -> None:
        super().__init__(f"a {part} is a str, not {type(value).__name__}")


class PartMissing(PipelineError, KeyError):
    """A dict has no question, or no context."""

    def __init__(self, part: str) -> None:
        super().__init__(f"a question was given without its {part!r}", _FORMS)


class PartEmpty(PipelineError):
    """A question or a context is empty or None."""

    def __init__(self, part: str, value: object) -> None:
        super().__init__(f"{part} cannot be {value!r}", f"pass a {part} with text in it")


class PartUnreadable(PipelineError):
    """A question or a context has half of a surrogate pair in it, which stands for no character."""

    def __init__(self, part: str, position: int) -> None:
        super().__init__(
            f"a {part} has a lone surrogate at character {position}, as text has that was decoded wrongly",
            "decode it as UTF-8, with errors='replace' if need be",
        )


class ContextTooLarge(PipelineError, MemoryError):
    """A context whose tokens do not fit into memory: a pipeline holds them all at a time."""

    exit_code = EXIT_DEVICE

    def __init__(self, characters: int, needed_bytes: int, available_bytes: int) -> None:
        super().__init__(
            f"the tokens of a context of {characters} characters take about {needed_bytes} bytes, "
            f"{available_bytes} are available",
            "ask with edgeqa.open().ask(...): it reads texts of any length, passage by passage",
        )


class WindowTooShort(PipelineError):
    """Windows of this length cannot advance through the context: question and overlap leave no room in them."""

    def __init__(self, max_seq_len: int, question_tokens: int, doc_stride: int) -> None:
        super().__init__(
            f"max_seq_len of {max_seq_len} tokens leaves no room for the context: the question takes "
            f"{question_tokens} with its separators, doc_stride {doc_stride}",
            "raise max_seq_len, lower doc_stride, or ask a shorter question",
        )


class WindowTooLong(PipelineError, IndexError):
    """The model has no positions for windows of this length."""

    def __init__(self, max_seq_len: int, most_tokens: int) -> None:
        super().__init__(
            f"max_seq_len cannot be {max_seq_len}: the model reads {most_tokens} tokens at most",
            f"lower max_seq_len to {most_tokens}, or leave it out",
        )


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}..."


PARTS = ("question", "context")
INPUTS = ("X", "data", *PARTS)
"""Keyword arguments that hold questions; all others are settings."""
USUAL_MAX_SEQ_LEN, USUAL_DOC_STRIDE = 384, 128
IGNORED = ("padding", "batch_size", "num_workers")
"""Settings that change no answer: windows are read one at a time, unpadded."""
_COUNTS = {"top_k": 1, "max_answer_len": 1, "max_seq_len": 1, "max_question_len": 1, "doc_stride": 0}
_FLAGS = ("handle_impossible_answer", "align_to_words")


class Example(NamedTuple):
    """One question and the text to answer it from."""

    question: str
    context: str


class Form(Enum):
    """The form of a call's result."""

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
    """A parsed call."""

    examples: Iterable[Example]
    form: Form


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a call; lengths are in tokens."""

    top_k: int = 1
    doc_stride: int | None = None
    """overlap of two windows; by default 128, or half a window if that is shorter"""
    max_answer_len: int = 15
    max_seq_len: int | None = None
    """length of a window, question included; by default 384, or what the model reads if that is shorter"""
    max_question_len: int = 64
    handle_impossible_answer: bool = False
    align_to_words: bool = True

    def lengths(self, most_tokens: int) -> tuple[int, int]:
        """Returns the length of a window and the overlap of two, for a model that reads `most_tokens`.

        Raises:
            OptionError: for an overlap longer than a window.
        """
        window = min(most_tokens, USUAL_MAX_SEQ_LEN) if self.max_seq_len is None else self.max_seq_len
        overlap = min(window // 2, USUAL_DOC_STRIDE) if self.doc_stride is None else self.doc_stride
        if overlap > window:
            raise OptionError(name="doc_stride", value=overlap, expected=f"at most max_seq_len ({window})")
        return window, overlap


def parse_call(args: Sequence[object], inputs: Mapping[str, object]) -> Call:
    """Returns the parsed call.

    Args:
        args: the positional arguments.
        inputs: the keyword arguments whose names are in `INPUTS`.

    Raises:
        PipelineError: for arguments in no known form, or for a question or a context that is missing or empty.
    """
    given = _given(args, inputs)
    if isinstance(given, Generator):
        return Call(_stream(given), Form.STREAM)
    if isinstance(given, Mapping) or _is_squad_example(given):
        item = _item(given)
        return Call([item], Form.ONE) if isinstance(item, Example) else Call(item, Form.MANY)
    if isinstance(given, str) or not isinstance(given, Iterable):
        if hasattr(given, "__len__") and hasattr(given, "__getitem__") and not isinstance(given, str):
            return Call(_stream(given[i] for i in range(len(given))), Form.STREAM)  # torch's data sets have this form
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
    """Returns the example in `item`, or the examples in a dict of lists."""
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


def update_settings(settings: Settings, arguments: Mapping[str, Any], *, lenient: bool) -> Settings:
    """Returns `settings` with `arguments` set; None leaves one as it is.

    Args:
        settings: the settings so far.
        arguments: values by name: a name of `Settings`, `topk`, or one of `IGNORED`.
        lenient: warn of an unknown name instead of refusing it.

    Raises:
        OptionError: for an impossible value and, without `lenient`, for an unknown name.
    """
    changes: dict[str, Any] = {}
    for name, value in arguments.items():
        if name == "topk":
            if value is not None and arguments.get("top_k") is None:
                changes["top_k"] = _count("top_k", value)
        elif name in _COUNTS:
            if value is not None:
                changes[name] = _count(name, value)
        elif name in _FLAGS:
            if value is not None:
                changes[name] = bool(value)
        elif name not in IGNORED:
            if not lenient:
                raise OptionError(name, value, f"not known; known are {', '.join((*_COUNTS, *_FLAGS))}")
            warnings.warn(f"edgeqa.pipeline does not know {name!r}: it is ignored", UserWarning, stacklevel=3)
    return replace(settings, **changes)


def _count(name: str, value: Any) -> int:  # noqa: ANN401 - what a caller passed
    least = _COUNTS[name]
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise OptionError(name, value, f"a whole number from {least} on")
    return number

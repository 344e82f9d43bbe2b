"""What a call of the pipeline can be refused for; the root, `PipelineError`, is in `edgeqa.errors`.

Each also inherits the builtin that transformers raises in its place, so that code which catches that goes on working.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.errors import EXIT_DEVICE, PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SHOWN = 80  # characters of a value in a message
_FORMS = 'pass question="..." and context="...", lists of these, or {"question": "...", "context": "..."}'


class TaskUnknown(PipelineError, KeyError):
    """Another task than question answering was asked for."""

    def __init__(self, task: object) -> None:
        super().__init__(f"unknown task: {task!r}", 'the one task is "question-answering"')


class CallNotUnderstood(PipelineError, TypeError):
    """The arguments are in none of the forms that a question can be asked in."""

    hint = _FORMS


class InputsUnknown(CallNotUnderstood):
    """What was given holds no questions."""

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
    """There are as many questions as contexts, or one context."""

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
    """Windows of this length cannot go through the context: nothing is left of them beside question and overlap."""

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

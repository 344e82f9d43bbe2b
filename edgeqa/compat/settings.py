"""What may be set for a pipeline or for one call of it, under the names of transformers 4.57.1, checked. Pure."""

from __future__ import annotations

import operator
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgeqa.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

USUAL_MAX_SEQ_LEN, USUAL_DOC_STRIDE = 384, 128
IGNORED = ("padding", "batch_size", "num_workers")
"""What changes no answer: windows are read one at a time, unpadded."""
_COUNTS = {"top_k": 1, "max_answer_len": 1, "max_seq_len": 1, "max_question_len": 1, "doc_stride": 0}
_FLAGS = ("handle_impossible_answer", "align_to_words")


@dataclass(frozen=True, slots=True)
class Settings:
    """How questions are asked; lengths in tokens."""

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


def updated(settings: Settings, arguments: Mapping[str, Any], *, lenient: bool) -> Settings:
    """Returns `settings` with `arguments` set; None leaves one as it is.

    Args:
        settings: what holds so far.
        arguments: by the names of `Settings`, `topk` or `IGNORED`.
        lenient: warn of an unknown name instead of refusing it.

    Raises:
        OptionError: for a value, or without `lenient` a name, that cannot be.
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

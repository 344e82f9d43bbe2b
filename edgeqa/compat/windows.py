"""A question and a context in; the windows that a model reads, with every token's place in the text, out.

Windows are cut by the tokenizers library itself, set as transformers 4.57.1 sets it: the context is cut, never the
question, into windows of one length that overlap. What that library would panic at is refused before. Texts are taken
as they are, not NFC-normalised: places count code points of what was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeqa import forking
from edgeqa.compat.errors import WindowTooShort
from edgeqa.errors import BundleGraphInvalid
from edgeqa.models import tokenizer as _  # noqa: F401 - sets up the library for use in threads and forks

if TYPE_CHECKING:
    from pathlib import Path

Window = Any
"""`tokenizers.Encoding`"""


class Windows:
    """A tokenizer that cuts windows. Safe from many threads."""

    def __init__(self, file: Path, *, special_tokens_as_text: bool) -> None:
        """Loads the tokenizer.json `file`; "[SEP]" in a text is plain text, or, as in transformers, the separator."""
        from tokenizers import Tokenizer

        try:
            self._library = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises bare Exception for a file that it cannot read
            raise BundleGraphInvalid(file, f"not a tokenizer ({error})") from error
        self._library.no_padding()
        self._library.no_truncation()
        self._library.encode_special_tokens = special_tokens_as_text
        self._added = self._library.num_special_tokens_to_add(is_pair=True)
        self._lock = forking.lock()  # how the library truncates is its state: no two threads may set it

    def of(
        self, question: str, context: str, max_seq_len: int, doc_stride: int, most_context_tokens: int
    ) -> list[Window]:
        """Returns the windows, in the order of the text.

        Args:
            question: the question.
            context: the text to answer it from.
            max_seq_len: tokens of a window, question and special tokens included.
            doc_stride: tokens that two windows share.
            most_context_tokens: of a window, if that is less than what the question leaves.

        Raises:
            WindowTooShort: if the context does not fit, and windows would not get through it.
        """
        with self._lock:
            self._library.no_truncation()
            question_tokens = len(self._library.encode(question, add_special_tokens=False)) + self._added
            max_seq_len = min(max_seq_len, question_tokens + most_context_tokens)
            if max_seq_len - question_tokens > doc_stride:
                self._library.enable_truncation(max_seq_len, stride=doc_stride, strategy="only_second")
            whole = self._library.encode(question, context)
        if len(whole) > max_seq_len:
            raise WindowTooShort(max_seq_len, question_tokens, doc_stride)
        return [whole, *whole.overflowing]

    def cut(self, question: str, most_tokens: int) -> str:
        """Returns `question`, without what is beyond `most_tokens` tokens."""
        with self._lock:
            self._library.no_truncation()
            tokens = self._library.encode(question, add_special_tokens=False)
        return question if len(tokens) <= most_tokens else question[: tokens.offsets[most_tokens - 1][1]]

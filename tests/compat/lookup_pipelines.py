"""Makes pipelines on the networks of `lookup`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from lookup import POSITIONS, tables
from tokenizers import Tokenizer

from edgeqa.compat import QuestionAnsweringPipeline
from edgeqa.compat.calls import Settings
from edgeqa.models.bundle import DEFAULT_BUNDLE

if TYPE_CHECKING:
    from edgeqa.compat import PipelineModel
    from edgeqa.compat.decoding import Floats

DATA = Path(__file__).parent / "data"
TOKENIZERS = {
    "wordpiece": (DEFAULT_BUNDLE / "tokenizer.json", "[CLS]"),
    "bpe": (DATA / "bpe.json", "<s>"),
    "unigram": (DATA / "unigram.json", "<s>"),
}


class LookupModel:
    """Looks logits up instead of computing them."""

    text_bytes = 100_000_000
    most_tokens = most_question_tokens = most_context_tokens = POSITIONS

    def __init__(self, tokenizer: str, seed: int) -> None:
        self.tokenizer_file, cls = TOKENIZERS[tokenizer]
        library = Tokenizer.from_file(str(self.tokenizer_file))
        self.cls_id = library.token_to_id(cls)
        self._by_id, self._by_position = tables(library.get_vocab_size(), seed)

    def logits(self, window: Any) -> tuple[Floats, Floats]:  # noqa: ANN401 - the tokenizers library has no types
        ids = np.array(window.ids)
        start, end = (self._by_id[ids] + self._by_position[: len(ids)]).T
        return start, end


@cache
def lookup_pipeline(tokenizer: str, seed: int, *, compatible: bool = True) -> QuestionAnsweringPipeline:
    """Returns a pipeline on the network of a seed."""
    return QuestionAnsweringPipeline(
        cast("PipelineModel", LookupModel(tokenizer, seed)), Settings(), compatible=compatible
    )

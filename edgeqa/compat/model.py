"""An opened model for the pipeline: a window in, the logits of its tokens out.

It runs on the plan for this device, after the self-test, as `edgeqa.open` does; both kinds of bundle serve. Of a split
bundle, encodings of windows are kept, so that another question on the same text costs the upper layers only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeqa.compat.decoding import CONTEXT
from edgeqa.models import selftest
from edgeqa.models.encodings import Encodings
from edgeqa.models.reader import SplitReader
from edgeqa.models.session import SessionOptions
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from edgeqa.compat.decoding import Floats
    from edgeqa.compat.windows import Window
    from edgeqa.parts import Parts


class Model:
    """A bundle's reader, loaded and tested. Safe from many threads."""

    def __init__(self, parts: Parts) -> None:
        """Loads it.

        Raises:
            NotEnoughMemory: if it does not fit.
            BundleError: if it cannot be loaded, or fails its self-test.
        """
        plan, bundle = parts.plan, parts.bundle
        options = SessionOptions(
            threads=plan.threads.value,
            spinning=plan.spinning.value,
            x64_quant_precision=plan.precision.value == "int8-u8u8",
        )
        self._reader = SplitReader(bundle, options)
        self.tokenizer_file = bundle.file("tokenizer.json")
        flags, precision = parts.device.int8_flags, plan.precision.value
        if selftest.remembered(bundle, flags, precision) is None:
            selftest.assure(bundle, flags, precision, Tokenizer(self.tokenizer_file), self._reader)
        self._encodings = Encodings(self._reader.encode_context, plan.encoding_store_bytes.value)
        m = bundle.manifest
        self.cls_id = m.cls_id
        self.most_tokens = m.max_question_tokens + m.max_context_tokens
        self.most_question_tokens = m.max_question_tokens - 2  # [CLS] and [SEP] are of the question
        self.most_context_tokens = m.max_context_tokens - 1  # [SEP] is of the context

    def logits(self, window: Window) -> tuple[Floats, Floats]:
        """Returns start and end logits, float32 [tokens]; those of tokens that no answer can have may be 0."""
        sequences = window.sequence_ids
        ids = np.array(window.ids, dtype=np.int64)
        question, context = (ids[[s == which for s in sequences]] for which in (0, CONTEXT))
        both = np.zeros((2, len(ids)), np.float32)
        if len(context):
            first = sequences.index(CONTEXT)
            hidden = self._reader.encode_question(question)
            of_cls, of_context = self._reader.logits(hidden, self._encodings.of(context))
            both[:, 0], both[:, first : first + len(context)] = of_cls, of_context.T
        return both[0], both[1]

"""A model for the pipeline, opened: a window in, the logits of its tokens out.

It is a bundle, bundled, added or in a directory, or an export's directory as it is, which is read in place. It runs on
the plan for this device; a bundle is tested before, as by `edgeqa.open`, an export is tried out, as by `models add`.
Of a split bundle, encodings of windows are kept, so that another question on the same text costs the upper layers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from edgeqa.compat.decoding import CONTEXT, QUESTION
from edgeqa.models import manifest
from edgeqa.models.bundle import Bundle
from edgeqa.models.lru import Encodings
from edgeqa.models.opening import open_model
from edgeqa.models.readers import JointReader
from edgeqa.models.shelf import find_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.capabilities.plan import Plan
    from edgeqa.capabilities.settings import Overrides
    from edgeqa.compat.decoding import Floats
    from edgeqa.compat.windows import Window
    from edgeqa.models.readers import Encoding, Ids, SplitReader

    Read = Callable[[Ids, Ids], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True)
class Model:
    """What a pipeline has to know of a model. Safe from many threads."""

    tokenizer_file: Path
    read: Read
    """Ids of a question and of a context to start and end logits, float32 [tokens], of the window they make."""
    cls_id: int
    most_tokens: int
    """Of a window; the next two are of its parts, without special tokens."""
    most_question_tokens: int
    most_context_tokens: int
    text_bytes: int
    """Memory that is left for a text's tokens."""

    def logits(self, window: Window) -> tuple[Floats, Floats]:
        """Returns start and end logits, float32 [tokens]; those of tokens that no answer can have may be 0."""
        ids = np.array(window.ids, dtype=np.int64)
        question, context = ([s == which for s in window.sequence_ids] for which in (QUESTION, CONTEXT))
        return self.read(ids[question], ids[context])


def open_pipeline_model(given: str | Path | None, overrides: Overrides) -> Model:
    """Returns the model that is meant, loaded.

    Args:
        given: a model's name, or the directory of a bundle or of an export; None means the model in use.
        overrides: what the user wants instead of the plan's choices.

    Raises:
        BundleError: if there is no such model, or it cannot be used on this device.
        NotEnoughMemory: if it does not fit.
    """
    path = find_bundle(given)
    if not (path / manifest.NAME).exists():
        return _of_export(path, overrides)
    bundle = Bundle.load(path)
    opened, m, file = open_model(bundle, overrides), bundle.manifest, bundle.file("tokenizer.json")
    if isinstance(opened.reader, JointReader):
        return _joint(opened.reader, file, opened.plan)
    split, plan = cast("SplitReader", opened.reader), opened.plan  # there are two kinds
    return Model(
        tokenizer_file=file,
        read=_in_two_steps(split, Encodings(split.encode_context, plan.encoding_store_bytes.value)),
        cls_id=m.cls_id,
        most_tokens=m.max_question_tokens + m.max_context_tokens,
        most_question_tokens=m.max_question_tokens - 2,  # [CLS] and [SEP] are of the question
        most_context_tokens=m.max_context_tokens - 1,  # [SEP] is of the context
        text_bytes=plan.available_bytes.value - plan.needed_bytes,
    )


def _of_export(directory: Path, overrides: Overrides) -> Model:
    """Returns the model that an exporter has written to `directory`."""
    from edgeqa.models.exports.export import read_export
    from edgeqa.models.exports.trial import Trial

    trial = Trial(read_export(str(directory)), overrides)
    graph = trial.export.graph
    return _joint(trial.load(graph), trial.export.tokenizer, trial.plan(graph))


def _joint(reader: JointReader, tokenizer_file: Path, plan: Plan) -> Model:
    most = reader.joint.max_tokens
    return Model(
        tokenizer_file=tokenizer_file,
        read=reader.logits,
        cls_id=reader.pair.before[0],
        most_tokens=most,
        most_question_tokens=most,
        most_context_tokens=most,
        text_bytes=plan.available_bytes.value - plan.needed_bytes,
    )


def _in_two_steps(reader: SplitReader, encodings: Encodings[Encoding]) -> Read:
    def read(question: Ids, context: Ids) -> tuple[Floats, Floats]:
        first = len(question) + 2  # [CLS] and [SEP]
        both = np.zeros((2, first + len(context) + 1), np.float32)
        if len(context):
            of_cls, of_context = reader.logits(reader.encode_question(question), encodings.of(context))
            both[:, 0], both[:, first:-1] = of_cls, of_context.T
        return both[0], both[1]

    return read

"""`edgeqa.pipeline` takes the place of `transformers.pipeline("question-answering")`, so that old code goes on working.

In: the calls that the pipeline of transformers 4.57.1 takes (5.3 no longer has it). Out: its dicts, with the same spans
and scores for the same network. A call is parsed, windows are cut, the model is run, and its logits are decoded. This
package is not imported before `edgeqa.pipeline` is used.

The model is a bundle (the bundled one, an added one, or one in a directory), or the directory of an export, which is
read in place. It runs on the plan for this device. A bundle is tested first, as by `edgeqa.open`; an export is tried
first, as by `models add`. The encodings of a split bundle's windows are kept, so that another question on the same text
runs the upper layers only.

The tokenizers library itself cuts the windows, with the settings of transformers: it cuts the context, never the
question, into windows of one length that overlap. Input on which that library would panic is refused before. Texts are
taken as they are, without NFC: places count code points of the given text.

Each oddity of that pipeline is kept with `compatible=True`, the default, and is put right with `compatible=False`:

- Equal texts are one answer. Its score is their sum over places and windows, and may exceed 1.
  False: a place counts once, with its best score; no two answers overlap.
- Each window has a softmax of its own. False: one distribution over all windows and "no answer" adds up to 1.
- "No answer" has the smallest score that a window gives it. False: it has its share of that distribution.
- For a large `top_k` among few tokens there are spans of score 0, some of them empty. False: only spans with text in
  them, or "no answer" if there is none.
- With `top_k` over 1 there is a list, or the answer itself if it is the only one. False: always a list.
- A list of one question gets an answer. False: it gets a list of one.
- "[SEP]" in a text is the separator itself. False: it is plain text.
- `max_question_len` is ignored. False: a longer question is cut.
- An argument that does not exist is ignored (here with a warning). False: it is refused.

These differences from transformers remain with either value:

- A question on which transformers' tokenizer fails (no room for the context, windows that cannot advance) is refused
  with a `PipelineError`; a short context that needs no window is answered.
- `{"question": [...], "context": "..."}` asks each question of the context; transformers asks its characters.
- `padding`, `batch_size` and `num_workers` are accepted, without effect: windows are read one at a time, unpadded.
- There are no warnings of deprecation, for `topk`, `data`, `X` and positional arguments.
- A split bundle, such as the bundled model, reads at most 62 tokens of a question, and 447 tokens of context a window.
  It keeps its encodings in int8, and so answers 5 of 400 questions in another way than one float32 graph does.
- A context whose tokens do not fit into memory is refused; they take about 170 bytes for each character of English.
- A pipeline is there to be called: it has no `model`, `tokenizer`, `predict` or `save_pretrained`.
- Answers are not remembered: the cache is `edgeqa.open`'s.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edgeqa import forking, state
from edgeqa.capabilities import Overrides
from edgeqa.compat.calls import (
    INPUTS,
    ContextTooLarge,
    Form,
    Settings,
    TaskUnknown,
    WindowTooLong,
    WindowTooShort,
    parse_call,
    update_settings,
)
from edgeqa.compat.decoding import CONTEXT, QUESTION, Decoder, Ranker
from edgeqa.errors import OptionError
from edgeqa.models import manifest
from edgeqa.models.bundle import Bundle
from edgeqa.models.opening import open_model
from edgeqa.models.readers import JointReader
from edgeqa.models.reading import Encodings
from edgeqa.models.shelf import find_bundle
from edgeqa.models.tokenizer import load_library

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.capabilities.plan import Plan
    from edgeqa.compat.calls import Example
    from edgeqa.compat.decoding import Answer, Floats, Window
    from edgeqa.models.readers import Encoding, Ids, SplitReader

    Read = Callable[[Ids, Ids], tuple[Floats, Floats]]


TASK = "question-answering"
_TRIED = "tried-exports"
BYTES_A_TEXT_BYTE = 240  # tokens in windows of the usual overlap: 167 for English, more if a token is a character
# transformers needs these arguments to find and load a model, and edgeqa does not.
NOT_NEEDED = (
    *("config", "tokenizer", "framework", "revision", "use_fast", "token", "device", "device_map"),
    *("dtype", "torch_dtype", "trust_remote_code", "model_kwargs"),
)


def pipeline(
    task: str | None = TASK,
    model: str | Path | None = None,
    *,
    compatible: bool = True,
    threads: int | None = None,
    budget_bytes: int | None = None,
    **settings: Any,  # noqa: ANN401 - as a call's
) -> QuestionAnsweringPipeline:
    """Returns a pipeline that answers questions from contexts, as `transformers.pipeline` does.

    Examples:
        >>> qa = edgeqa.pipeline("question-answering")
        >>> qa(question="Who built it?", context="The bridge was built by Dorman Long.")["answer"]
        'Dorman Long'

    Args:
        task: "question-answering".
        model: name of an added model, or the directory of an export or of a bundle; by default the model in use, which
            is the bundled one until `edgeqa models use` names another.
        compatible: keep the oddities of transformers 4.57.1; see `edgeqa.compat`.
        threads: cores to use, instead of the plan's choice.
        budget_bytes: memory that edgeqa may use, instead of what the probe finds free.
        **settings: defaults for all calls, as in `QuestionAnsweringPipeline.__call__`. What transformers takes to find
            and load a model, such as `device`, `framework` and `tokenizer`, is not needed and without effect.

    Raises:
        TaskUnknown: for another task.
        BundleError: if there is no such model, or it cannot be used on this device.
        NotEnoughMemory: if it does not fit.
        OptionError: for a setting that cannot be.
    """
    if task not in (TASK, None):
        raise TaskUnknown(task)
    if not isinstance(model, (str, Path, type(None))):
        raise OptionError(
            name="model", value=model, expected="the path of a directory; a loaded network is exported to one first"
        )
    kept = {name: value for name, value in settings.items() if name not in NOT_NEEDED}
    defaults = update_settings(Settings(), kept, lenient=compatible)
    overrides = Overrides(threads=threads, budget_bytes=budget_bytes, persist="off", mmap=state.maps_files())
    return QuestionAnsweringPipeline(_open(model, overrides), defaults, compatible=compatible)


class QuestionAnsweringPipeline:
    """Answers questions from contexts. Safe from many threads. Made by `edgeqa.pipeline`."""

    task = TASK

    def __init__(self, model: PipelineModel, settings: Settings, *, compatible: bool) -> None:
        self._model = model
        self._settings = settings
        self._compatible = compatible
        self._windows = Windows(model.tokenizer_file, special_tokens_as_text=not compatible)

    def __call__(self, *args: object, **kwargs: Any) -> Any:  # noqa: ANN401 - a dict, a list or an iterator of them
        """Returns `{"score", "start", "end", "answer"}`, or several of them.

        An answer's place counts code points of the context. With `top_k` there is a list for each question; a list of
        questions gets a list, a generator gets an iterator that reads as it is read.

        Args:
            *args: a question and a context; or one or several examples, each a dict with "question" and "context" or
                an object with `question_text` and `context_text`; or a generator of such.
            **kwargs: `question` and `context`, strings or lists (or `data` or `X`, examples), and any of
                top_k: how many answers to give at most; 1 by default. `topk` is its older name.
                doc_stride: tokens that two windows of a long context share; 128, or half a window if that is shorter.
                max_answer_len: longest answer, in tokens; 15.
                max_seq_len: length of a window in tokens, question included; 384, or what the model reads.
                max_question_len: 64; ignored as transformers does, unless `compatible=False`.
                handle_impossible_answer: whether "no answer", `""`, may be one.
                align_to_words: give whole words; true by default.
                padding, batch_size, num_workers: without effect.

        Raises:
            PipelineError: for a call that cannot be understood, and for windows that do not fit question or model.
            OptionError: for a setting that cannot be.
        """
        call = parse_call(args, {name: kwargs.pop(name) for name in INPUTS if name in kwargs})
        settings = update_settings(self._settings, kwargs, lenient=self._compatible)
        answers = (self._answer(example, settings) for example in call.examples)
        match call.form:
            case Form.STREAM:
                return answers
            case Form.ONE:
                return next(answers)
            case Form.ONE_IN_LIST if self._compatible:
                return next(answers)
        return list(answers)

    def _answer(self, example: Example, settings: Settings) -> Answer | list[Answer]:
        model, (question, context) = self._model, example
        window_tokens, overlap_tokens = settings.lengths(model.most_tokens)
        needed_bytes = len(context.encode()) * BYTES_A_TEXT_BYTE
        if needed_bytes > model.text_bytes:
            raise ContextTooLarge(len(context), needed_bytes, model.text_bytes)
        most_tokens = model.most_question_tokens
        question = self._windows.cut(
            question, most_tokens if self._compatible else min(most_tokens, settings.max_question_len)
        )
        decoder = Decoder(context, settings, model.cls_id) if self._compatible else Ranker(context, settings)
        windows = self._windows.of(
            question,
            context,
            max_seq_len=window_tokens,
            doc_stride=overlap_tokens,
            most_context_tokens=model.most_context_tokens,
        )
        if len(windows[0]) > model.most_tokens:  # a longer limit harms no shorter text
            raise WindowTooLong(window_tokens, model.most_tokens)
        for window in windows:
            decoder.offer(window, *model.logits(window))
        answers = decoder.rank()
        single = len(answers) == 1 if self._compatible else settings.top_k == 1
        return answers[0] if single else answers


class Windows:
    """A tokenizer that cuts windows. Safe from many threads."""

    def __init__(self, file: Path, *, special_tokens_as_text: bool) -> None:
        """Loads the tokenizer.json `file`; "[SEP]" in a text is plain text, or the separator as in transformers."""
        self._library = load_library(file)
        self._library.encode_special_tokens = special_tokens_as_text
        self._added = self._library.num_special_tokens_to_add(is_pair=True)
        self._lock = forking.LibraryLock()  # the library's truncation is state: only one thread at a time may set it

    def of(
        self, question: str, context: str, max_seq_len: int, doc_stride: int, most_context_tokens: int
    ) -> list[Window]:
        """Returns the windows, in the order of the text.

        Args:
            question: the question.
            context: the text to answer it from.
            max_seq_len: tokens of a window, question and special tokens included.
            doc_stride: tokens that two windows share.
            most_context_tokens: limit for the context's part of a window, if the question leaves more room than that.

        Raises:
            WindowTooShort: if the context does not fit, and windows would not get through it.
        """
        with self._lock.turn():
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
        """Returns `question`, cut after `most_tokens` tokens."""
        with self._lock.turn():
            self._library.no_truncation()
            tokens = self._library.encode(question, add_special_tokens=False)
        return question if len(tokens) <= most_tokens else question[: tokens.offsets[most_tokens - 1][1]]


@dataclass(frozen=True, slots=True)
class PipelineModel:
    """A model, as a pipeline sees it. Safe from many threads."""

    tokenizer_file: Path
    read: Read
    """Takes the ids of a question and of a context; returns the window's start and end logits, float32 [tokens]."""
    cls_id: int
    most_tokens: int
    """The length limit of a window; the next two are the limits of its parts, without special tokens."""
    most_question_tokens: int
    most_context_tokens: int
    text_bytes: int
    """The memory that is left for a text's tokens."""

    def logits(self, window: Window) -> tuple[Floats, Floats]:
        """Returns start and end logits, float32 [tokens]; a token that no answer can contain may have 0."""
        ids = np.array(window.ids, dtype=np.int64)
        question, context = ([s == which for s in window.sequence_ids] for which in (QUESTION, CONTEXT))
        return self.read(ids[question], ids[context])


def _open(given: str | Path | None, overrides: Overrides) -> PipelineModel:
    """Returns the model that is meant, loaded.

    Args:
        given: a model's name, or the directory of a bundle or of an export; None means the model in use.
        overrides: the user's choices instead of the plan's.

    Raises:
        BundleError: if there is no such model, or it cannot be used on this device.
        NotEnoughMemory: if it does not fit.
    """
    path = find_bundle(given)
    if not (path / manifest.NAME).exists():
        return _open_export(path, overrides)
    bundle = Bundle.load(path)
    opened, m, file = open_model(bundle, overrides), bundle.manifest, bundle.file("tokenizer.json")
    if isinstance(opened.reader, JointReader):
        return _joint(opened.reader, file, opened.plan)
    split, plan = cast("SplitReader", opened.reader), opened.plan  # there are two kinds
    return PipelineModel(
        tokenizer_file=file,
        read=_in_two_steps(split, Encodings(split.encode_context, plan.encoding_store_bytes.value)),
        cls_id=m.cls_id,
        most_tokens=m.max_question_tokens + m.max_context_tokens,
        most_question_tokens=m.max_question_tokens - 2,  # the question takes [CLS] and [SEP]
        most_context_tokens=m.max_context_tokens - 1,  # the context takes a [SEP]
        text_bytes=plan.available_bytes.value - plan.needed_bytes,
    )


def _open_export(directory: Path, overrides: Overrides) -> PipelineModel:
    """Returns the model that an exporter has written to `directory`, after a trial in a process of its own.

    The result of a trial is remembered, under the size and times of the files.
    """
    from edgeqa.models.exports import read_export
    from edgeqa.models.exports.trial import Trial, try_apart

    export = read_export(str(directory))
    place, seen = os.path.realpath(directory), [_seen(file) for file in (*export.graph.files, export.tokenizer)]
    if state.recall(_TRIED, place) != seen:
        try_apart(str(directory), None, overrides, lambda *_: None)
        state.remember(_TRIED, place, seen)
    trial = Trial(export, overrides)
    graph = trial.export.graph
    return _joint(trial.load(graph), trial.export.tokenizer, trial.plan(graph))


def _seen(file: Path) -> list[object]:
    found = file.stat()
    return [file.name, found.st_size, found.st_mtime_ns, found.st_ino]


def _joint(reader: JointReader, tokenizer_file: Path, plan: Plan) -> PipelineModel:
    most = reader.joint.max_tokens
    return PipelineModel(
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

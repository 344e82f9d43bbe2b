"""`edgeqa.pipeline`: what code for transformers' pipeline calls, on an edgeqa model.

A pipeline takes the arguments, and returns the dicts, of the question-answering pipeline of transformers 4.57.1. This
module only puts the steps together: understand the call, cut windows, run the model, decode.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeqa.capabilities.settings import Overrides
from edgeqa.compat.calls import INPUTS, Form, understood
from edgeqa.compat.decoding import Decoder
from edgeqa.compat.errors import ContextTooLarge, TaskUnknown, WindowTooLong
from edgeqa.compat.model import open_pipeline_model
from edgeqa.compat.ranking import Ranker
from edgeqa.compat.settings import Settings, updated
from edgeqa.compat.windows import Windows
from edgeqa.errors import OptionError

if TYPE_CHECKING:
    from edgeqa.compat.calls import Example
    from edgeqa.compat.decoding import Answer
    from edgeqa.compat.model import Model

TASK = "question-answering"
BYTES_A_TEXT_BYTE = 240  # of tokens in windows of the usual overlap: 167 for English, more where a token is a character
# What transformers needs to find and load a model, and edgeqa does not.
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
    defaults = updated(Settings(), kept, lenient=compatible)
    overrides = Overrides(threads=threads, budget_bytes=budget_bytes, persist="off")
    return QuestionAnsweringPipeline(open_pipeline_model(model, overrides), defaults, compatible=compatible)


class QuestionAnsweringPipeline:
    """Answers questions from contexts. Safe from many threads. Made by `edgeqa.pipeline`."""

    task = TASK

    def __init__(self, model: Model, settings: Settings, *, compatible: bool) -> None:
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
        call = understood(args, {name: kwargs.pop(name) for name in INPUTS if name in kwargs})
        settings = updated(self._settings, kwargs, lenient=self._compatible)
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

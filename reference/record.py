"""Records golden answers of transformers' pipeline for the suite that runs without it.

    python reference/record.py tests/compat/data

Writes `answers.json`: texts, calls, and what transformers answered, on the network of `tests/compat/lookup.py`; and
two small tokenizers beside it. `test_recorded.py` shows that what is recorded is still what transformers says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers
from calls import CALLS, Pipeline
from lookups import lookup_pipeline
from texts import QUESTIONS_UNICODE, SETTINGS, SHORT, UNICODE, paragraphs, squad
from torch_networks import BUNDLED_TOKENIZER, roberta_bpe, xlm_unigram

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL_VOCABULARY = 330
CALLS_SEED = 7
TOKENIZERS: dict[str, tuple[str, str]] = {
    "wordpiece": ("BertTokenizerFast", str(BUNDLED_TOKENIZER)),
    "bpe": ("RobertaTokenizerFast", "bpe.json"),
    "unigram": ("XLMRobertaTokenizerFast", "unigram.json"),
}


def golden(data: Path) -> dict[str, Any]:
    """Returns texts, calls and answers; `data` holds the small tokenizers."""
    texts = [*paragraphs()[:6], *UNICODE, *SHORT]
    questions = [squad()[0][0], squad()[-1][0], *QUESTIONS_UNICODE]
    plans = [
        *(([n], n) for n in range(len(texts))),
        ([0, 1, 2, 3, 4, 5], 3),
        ([*range(6, 16)], 5),
        ([5, 4, 5, 4, 5, 4, 5, 3], 2),
        ([19, 18, 19, 18, 17, 0, 1], 4),
    ]
    cases = []
    for seed, name in enumerate(TOKENIZERS):
        pipeline = lookup_pipeline(*_of(data, name), seed)
        for number, (parts, question) in enumerate(plans):
            if number % len(TOKENIZERS) != seed and len(parts) == 1:
                continue
            settings = SETTINGS[(number + seed) % len(SETTINGS)]
            asked, context = questions[question % len(questions)], "\n".join(texts[n] for n in parts)
            answers = pipeline(question=asked, context=context, **settings)
            cases.append(
                {
                    "tokenizer": name,
                    "seed": seed,
                    "question": question % len(questions),
                    "texts": parts,
                    "settings": settings,
                    "answers": answers,
                }
            )
    calls = called(lookup_pipeline(*_of(data, "wordpiece"), CALLS_SEED), _example)
    return {
        "transformers": transformers.__version__,
        "texts": texts,
        "questions": questions,
        "calls_seed": CALLS_SEED,
        "calls": calls,
        "cases": cases,
    }


def called(pipeline: Pipeline, example: Callable[[str, str], object]) -> dict[str, Any]:
    """Returns what a pipeline makes of each form of a call: what it gives, or the name of what it raises."""

    def outcome(call: Callable[..., Any]) -> dict[str, Any]:
        try:
            return {"gives": call(pipeline, example)}
        except BaseException as error:  # the tokenizer panics, outside of Exception
            return {"raises": type(error).__name__}

    return {name: outcome(call) for name, call in CALLS.items()}


def _example(question: str, context: str) -> transformers.SquadExample:
    return transformers.SquadExample(None, question, context, None, None, None)


def _of(data: Path, name: str) -> tuple[str, Path]:
    kind, file = TOKENIZERS[name]
    return kind, data / file


def main() -> None:
    """Writes the files to the directory that the command line names."""
    data = Path(sys.argv[1])
    for make, name in ((roberta_bpe, "bpe.json"), (xlm_unigram, "unigram.json")):
        tokenizer = json.loads(make(SMALL_VOCABULARY).to_str())
        (data / name).write_text(
            json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
        )
    recorded = golden(data)
    cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in recorded.pop("cases"))
    calls = ",\n".join(
        f"{json.dumps(n)}: {json.dumps(c, ensure_ascii=False)}" for n, c in recorded.pop("calls").items()
    )
    head = json.dumps(recorded, ensure_ascii=False, indent=0).removesuffix("\n}")
    (data / "answers.json").write_text(
        f'{head},\n"calls": {{\n{calls}\n}},\n"cases": [\n{cases}\n]\n}}\n', encoding="utf-8"
    )


if __name__ == "__main__":
    main()

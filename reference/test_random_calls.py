"""Tests that random texts and settings get the answers and refusals of transformers, on networks that are looked up."""

from __future__ import annotations

import random
from typing import Any

import pytest
from comparison import compared
from lookup_pipelines import lookup_pipeline
from lookups import lookup_pipeline as transformers_pipeline
from record import TOKENIZERS
from test_recorded import DATA
from texts import QUESTIONS_UNICODE, SHORT, UNICODE, Asked, paragraphs, squad

CALLS, SEED = 700, 11
ALPHABET = (
    "aA bB eE\u0301\u0308 \n\t.,!?'\"-\u2013[]<>/ß①ﬁ½字語한\u1100\u1161กםع"
    "\u200d\u200b\ufeff\u00ad\U0001f468\U0001f3fd\x7f"
)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_random_calls_are_answered_alike(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    choose = random.Random(SEED)
    seed = choose.randrange(1000)
    kind, file = TOKENIZERS[name]
    outcome = compared(
        lookup_pipeline(name, seed),
        transformers_pipeline(kind, DATA / file, seed),
        [Asked(_question(choose), _context(choose), _settings(choose)) for _ in range(CALLS)],
    )
    with capsys.disabled():
        print(f"\n{name}: {outcome.line()}")
    assert not outcome.different, "\n".join(outcome.different[:5])


def _noise(choose: random.Random, most: int) -> str:
    return "".join(choose.choice(ALPHABET) for _ in range(choose.randrange(1, most)))


def _question(choose: random.Random) -> str:
    of = choose.random()
    return _noise(choose, 40) if of < 0.4 else choose.choice([*QUESTIONS_UNICODE, *(q for q, _ in squad())])


def _context(choose: random.Random) -> str:
    of = choose.random()
    if of < 0.4:
        return _noise(choose, 200)
    parts = [choose.choice([*SHORT, *UNICODE, *paragraphs()]) for _ in range(choose.randrange(1, 4))]
    return choose.choice(("", " ", "\n\n")).join(parts)


def _settings(choose: random.Random) -> dict[str, Any]:
    window = choose.choice((16, 30, 48, 64, 100, 200, 384, 512))
    every = {
        "top_k": choose.choice((1, 1, 2, 3, 5, 10, 40)),
        "max_answer_len": choose.choice((1, 2, 5, 15, 40, 1000)),
        "max_seq_len": window,
        "doc_stride": choose.choice((0, 1, window // 8, window // 4, window // 2, window)),
        "handle_impossible_answer": choose.random() < 0.5,
        "align_to_words": choose.random() < 0.5,
    }
    return {name: value for name, value in every.items() if choose.random() < 0.6}

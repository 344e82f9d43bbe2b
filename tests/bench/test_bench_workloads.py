"""Tests that the texts that are timed have the lengths that stand beside the times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeqa.bench import WORKLOADS, Texts, Workload

if TYPE_CHECKING:
    from edgeqa.models.tokenizer import Tokenizer


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)
def test_questions_and_contexts_have_exactly_so_many_tokens(workload: Workload, tokenizer: Tokenizer) -> None:
    texts = Texts(tokenizer)
    given = texts.contexts(workload)
    contexts = [given] if isinstance(given, str) else given
    assert [len(tokenizer.tokenize(c)) for c in contexts] == [workload.context_tokens] * workload.contexts
    questions = [texts.question(workload.question_tokens) for _ in range(50)]
    assert {len(tokenizer.tokenize(q)) for q in questions} == {workload.question_tokens}
    assert len(set(questions)) == 50  # one asked twice would be a hit


def test_the_same_seed_gives_the_same_texts(tokenizer: Tokenizer) -> None:
    def made(seed: int) -> list[str]:
        texts = Texts(tokenizer, seed)
        return [texts.question(8), texts.context(32)]

    assert made(1) == made(1) != made(2)

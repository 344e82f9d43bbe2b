from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from edgeqa.contexts.documents import documents
from edgeqa.contexts.passages import Limits
from edgeqa.contexts.routing import Routed, Router
from edgeqa.contexts.texts import Passages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeqa.models.tokenizer import Tokenizer

LIMITS = Limits(whole_tokens=447, window_tokens=320)
ENGLISH = "The pump stands in the cellar, and nobody has looked at it since the summer.\n"
CYRILLIC = "Насос стоит в подвале, и никто не смотрел на него с лета.\n"  # noqa: RUF001 - another script is meant
CHINESE = "水泵在地下室里，从夏天起就没有人看过它。"  # noqa: RUF001 - another script is meant
QUESTION = "What is the impeller made of?"
ANSWER = "The impeller is made of bronze.\n"
DIGITS = "".join(random.Random(1).choices("0123456789abcdef    ", k=5000))  # noqa: S311 - any text as dense would do


def route(tokenizer: Tokenizer, given: str | Sequence[str | Path], most: int) -> tuple[bool, list[Routed]]:
    router = Router(Passages(tokenizer.tokenize, LIMITS), most)
    texts = documents(given)
    skims = router.skims(texts)
    return skims, list(router.route(texts, QUESTION, lambda *_: None, skims=skims))


@pytest.mark.parametrize("filler", [ENGLISH, CYRILLIC, CHINESE, DIGITS, "word " * 1000 + CHINESE * 200])
@pytest.mark.parametrize("most", [1, 10])
def test_never_more_contexts_are_read_than_allowed_and_the_best_are_among_them(
    tokenizer: Tokenizer, filler: str, most: int
) -> None:
    half = filler * (60_000 // len(filler))
    skims, found = route(tokenizer, half + "\n" + ANSWER + half, most)
    assert skims
    assert 0 < len(found) <= most
    assert any(ANSWER.strip() in r.passage.text for r in found)


@pytest.mark.parametrize("filler", [ENGLISH, CYRILLIC, CHINESE])
def test_where_everything_matches_the_allowance_is_used(tokenizer: Tokenizer, filler: str) -> None:
    _, found = route(tokenizer, (filler * 20 + "impeller\n") * 60, 20)
    assert 18 <= len(found) <= 20
    assert max(len(r.passage.tokens) for r in found) <= LIMITS.whole_tokens


@pytest.mark.parametrize("filler", [ENGLISH, CYRILLIC, CHINESE, DIGITS])
def test_texts_are_read_whole_exactly_as_long_as_that_is_allowed(tokenizer: Tokenizer, filler: str) -> None:
    text = filler * (20_000 // len(filler))
    skims, found = route(tokenizer, text, 1000)
    assert not skims
    assert [route(tokenizer, text, most)[0] for most in (len(found), len(found) - 1)] == [False, True]


def test_many_small_texts_count_as_one_context_each(tokenizer: Tokenizer) -> None:
    small = [ENGLISH] * 20 + [ANSWER]
    skims, found = route(tokenizer, small, 1)
    assert skims
    assert [(r.passage.text, r.source_number) for r in found] == [(ANSWER, 20)]
    assert not route(tokenizer, small, 21)[0]


@pytest.mark.parametrize("text", [CYRILLIC * 300, ENGLISH * 300])
def test_a_text_is_read_alike_from_a_string_and_from_a_file(tokenizer: Tokenizer, tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.txt"
    file.write_text(text, encoding="utf-8")
    for most in (3, 1000):
        given, read = route(tokenizer, text, most), route(tokenizer, [file], most)
        assert given[0] == read[0]
        assert [r.passage.start for r in given[1]] == [r.passage.start for r in read[1]]


@pytest.mark.parametrize("nothing", ["\n \n", "\u200b\n", "\x0c"])
def test_blank_sections_are_not_worth_reading(tokenizer: Tokenizer, nothing: str) -> None:
    skims, found = route(tokenizer, nothing * 400_000 + "The man.", 50)
    assert skims
    assert found[-1].passage.text.endswith("The man.")


@pytest.mark.parametrize("text", [ENGLISH * 500, CHINESE * 2000, ENGLISH])
def test_progress_never_goes_back_and_ends(tokenizer: Tokenizer, text: str) -> None:
    router = Router(Passages(tokenizer.tokenize, LIMITS), 5)
    texts = documents(text)
    calls: list[tuple[str, int, int]] = []
    list(router.route(texts, QUESTION, lambda *call: calls.append(call), skims=router.skims(texts)))
    for doing in {doing for doing, _, _ in calls}:
        done = [done for what, done, _ in calls if what == doing]
        (total,) = {total for what, _, total in calls if what == doing}
        assert done == sorted(done)
        assert done[-1] == total

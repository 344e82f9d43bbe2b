"""Tests `edgeqa.pipeline` on the bundled model: opening it, threads, and what `compatible=False` puts right."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lookup_pipelines import lookup_pipeline

import edgeqa
from edgeqa import state
from edgeqa.compat.calls import CallNotUnderstood, ContextTooLarge, PartEmpty, TaskUnknown, WindowTooShort
from edgeqa.errors import BundleError, OptionError, PipelineError
from edgeqa.models.bundle import DEFAULT_BUNDLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Run

    from edgeqa.compat import QuestionAnsweringPipeline

ROOT = Path(__file__).parent.parent.parent
BEAGLE = (ROOT / "examples" / "voyage-of-the-beagle.txt").read_text(encoding="utf-8")
PUMP = (ROOT / "examples" / "pump-manual.txt").read_text(encoding="utf-8")
DEPTH = "To what depth may the pump be submerged?"


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionAnsweringPipeline]:
    """A pipeline on the bundled model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(state.HOME_VARIABLE, str(tmp_path_factory.mktemp("home")))
        yield edgeqa.pipeline("question-answering")


def test_the_bundled_model_answers(pipe: QuestionAnsweringPipeline) -> None:
    answer = pipe(question=DEPTH, context=PUMP)
    assert list(answer) == ["score", "start", "end", "answer"]
    assert answer["answer"] == PUMP[answer["start"] : answer["end"]] == "12 metres"
    assert 0.5 < answer["score"] <= 1


def test_short_windows_find_the_same_answer(pipe: QuestionAnsweringPipeline) -> None:
    answer = pipe(question="Who commanded the Beagle?", context=BEAGLE, max_seq_len=64, doc_stride=16)
    assert answer["answer"].startswith("Captain Fitz Roy")


def test_windows_are_never_longer_than_the_model_reads(pipe: QuestionAnsweringPipeline) -> None:
    answer = pipe(question=DEPTH, context=PUMP * 4, max_seq_len=512, doc_stride=100)
    assert answer["answer"] == "12 metres"
    assert pipe(question=DEPTH * 40, context=PUMP)["answer"] == pipe(question=DEPTH * 30, context=PUMP)["answer"]


def test_importing_edgeqa_does_not_import_it(run: Run) -> None:
    code = "import edgeqa, sys; edgeqa.open; assert not [n for n in sys.modules if n.startswith('edgeqa.compat')]"
    assert run(code).communicate() == ("", "")


def test_the_arguments_of_old_code_are_taken() -> None:
    pipe = edgeqa.pipeline(task="question-answering", model=None, tokenizer="x", framework="pt", device=-1, top_k=2)
    assert len(pipe(question=DEPTH, context=PUMP)) == 2
    assert pipe(question=DEPTH, context=PUMP, top_k=1)["answer"] == "12 metres"


def test_a_directory_is_a_model() -> None:
    assert edgeqa.pipeline(model=str(DEFAULT_BUNDLE))(DEPTH, PUMP)["answer"] == "12 metres"


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskUnknown, match="summarization"):
        edgeqa.pipeline("summarization")
    with pytest.raises(BundleError, match="no graph in"):
        edgeqa.pipeline(model=tmp_path)
    with pytest.raises(OptionError, match="model cannot be"):
        edgeqa.pipeline(model=object())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="top_k cannot be 0"):
        edgeqa.pipeline(top_k=0)


@pytest.mark.parametrize("name", ["top_k", "max_answer_len", "max_seq_len", "max_question_len"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_a_count_is_a_whole_number(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} cannot be"):
        lookup_pipeline("wordpiece", 0)(DEPTH, PUMP, **{name: value})


def test_a_name_that_does_not_exist_is_told() -> None:
    with pytest.warns(UserWarning, match="max_anwser_len") as warned:
        lookup_pipeline("wordpiece", 0)(DEPTH, PUMP, max_anwser_len=3)
    assert warned[0].filename == __file__
    with pytest.raises(OptionError, match="max_anwser_len"):
        lookup_pipeline("wordpiece", 0, compatible=False)(DEPTH, PUMP, max_anwser_len=3)


def test_limits_beyond_all_texts_do_no_harm() -> None:
    pipeline, of = lookup_pipeline("wordpiece", 0), {"question": DEPTH, "context": "12 metres deep"}
    assert pipeline(**of, max_answer_len=10**30) == pipeline(**of)
    assert pipeline(**of, max_seq_len=1000) == pipeline(**of)
    assert len(pipeline(**of, top_k=10**30)) < 10


def test_a_context_that_memory_does_not_hold_is_refused() -> None:
    pipeline = lookup_pipeline("wordpiece", 0)
    with pytest.raises(ContextTooLarge, match="a context of 500000 characters") as caught:
        pipeline(DEPTH, "a" * 500_000)
    assert "edgeqa.open()" in caught.value.hint
    assert isinstance(caught.value, MemoryError)


def test_a_generator_is_read_as_its_answers_are() -> None:
    taken: list[int] = []

    def examples() -> Any:  # noqa: ANN401
        for number in range(3):
            taken.append(number)
            yield {"question": DEPTH, "context": PUMP}

    answers = lookup_pipeline("wordpiece", 0)(examples())
    assert taken == []
    next(answers)
    assert taken == [0]
    assert len(list(answers)) == 2


class DataSet:
    """As torch's are: it has a length and items, and is not iterable in the eyes of collections.abc."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, number: int) -> dict[str, str]:
        return {"question": DEPTH, "context": PUMP[number:]}


def test_a_data_set_is_asked_item_by_item() -> None:
    pipeline = lookup_pipeline("wordpiece", 0)
    assert list(pipeline(DataSet())) == [pipeline(DEPTH, PUMP[number:]) for number in (0, 1)]


def test_questions_of_one_context_in_a_dict_are_each_asked_of_it() -> None:
    pipeline = lookup_pipeline("wordpiece", 0)
    assert pipeline({"question": [DEPTH, DEPTH], "context": PUMP}) == [pipeline(DEPTH, PUMP)] * 2


def test_threads_get_the_answers_of_one(pipe: QuestionAnsweringPipeline) -> None:
    asked = [{"question": DEPTH, "context": PUMP, "max_seq_len": n, "doc_stride": n // 4} for n in range(60, 100, 4)]
    alone = [pipe(**one) for one in asked]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda one: pipe(**one), asked * 3)) == alone * 3


@settings(max_examples=150)
@given(
    context=st.text(min_size=1, max_size=300),
    question=st.text(min_size=1, max_size=60),
    asked=st.fixed_dictionaries(
        {"top_k": st.integers(1, 9), "max_answer_len": st.integers(1, 20)},
        optional={
            "handle_impossible_answer": st.booleans(),
            "align_to_words": st.booleans(),
            "max_seq_len": st.integers(90, 200),
            "doc_stride": st.integers(0, 8),
        },
    ),
    tokenizer=st.sampled_from(["wordpiece", "bpe", "unigram"]),
    compatible=st.booleans(),
)
def test_an_answer_is_always_cut_from_the_context(
    context: str,
    question: str,
    asked: dict[str, Any],
    tokenizer: str,
    compatible: bool,  # noqa: FBT001 - hypothesis gives it by name
) -> None:
    pipeline = lookup_pipeline(tokenizer, 3, compatible=compatible)
    try:
        given = pipeline(question=question, context=context, **asked)
    except WindowTooShort:
        assert "max_seq_len" in asked
        return
    answers = given if isinstance(given, list) else [given]
    assert len(answers) <= asked["top_k"]
    for answer in answers:
        assert answer["answer"] == context[answer["start"] : answer["end"]]
    scores = [answer["score"] for answer in answers]
    assert scores == sorted(scores, reverse=True)
    if not compatible:
        assert isinstance(given, list) == (asked["top_k"] > 1)
        assert 0 <= sum(scores) <= 1 + 1e-9
        places = [(a["start"], a["end"]) for a in answers if a["answer"]]
        assert all(one[1] <= other[0] or other[1] <= one[0] for one, other in combinations(places, 2))


REPEATED = "The pump may go to 12 metres. " * 40


def test_equal_answers_add_up_unless_told_otherwise() -> None:
    of = {"question": DEPTH, "context": REPEATED, "max_seq_len": 64, "doc_stride": 40, "top_k": 3}
    added = lookup_pipeline("wordpiece", 0)(**of)
    apart = lookup_pipeline("wordpiece", 0, compatible=False)(**of)
    assert len({answer["answer"] for answer in added}) == 3
    assert added[0]["score"] > 1
    assert len({(answer["start"], answer["end"]) for answer in apart}) == 3
    assert sum(answer["score"] for answer in apart) <= 1


def test_a_window_more_or_less_changes_no_order_of_places(pipe: QuestionAnsweringPipeline) -> None:
    strict = edgeqa.pipeline(compatible=False)
    whole = strict(question=DEPTH, context=PUMP)
    cut = strict(question=DEPTH, context=PUMP, max_seq_len=120, doc_stride=60)
    assert (whole["start"], whole["end"]) == (cut["start"], cut["end"])
    assert whole["answer"] == pipe(question=DEPTH, context=PUMP)["answer"]


def test_no_answer_is_given_where_there_is_none(pipe: QuestionAnsweringPipeline) -> None:
    strict = edgeqa.pipeline(compatible=False, handle_impossible_answer=True)
    assert strict("Who won the football world cup?", PUMP)["answer"] == ""
    assert strict(DEPTH, PUMP)["answer"] == "12 metres"
    assert strict(DEPTH, " ") == {"score": 1.0, "start": 0, "end": 0, "answer": ""}
    assert pipe(DEPTH, " ")["answer"] == ""


def test_a_list_of_one_and_special_tokens_and_long_questions() -> None:
    one = [{"question": DEPTH, "context": PUMP}]
    compatible, strict = (lookup_pipeline("wordpiece", 0, compatible=c) for c in (True, False))
    assert isinstance(compatible(one), dict)
    assert strict(one) == [strict(**one[0])]
    # A separator in the context is one token to transformers, and one word after another to us.
    assert compatible(DEPTH, "[SEP]", max_seq_len=19, doc_stride=0)["answer"] == "[SEP]"
    assert strict(DEPTH, "[SEP]", max_question_len=3) == strict(DEPTH[:12], "[SEP]")
    assert strict(DEPTH, "[SEP]") != strict(DEPTH[:12], "[SEP]")


def test_errors_name_what_is_wrong_and_what_to_do() -> None:
    pipeline = lookup_pipeline("wordpiece", 0)
    with pytest.raises(CallNotUnderstood, match="not str and tuple"):
        pipeline(question=DEPTH, context=(PUMP,))
    with pytest.raises(PartEmpty, match="context cannot be ''"):
        pipeline({"question": DEPTH, "context": ""})
    with pytest.raises(WindowTooShort, match="takes 12") as caught:
        pipeline(DEPTH, PUMP, max_seq_len=20, doc_stride=15)
    assert "lower doc_stride" in caught.value.hint
    with pytest.raises(PipelineError, match="reads 512 tokens"):
        pipeline(DEPTH, PUMP * 3, max_seq_len=513)
    with pytest.raises(PipelineError, match="lone surrogate at character 4"):
        pipeline(DEPTH, "deep\ud800")


def test_a_value_in_a_message_is_cut() -> None:
    with pytest.raises(CallNotUnderstood) as caught:
        lookup_pipeline("wordpiece", 0)(["x" * 10_000])
    assert len(str(caught.value)) < 200

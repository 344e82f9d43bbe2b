"""Tests what a joint bundle does: ask, ask_many, eval, long texts, its key in the cache, its self-test."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import pytest
from families import Made

import edgeqa
from edgeqa import errors, runtime
from edgeqa.evaluation.squad import SquadQuestion, evaluate
from edgeqa.models.bundle import Bundle
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.manifest import Pair
from edgeqa.models.readers import JointReader, joint_inputs, open_reader
from edgeqa.models.session import SessionOptions
from edgeqa.models.shelf import find_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILLER = "The wheel turns and the seals are replaced after some days of work. "
LONG = FILLER * 60 + "It was designed by Charles Babbage. " + FILLER * 60


@pytest.fixture(params=["bert", "roberta", "xlm-roberta"])
def pointing(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a model that answers with Babbage wherever it stands."""
    made = Made(request.param)
    made.graph = made.pointing_at(" Babbage")
    return add(str(made.write(tmp_path / request.param))).bundle.manifest.name


def test_long_texts_are_read_by_windows_and_the_place_is_right(pointing: str) -> None:
    with runtime.open(bundle=pointing, persist="off") as qa:
        answer = qa.ask("Who designed it?", LONG)
    assert answer.contexts > 4
    assert answer.text is not None
    assert "Babbage" in answer.text
    assert answer.source_start is not None
    assert answer.source_end is not None
    assert LONG[answer.source_start : answer.source_end] == answer.text == answer.text.strip()
    assert abs(answer.source_start - LONG.index("Babbage")) < 20


def test_a_long_question_is_cut_and_said_to_be(pointing: str) -> None:
    with runtime.open(bundle=pointing, persist="off") as qa:
        answer = qa.ask("Who designed it? " * 40, LONG)
    assert answer.question_cut
    assert answer.text is not None


def test_many_questions_are_asked_at_once(pointing: str) -> None:
    with runtime.open(bundle=pointing, persist="off") as qa:
        answers = qa.ask_many([("Who?", "It was Charles Babbage."), ("Who?", LONG), ("Who else?", "Babbage, it was.")])
    assert all(answer.text is not None and "Babbage" in answer.text for answer in answers)


def test_no_answer_is_a_negative_score(tmp_path: Path) -> None:
    """An added model is not calibrated: its logits say whether there is an answer."""
    made = Made()
    table = made.table(" Babbage")
    table[2] = 8.5  # [CLS]: start and end together 17, as against 18
    made.graph = networks.lookup(table, made.shape())
    add(str(made.write(tmp_path / "sure")), name="sure")
    table[2] = 9.5
    made.graph = networks.lookup(table, made.shape())
    add(str(made.write(tmp_path / "unsure")), name="unsure")
    for name, text, score in (("sure", "Babbage", 1.0), ("unsure", None, -1.0)):
        with runtime.open(bundle=name, persist="off") as qa:
            answer = qa.ask("Who?", "It was Babbage.")
            assert answer.text == text
            assert answer.score == pytest.approx(score, abs=0.1)
            assert qa.ask("Who?", "It was Babbage.", force=True).text == "Babbage"


def test_answers_of_two_models_are_remembered_apart(pointing: str) -> None:
    text = "Charles Babbage designed it in London."
    with runtime.open(bundle=pointing) as qa, runtime.open() as bundled:
        assert qa.key("Who?", text) != bundled.key("Who?", text)
        first = qa.ask("Who?", text)
    with runtime.open(bundle=pointing) as qa:
        again = qa.ask("Who?", text)
    assert (first.cached, again.cached) == (False, True)
    assert (again.text, again.score, again.candidates) == (first.text, first.score, first.candidates)
    assert again.model == f"{pointing} 1"


def test_case_is_folded_in_the_key_only_where_the_tokenizer_folds_it(tmp_path: Path) -> None:
    for family in ("bert", "roberta"):
        add(str(Made(family).write(tmp_path / family)))
        with runtime.open(bundle=family, persist="off") as qa:
            same = qa.key("WHO was it?", "Ada.") == qa.key("who was it?", "Ada.")
        assert same == (family == "bert")


def test_it_is_scored_like_any_other(pointing: str) -> None:
    asked = [SquadQuestion("1", "Who?", "It was Babbage.", ("Babbage",), is_impossible=False)]
    with runtime.open(bundle=pointing, persist="off") as qa:
        scores = evaluate(qa, asked, is_v2=False, no_answer_below=0.5)
    assert (scores.em, scores.f1) == (100, 100)


def test_windows_that_memory_allows_are_as_good(pointing: str) -> None:
    with runtime.open(bundle=pointing, persist="off", window_tokens=128) as qa:
        answer = qa.ask("Who designed it?", LONG)
    assert answer.text is not None
    assert "Babbage" in answer.text


def test_a_collection_holds_token_ids_and_is_asked(pointing: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(LONG)
    (tmp_path / "b.txt").write_text(FILLER * 5)
    with runtime.open(bundle=pointing, collection="mine") as qa:
        qa.add([tmp_path / "a.txt", tmp_path / "b.txt"])
        answer = qa.ask("Who designed it, Charles Babbage?")
        again = qa.ask("Who designed it, Charles Babbage?")
    assert answer.text is not None
    assert "Babbage" in answer.text
    assert answer.source == str(tmp_path / "a.txt")
    assert answer.source_start is not None
    assert LONG[answer.source_start :].startswith(answer.text)
    assert (again.cached, again.text) == (True, answer.text)
    # Another model does not read what this one's tokenizer made.
    with (
        runtime.open(collection="mine") as qa,
        pytest.raises(errors.EdgeQAError, match=pointing),
    ):
        qa.ask("Who designed it, Charles Babbage?")


def test_the_plan_keeps_no_encodings(pointing: str) -> None:
    with runtime.open(bundle=pointing, persist="off") as qa:
        assert qa.plan.encoding_store_bytes.value == 0
        assert "nothing of a passage that could be kept" in qa.plan.encoding_store_bytes.reason


# --- the reader ------------------------------------------------------------------------------------------------------


def test_a_pair_is_laid_out_with_types_and_positions() -> None:
    pair = Pair(before=(101,), between=(102, 103), after=(104,), question_type=0, context_type=1)
    arrays = joint_inputs(pair, np.array([7, 8]), np.array([9]), first_position=2)
    assert arrays["input_ids"].tolist() == [[101, 7, 8, 102, 103, 9, 104]]
    assert arrays["token_type_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 1]]
    assert arrays["position_ids"].tolist() == [[2, 3, 4, 5, 6, 7, 8]]
    assert arrays["attention_mask"].tolist() == [[1] * 7]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int64)}


def test_logits_of_all_tokens_hold_those_of_the_context(tmp_path: Path) -> None:
    bundle = add(str(Made("roberta").write(tmp_path / "export"))).bundle
    reader = open_reader(bundle, SessionOptions())
    assert isinstance(reader, JointReader)
    question, context = np.arange(10, 15), np.arange(20, 40)
    start, end = reader.logits(question, context)
    found = reader.read(reader.encode_question(question), reader.encode_context(context))
    assert len(start) == len(end) == 5 + 20 + 4
    np.testing.assert_array_equal(found.start, start[8:28])
    np.testing.assert_array_equal(found.end, end[8:28])
    assert found.no_answer == start[0] + end[0]


# --- the manifest and the self-test ----------------------------------------------------------------------------------


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    raw = json.loads((path / "manifest.json").read_text())
    change(raw)
    (path / "manifest.json").write_text(json.dumps(raw))
    return path


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    bundle = add(str(Made().write(tmp_path / "export"))).bundle
    return shutil.copytree(bundle.path, tmp_path / "copy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("pair"), "pair is None, not an object"),
        (lambda m: m.pop("joint"), "joint is None, not an object"),
        (lambda m: m["pair"].update(before=[]), "pair: not from 2 to 16 tokens around the texts"),
        (lambda m: m["pair"].update(after=[]), "pair: not from 2 to 16 tokens"),
        (lambda m: m["pair"].update(between=[1] * 15), "pair: not from 2 to 16 tokens"),
        (lambda m: m["pair"].update(between=[-1]), "pair: between: 0 is -1"),
        (lambda m: m["pair"].update(context_type=2), "context_type is 2, not from 0 to 1"),
        (lambda m: m["joint"].update(outputs=[]), "outputs has 0 members"),
        (lambda m: m["joint"].update(outputs=["a", "b", "c"]), "outputs has 3 members"),
        (lambda m: m["joint"].update(heads=0), "heads is 0, not from 1"),
        (lambda m: m["joint"].update(max_tokens=100), "max_tokens is 100, not from 128"),
        (lambda m: m["joint"].update(graph_files=[]), "graph_files is not model.onnx and other files"),
        (lambda m: m["joint"].update(graph_files=["model.onnx", "x"]), "graph_files is not model.onnx and other"),
        (lambda m: m["files"].pop("model.onnx"), "graph_files is not model.onnx"),
        (lambda m: m["files"].pop("golden.json"), "files has no golden.json, which a joint bundle needs"),
    ],
)
def test_a_joint_manifest_that_makes_no_sense_is_refused(
    copied: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(errors.BundleManifestInvalid, match=message):
        Bundle.load(changed(copied, change))


def test_outputs_that_the_graph_lacks_are_named(copied: Path) -> None:
    bundle = Bundle.load(changed(copied, lambda m: m["joint"].update(outputs=["logits"])))
    with pytest.raises(errors.BundleGraphInvalid, match="no output 'logits'"):
        open_reader(bundle, SessionOptions())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda m: m["joint"].update(outputs=["end_logits", "start_logits"]), errors.BundleSelfTestFailed),
        (lambda m: m["pair"].update(context_type=0), errors.BundleSelfTestFailed),
        (lambda m: m["pair"].update(between=[4]), errors.BundleTokensWrong),
    ],
)
def test_the_self_test_sees_a_pair_that_is_laid_out_otherwise(
    copied: Path, change: Callable[[dict[str, Any]], object], error: type[Exception]
) -> None:
    changed(copied, change)
    with pytest.raises(error), runtime.open(bundle=str(copied), persist="off") as qa:
        qa.ask("Who?", "Ada was.")


def test_check_reads_every_byte(tmp_path: Path) -> None:
    bundle = add(str(Made().write(tmp_path / "export")), name="mine").bundle
    (found,) = edgeqa.models.check("mine")
    assert (found.name, found.passed, found.hint) == ("mine", True, "")
    assert found.text.startswith("4 of 4 golden cases")
    file, state = bundle.file("model.onnx"), bundle.file("model.onnx").stat()
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # so that nothing but its bytes tells
    Bundle.load(find_bundle("mine"))
    (found,) = edgeqa.models.check("mine")
    assert not found.passed
    assert "model.onnx: SHA-256" in found.text
    assert found.hint

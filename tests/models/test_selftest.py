"""Tests that the self-test sees something wrong in each of many copies of the bundled model."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import edgeqa
from edgeqa import errors, runtime, state
from edgeqa.capabilities import computing
from edgeqa.capabilities.computing import SELF_TESTS, self_test_key
from edgeqa.capabilities.device import Reading
from edgeqa.models import bundle as bundles
from edgeqa.models import opening, selftest
from edgeqa.models.bundle import Bundle
from edgeqa.models.opening import open_model
from edgeqa.models.readers import Encoding, Logits, SplitReader, open_reader
from edgeqa.models.session import SessionOptions
from edgeqa.models.spans import Span
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.capabilities.device import Capabilities
    from edgeqa.models.readers import Reader

    Floats = np.ndarray
    Change = Callable[[list[dict[str, Any]]], object]


@pytest.fixture(scope="module")
def reader(bundle: Bundle) -> SplitReader:
    return SplitReader(bundle, SessionOptions())


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return shutil.copytree(bundles.DEFAULT_BUNDLE, tmp_path / "bundle")


def rewrite(path: Path, name: str, data: bytes) -> Bundle:
    """Returns the bundle with another file in it, all of whose digests are right."""
    (path / name).write_bytes(data)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return Bundle.load(path)


def with_golden(path: Path, change: Change) -> Bundle:
    cases = json.loads((path / "golden.json").read_text(encoding="utf-8"))
    change(cases)
    return rewrite(path, "golden.json", json.dumps(cases).encode())


def test_the_bundled_model_passes(bundle: Bundle, tokenizer: Tokenizer, reader: SplitReader) -> None:
    verdict = selftest.run(bundle, tokenizer, reader)
    assert 0 < verdict.largest_error <= selftest.MAX_ERROR["int8"]
    assert verdict.detail.startswith("4 of 4 golden cases")


def shift(key: str, at: int) -> Change:
    def change(cases: list[dict[str, Any]]) -> None:
        case = cases[1]
        case[key][at] += 2 * selftest.MAX_ERROR["int8"]

    return change


@pytest.mark.parametrize(
    ("key", "at"), [("start_logits", 12), ("start_logits", -2), ("end_logits", 12), ("start_logits", 0)]
)
def test_shifted_logits_are_seen(copied: Path, tokenizer: Tokenizer, reader: SplitReader, key: str, at: int) -> None:
    with pytest.raises(errors.BundleSelfTestFailed, match=r"case 2: logits differ by [3-5]\.") as raised:
        selftest.run(with_golden(copied, shift(key, at)), tokenizer, reader)
    assert "float32" in raised.value.hint


class Altered:
    """A reader that changes what the real one finds."""

    def __init__(self, reader: SplitReader, change: Callable[[Logits], Logits]) -> None:
        self.encode_question, self.encode_context = reader.encode_question, reader.encode_context
        self._reader, self._change = reader, change

    def read(self, question: Floats, context: Encoding) -> Logits:
        return self._change(self._reader.read(question, context))

    def read_all(self, question: Floats, context: Encoding) -> Logits:
        return self._change(self._reader.read_all(question, context))


NAN = float("nan")


@pytest.mark.parametrize(
    "change",
    [
        lambda logits: replace(logits, start=np.full_like(logits.start, NAN)),
        lambda logits: replace(logits, end=np.full_like(logits.end, NAN)),
        lambda logits: replace(logits, no_answer=NAN),
        lambda logits: replace(logits, start=np.where(np.arange(len(logits.start)) == 3, NAN, logits.start)),
    ],
)
def test_what_is_not_a_number_is_no_small_difference(
    bundle: Bundle, tokenizer: Tokenizer, reader: SplitReader, change: Callable[[Logits], Logits]
) -> None:
    with pytest.raises(errors.BundleSelfTestFailed, match="case 1: logits differ by nan"):
        selftest.run(bundle, tokenizer, Altered(reader, change))


def test_another_answer_is_seen_whatever_the_logits(
    copied: Path, tokenizer: Tokenizer, reader: SplitReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(cases: list[dict[str, Any]]) -> None:
        for key in ("start_logits", "end_logits"):  # the reference answers with the context's first word
            cases[1][key][len(cases[1]["question_ids"])] += 30

    monkeypatch.setitem(selftest.MAX_ERROR, "int8", 99.0)
    with pytest.raises(errors.BundleSelfTestFailed, match="case 2: another answer"):
        selftest.run(with_golden(copied, change), tokenizer, reader)


def test_an_answer_where_the_reference_has_none_is_seen(
    bundle: Bundle, tokenizer: Tokenizer, reader: SplitReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(selftest.MAX_ERROR, "int8", 99.0)
    sure = Altered(reader, lambda logits: replace(logits, no_answer=logits.no_answer - 40))
    with pytest.raises(errors.BundleSelfTestFailed, match="case 3: another answer"):
        selftest.run(bundle, tokenizer, sure)


def test_a_swapped_vocabulary_is_seen_and_not_laid_to_the_device(copied: Path, reader: SplitReader) -> None:
    raw = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
    words = raw["model"]["vocab"]
    words["machine"], words["pump"] = words["pump"], words["machine"]
    swapped = rewrite(copied, "tokenizer.json", json.dumps(raw).encode())
    with pytest.raises(errors.BundleTokensWrong, match="case 1: other token ids") as raised:
        selftest.run(swapped, Tokenizer(swapped.file("tokenizer.json")), reader)
    assert "float32" not in raised.value.hint
    assert "tokenizer.json" in raised.value.hint


@pytest.mark.parametrize("key", ["question_ids", "context_ids"])
def test_wrong_ids_are_seen(copied: Path, tokenizer: Tokenizer, reader: SplitReader, key: str) -> None:
    with pytest.raises(errors.BundleTokensWrong, match="case 4: other token ids"):
        selftest.run(with_golden(copied, lambda cases: cases[3][key].__setitem__(1, 7)), tokenizer, reader)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a list of at least one case"),
        ("{}", "not a list of at least one case"),
        ("[{}]", "case 1: question is None, not a string"),
        ("[1]", "case 1 is 1, not an object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("\xff", "not JSON"),
    ],
)
def test_what_is_no_list_of_cases_is_refused_with_the_place(
    copied: Path, tokenizer: Tokenizer, reader: SplitReader, text: str, message: str
) -> None:
    broken = rewrite(copied, "golden.json", text.encode("latin-1"))
    with pytest.raises(errors.BundleManifestInvalid, match=rf"golden\.json: {message}"):
        selftest.run(broken, tokenizer, reader)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cases: cases[1]["start_logits"].pop(), "start_logits has 42 members, not 43"),
        (lambda cases: cases[1]["end_logits"].append(0.0), "end_logits has 44 members, not 43"),
        (lambda cases: cases[1].update(context_ids=[102]), "context_ids has 1 members, not 2 to 448"),
        (lambda cases: cases[1].update(question_ids=[101] * 65), "question_ids has 65 members, not 3 to 64"),
        (lambda cases: cases[1]["question_ids"].append(1.5), "question_ids: 10 is 1.5, not a whole number"),
        (lambda cases: cases[1]["end_logits"].__setitem__(4, NAN), "end_logits: 4 is nan, not from"),
        (lambda cases: cases[1].update(end_logits={}), "end_logits is {}, not a list"),
        (lambda cases: cases[1].update(context="\ud800"), "not text that can be encoded"),
    ],
)
def test_a_case_that_is_not_whole_is_refused_with_the_place(
    copied: Path, tokenizer: Tokenizer, reader: SplitReader, change: Change, message: str
) -> None:
    with pytest.raises(errors.BundleManifestInvalid, match=rf"golden\.json: case 2.*{message}"):
        selftest.run(with_golden(copied, change), tokenizer, reader)


def test_a_golden_file_that_cannot_be_read_is_named(copied: Path, tokenizer: Tokenizer, reader: SplitReader) -> None:
    bundle = Bundle.load(copied)
    (copied / "golden.json").unlink()
    with pytest.raises(errors.BundleFileDamaged, match=r"golden\.json: reading is No such file"):
        selftest.run(bundle, tokenizer, reader)


def test_a_width_that_is_not_the_graphs_is_seen(copied: Path, tokenizer: Tokenizer, reader: SplitReader) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, "width": 10}))
    with pytest.raises(errors.BundleManifestInvalid, match=r"manifest\.json: width is 10, the graphs' 384"):
        selftest.run(Bundle.load(copied), tokenizer, reader)


def test_a_runtime_on_a_wrong_bundle_gives_no_answer(copied: Path) -> None:
    with_golden(copied, lambda cases: cases.clear())
    with (
        runtime.open(bundle=copied, persist="off") as qa,
        pytest.raises(errors.BundleManifestInvalid, match="at least one case"),
    ):
        qa.ask("Who?", "Ada was.")


def test_a_verdict_is_remembered_for_its_conditions(bundle: Bundle, tokenizer: Tokenizer, reader: SplitReader) -> None:
    verdict = selftest.run(bundle, tokenizer, reader, "int8")
    selftest.remember(bundle, "x86_64: avx2", "int8", verdict)
    assert selftest.recall(bundle, "x86_64: avx2", "int8") == verdict
    assert selftest.recall(bundle, "x86_64: avx2", "int8-u8u8") is None
    assert selftest.recall(bundle, "x86_64: avx512f", "int8") is None


def test_a_failure_is_not_remembered(copied: Path) -> None:
    wrong = with_golden(copied, shift("start_logits", 12))
    for _ in range(2):
        with pytest.raises(errors.BundleSelfTestFailed, match="case 2"):
            open_model(wrong)
    assert state.recall(SELF_TESTS, self_test_key(wrong.digest, edgeqa.probe(providers=False).kernels, "int8")) is None


def test_the_fingerprint_is_the_digest_of_all_logits(bundle: Bundle, tokenizer: Tokenizer, reader: SplitReader) -> None:
    first = selftest.run(bundle, tokenizer, reader).fingerprint
    assert len(first) == 2 * selftest.FINGERPRINT_BYTES
    assert selftest.run(bundle, tokenizer, SplitReader(bundle, SessionOptions(threads=2))).fingerprint == first
    changes: list[Callable[[Logits], Logits]] = [
        lambda logits: replace(logits, start=logits.start + np.float32(1e-5)),
        lambda logits: replace(logits, end=np.where(np.arange(len(logits.end)) == 3, logits.end + 1e-5, logits.end)),
        lambda logits: replace(logits, no_answer=logits.no_answer + 1e-5),
    ]
    others = {selftest.run(bundle, tokenizer, Altered(reader, change)).fingerprint for change in changes}
    assert len(others | {first}) == 4


@pytest.fixture
def wrong_as_usual(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has the plan's own path fail its self-test, and says which paths were tried."""
    tried: list[str] = []
    run = selftest.run

    def failing(bundle: Bundle, tokenizer: Tokenizer | None, reader: Reader, path: str) -> selftest.Verdict:
        tried.append(path)
        if path == "int8":
            raise errors.BundleSelfTestFailed(bundle.manifest.name, "case 1: logits differ by 18.00")
        return run(bundle, tokenizer, reader, path)

    monkeypatch.setattr(selftest, "run", failing)
    return tried


WITH_VNNI = replace(edgeqa.probe(providers=False), machine=Reading("x86_64", ""), cpu_flags=Reading(("avx_vnni",), ""))
WITH_SME = replace(WITH_VNNI, machine=Reading("aarch64", ""))


@pytest.mark.parametrize(("device", "path"), [(WITH_VNNI, "int8-u8u8"), (WITH_SME, "int8-no-kleidiai")])
def test_where_the_usual_kernels_are_wrong_others_are_tried_and_remembered(
    bundle: Bundle, wrong_as_usual: list[str], monkeypatch: pytest.MonkeyPatch, device: Capabilities, path: str
) -> None:
    options: list[SessionOptions] = []
    opened_with = open_reader

    def watched(bundle: Bundle, given: SessionOptions, *others: Any) -> Reader:  # noqa: ANN401 - as it takes them
        options.append(given)
        return opened_with(bundle, given, *others)

    monkeypatch.setattr(opening, "open_reader", watched)
    first = open_model(bundle, device=device)
    assert wrong_as_usual == ["int8", path]
    assert first.verdict.detail.endswith(f"of the reference, computed as {path}: int8 gives wrong ones")
    second = open_model(bundle, device=device)
    assert wrong_as_usual == ["int8", path]
    assert [o.x64_quant_precision for o in options] == [False, *[path == "int8-u8u8"] * 2]
    assert [o.kleidiai for o in options] == [True, *[path == "int8-u8u8"] * 2]
    for opened in (first, second):
        assert (opened.plan.precision.value, opened.verdict) == (path, first.verdict)
        assert opened.plan.precision.reason == "int8 fails the self-test here"


def test_where_all_kernels_are_wrong_the_first_fault_is_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(bundle: Bundle, _: object, __: object, path: str) -> selftest.Verdict:
        raise errors.BundleSelfTestFailed(bundle.manifest.name, f"wrong as {path}")

    monkeypatch.setattr(selftest, "run", failing)
    with pytest.raises(errors.BundleSelfTestFailed, match=r"wrong as int8$"):
        open_model(bundle, device=WITH_VNNI)


@pytest.mark.parametrize("known", [{"passed": 1, "zz": 1}, {}, [], 3, {"largest_error": 0.5, "detail": "fine"}])
def test_a_remembered_verdict_of_another_shape_is_none(bundle: Bundle, known: object) -> None:
    state.remember(SELF_TESTS, self_test_key(bundle.digest, "", "int8"), known)
    assert selftest.recall(bundle, "", "int8") is None


def test_a_near_tie_of_the_reference_may_come_out_either_way() -> None:
    words = np.arange(4, dtype=np.int32)
    zeros = np.zeros(4, np.float32)
    expected = Logits(np.array([0, 5.0, 4.5, 0], np.float32), zeros, 0.0)
    right = [Span(1, 1, 5.0)]
    assert selftest._same_answer([Span(2, 2, 5.2)], right, expected, words)
    assert not selftest._same_answer([Span(3, 3, 5.2)], right, expected, words)
    assert not selftest._same_answer([], right, expected, words)


@pytest.mark.parametrize(("score", "same"), [(1.0, True), (1.1, True), (4.9, True), (5.1, False)])
def test_a_score_at_the_edge_of_a_clear_one_is_no_other_answer(score: float, same: bool) -> None:  # noqa: FBT001
    expected = Logits(np.zeros(2, np.float32), np.zeros(2, np.float32), 0.0)
    words = np.arange(2, dtype=np.int32)
    assert selftest._same_answer([Span(0, 0, score)], [Span(1, 1, 1.0)], expected, words) == same


@pytest.mark.parametrize("of_it", ["onnxruntime_version", "_distribution"])
def test_another_onnxruntime_is_tested_anew(
    of_it: str, bundle: Bundle, tokenizer: Tokenizer, reader: SplitReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = selftest.run(bundle, tokenizer, reader, "int8")
    selftest.remember(bundle, "avx2", "int8", verdict)
    assert selftest.recall(bundle, "avx2", "int8") == verdict
    monkeypatch.setattr(computing, of_it, lambda: "another")
    assert selftest.recall(bundle, "avx2", "int8") is None


def test_of_a_processor_that_hides_no_verdict_is_remembered(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    known = edgeqa.probe(providers=False)
    hidden = replace(known, processor_digest=Reading(None, "a test"))
    tested: list[Bundle] = []
    run = selftest.run

    def watched(bundle: Bundle, *others: Any) -> selftest.Verdict:  # noqa: ANN401 - as `run` takes them
        tested.append(bundle)
        return run(bundle, *others)

    monkeypatch.setattr(selftest, "run", watched)
    for device, times in ((known, 1), (known, 1), (hidden, 2), (hidden, 3)):
        open_model(bundle, device=device)
        assert len(tested) == times

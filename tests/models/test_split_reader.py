"""Tests the split reader on the real bundled graphs, against the logits of the reference network (golden.json)."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeqa import errors
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.models.readers import SplitReader, likely_tokens
from edgeqa.models.selftest import MAX_ERROR
from edgeqa.models.session import Session, SessionOptions


@pytest.fixture(scope="module")
def reader(bundle: Bundle) -> SplitReader:
    return SplitReader(bundle, SessionOptions())


@pytest.fixture(scope="module")
def cases(bundle: Bundle) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bundle.file("golden.json").read_text(encoding="utf-8"))
    return found


def test_logits_are_those_of_the_reference(reader: SplitReader, cases: list[dict[str, Any]]) -> None:
    for case in cases:
        question = reader.encode_question(np.array(case["question_ids"][1:-1]))
        found = reader.read(question, reader.encode_context(np.array(case["context_ids"][:-1])))
        of_context = slice(len(case["question_ids"]), -1)
        assert found.tokens is not None
        assert len(set(found.tokens.tolist())) == likely_tokens(len(case["context_ids"]) - 1)
        for logits, expected in ((found.start, case["start_logits"]), (found.end, case["end_logits"])):
            of_likely = np.array(expected[of_context])[found.tokens]
            np.testing.assert_allclose(logits, of_likely, atol=MAX_ERROR["int8"])
            best = found.tokens[logits.argmax()]  # of two that are nearly alike it may be the other one
            assert expected[of_context][best] >= max(expected[of_context]) - MAX_ERROR["int8"]
        no_answer = case["start_logits"][0] + case["end_logits"][0]
        assert found.no_answer == pytest.approx(no_answer, abs=MAX_ERROR["int8"])


def test_an_encoding_is_int8_with_one_scale_a_token(reader: SplitReader, cases: list[dict[str, Any]]) -> None:
    ids = np.array(cases[0]["context_ids"][:-1])
    encoding = reader.encode_context(ids)
    assert encoding.hidden.shape == (len(ids) + 1, 384)
    assert (encoding.hidden.dtype.name, encoding.scale.dtype.name) == ("int8", "float32")
    assert np.abs(encoding.hidden).max(axis=1).min() == 127  # each row uses the whole range
    assert encoding.nbytes == (len(ids) + 1) * (384 + 4)


def test_threads_and_exact_products_change_no_logit_by_more_than_rounding(
    bundle: Bundle, reader: SplitReader, cases: list[dict[str, Any]]
) -> None:
    other = SplitReader(bundle, SessionOptions(threads=2, x64_quant_precision=True))
    case = cases[1]
    question, context = np.array(case["question_ids"][1:-1]), np.array(case["context_ids"][:-1])
    logits = [r.read(r.encode_question(question), r.encode_context(context)) for r in (reader, other)]
    np.testing.assert_allclose(logits[0].start, logits[1].start, atol=0.5)


def test_a_graph_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    file = tmp_path / "read.onnx"
    file.write_bytes(b"not a graph")
    with pytest.raises(errors.BundleGraphInvalid, match=r"read\.onnx: onnxruntime cannot load it"):
        Session(file, SessionOptions())


@pytest.mark.parametrize("outside", ["../a.bin", "/etc/x.b", "more.bin"])
def test_weights_outside_the_bundle_are_not_read_whatever_onnxruntime_would_do(tmp_path: Path, outside: str) -> None:
    place = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    shutil.copy(place / "read.bin", tmp_path / "a.bin")
    raw = (place / "read.onnx").read_bytes()
    assert b"read.bin" in raw
    changed = raw.replace(b"read.bin", outside.encode())
    (place / "read.onnx").write_bytes(changed)
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"]["read.onnx"]["sha256"] = hashlib.sha256(changed).hexdigest()
    (place / "manifest.json").write_text(json.dumps(manifest))
    for _ in range(2):
        with pytest.raises(errors.BundleError) as raised:
            Bundle.load(place)
    expected = errors.BundleGraphInvalid if outside == "more.bin" else errors.BundlePathUnsafe
    assert type(raised.value) is expected
    assert "read.onnx: " in str(raised.value)


def test_weights_that_are_missing_are_an_error_that_names_the_graph(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copy(bundle.file("read.onnx"), tmp_path)
    with pytest.raises(errors.BundleGraphInvalid, match=r"read\.onnx: onnxruntime cannot load it"):
        Session(tmp_path / "read.onnx", SessionOptions())


def test_inputs_are_fed_by_the_names_that_the_graph_declares(bundle: Bundle) -> None:
    session = Session(bundle.file("encode.onnx"), SessionOptions())
    ids = np.array([[101, 102]])
    with pytest.raises(errors.BundleGraphInvalid, match="declares an input 'position_ids'"):
        session.run({"input_ids": ids})
    extra = {"input_ids": ids, "position_ids": np.array([[0, 1]]), "not_declared": ids}
    assert session.run(extra)[0].shape == (1, 2, 384)


def test_weights_cut_short_while_they_are_mapped_are_an_error_and_no_signal(tmp_path: Path) -> None:
    copied = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    reader = SplitReader(Bundle.load(copied), SessionOptions())
    ids = np.arange(1000, 1010)
    before = reader.encode_question(ids)
    (copied / "encode.bin").rename(copied / "former.bin")  # what has another name by now is mapped as it was
    (copied / "encode.bin").write_bytes(b"shorter")
    assert np.array_equal(reader.encode_question(ids), before)
    with (copied / "former.bin").open("r+b") as weights:
        weights.truncate(4096)
    with pytest.raises(errors.BundleFileDamaged, match=r"encode\.bin: size in bytes is 4096, not \d+"):
        reader.encode_question(ids)


def test_a_reader_that_is_let_go_gives_its_descriptors_back(bundle: Bundle) -> None:
    def opened() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    SplitReader(bundle, SessionOptions())  # what the library opens once for all
    gc.collect()  # and what earlier tests have left
    before = opened()
    SplitReader(bundle, SessionOptions())
    gc.collect()
    assert opened() == before

"""Tests that tools/make_bundle.py makes whole bundles, and the bundled one again from the trained weights."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("onnx", reason="tools/ needs the extra edgeqa[tools]")
pytest.importorskip("safetensors", reason="tools/ needs the extra edgeqa[tools]")

import make_bundle
import onnx
from safetensors.numpy import save_file
from small_reader import SIZES, WIDTH, small_weights

from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.models import selftest
from edgeqa.models.bundle import Bundle
from edgeqa.models.readers import SplitReader
from edgeqa.models.session import SessionOptions
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

REFERENCE_WEIGHTS = os.environ.get("EDGEQA_REFERENCE_WEIGHTS", "")
GOLDEN_TOLERANCE = 2e-4  # the shipped logits were rounded to 4 decimals after another float32 arithmetic
RELEASED = {
    # edgeqa-mini 2
    "50088844745b5528d0d47df2eea89ecc7edc362f855aa50396584d092f5dfe4c": {
        "encode.onnx": "bc3edb67dc1400d4f6b09e5a83cc77fc5e21c419e995d03cbf3ffe93d1922c55",
        "encode.bin": "7be3f792f846929474032fe49f7fb550641f282898299047964e879b91bb695a",
        "read.onnx": "269cb80e20aa4d87a037c85a2d24fb22450725a24d7a549534af356db02375d4",
        "read.bin": "c617a74ac468acafaf4128aa1afb2e8261383da5aa31bcf4d30a78d1e7397257",
    },
    # edgeqa-mini 3
    "bbe1951676b650744277578a551f273b1b71f8477cbdf3ff9661a83a01867d5d": {
        "encode.onnx": "bc3edb67dc1400d4f6b09e5a83cc77fc5e21c419e995d03cbf3ffe93d1922c55",
        "encode.bin": "d146ecef3ae230af26f7b282a46ce716998c25096ba6783e0cdb6f3a667a77be",
        "read.onnx": "cd014333a79ecf083bf827a60b03935051de1ca94272ebb722d940751ec80d81",
        "read.bin": "a9486c90e3c184b6c77eea8fc75dbe7f1095ff16eaf937337615ae70d3ae7290",
    },
    # edgeqa-mini 4
    "1ea6158ab1ef15a62870a2ffffbf4ec9ba3f083e6e5b588fd5fb751e3c254e32": {
        "encode.onnx": "bc3edb67dc1400d4f6b09e5a83cc77fc5e21c419e995d03cbf3ffe93d1922c55",
        "encode.bin": "a21ad78b0874801110a19a2e106000c225712d126674f9e9c0703eaf2627a207",
        "read.onnx": "16ba779630a8d73969de3b238c8222675b096614bb809f3cc95cf7114fbd678c",
        "read.bin": "0e075bb615b33adfba7fb5dd2943dbaccea7d46c407c310788df0f67b3a9c461",
    },
}
"""The files of each release, by the digest of the weights that it was made from."""
CALIBRATION = {"temperature": 2.5, "no_answer": {"probability": 0.25}}


def read_object(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


def read_golden(bundle: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((bundle / "golden.json").read_text(encoding="utf-8"))
    return cases


def without(manifest: dict[str, Any], *files: str) -> dict[str, Any]:
    """Returns the manifest without the digests of these files."""
    return {**manifest, "files": {n: d for n, d in manifest["files"].items() if n not in files}}


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of a small reader that knows the bundled tokenizer's words."""
    vocabulary = len(read_object(make_bundle.BUNDLED / "tokenizer.json")["model"]["vocab"])
    halves = {name: value.astype(np.float16) for name, value in small_weights(vocabulary=vocabulary).items()}
    path = tmp_path_factory.mktemp("weights") / "small-fp16.safetensors"
    save_file(halves, path, metadata={"layers": str(SIZES.layers), "split": str(SIZES.split)})
    return path


@pytest.fixture(scope="module")
def made(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An int8 bundle of the small reader, made by the script as a user runs it."""
    folder = tmp_path_factory.mktemp("made")
    like = folder / "like"
    shutil.copytree(make_bundle.BUNDLED, like)
    manifest = {**read_object(like / "manifest.json"), "name": "another", "calibration": CALIBRATION}
    (like / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    out = folder / "out"
    command = [sys.executable, make_bundle.__file__, str(small_file), str(out), "--like", str(like)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "bytes  manifest.json" in done.stdout
    return out


def test_the_manifest_describes_the_files_and_only_them(made: Path) -> None:
    manifest = read_object(made / "manifest.json")
    assert {path.name for path in made.iterdir()} == {*manifest["files"], "manifest.json"}
    for name, described in manifest["files"].items():
        data = (made / name).read_bytes()
        assert described == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_the_manifest_has_the_weights_sizes_and_the_tokenizers_facts(made: Path) -> None:
    manifest = read_object(made / "manifest.json")
    sizes = {name: manifest[name] for name in ("format", "precision", "layers", "split", "width")}
    assert sizes == {"format": 2, "precision": "int8", "layers": SIZES.layers, "split": SIZES.split, "width": WIDTH}
    assert manifest["special_tokens"] == {"cls": 101, "sep": 102, "pad": 0}
    assert manifest["lowercase"] is True


def test_name_and_calibration_are_carried_over(made: Path) -> None:
    manifest = read_object(made / "manifest.json")
    assert manifest["name"] == "another"
    assert manifest["calibration"] == CALIBRATION


def test_the_golden_cases_are_the_same_questions_with_other_logits(made: Path) -> None:
    for case, bundled in zip(read_golden(made), read_golden(make_bundle.BUNDLED), strict=True):
        for name in ("question", "context", "question_ids", "context_ids"):
            assert case[name] == bundled[name]
        assert len(case["start_logits"]) == len(case["end_logits"]) == len(bundled["start_logits"])
        assert case["start_logits"] != bundled["start_logits"]


def test_a_release_reads_what_the_one_before_added(small_file: Path, tmp_path: Path) -> None:
    def released(out: Path, like: Path, tokenizer: Path) -> dict[str, Any]:
        make_bundle.write_bundle(small_file, out, precision="float32", like=like, tokenizer_path=tokenizer, release="9")
        return read_object(out / "manifest.json")

    bundled = EncoderIdentity.of(Bundle.load())
    first = released(tmp_path / "first", make_bundle.BUNDLED, make_bundle.BUNDLED / "tokenizer.json")
    assert (first["version"], first["reads_tokens_of"]) == ("9", [bundled.digest, *bundled.former])
    second = released(tmp_path / "second", tmp_path / "first", make_bundle.BUNDLED / "tokenizer.json")
    before = EncoderIdentity.of(Bundle.load(tmp_path / "first"))
    assert second["reads_tokens_of"] == [before.digest, bundled.digest, *bundled.former]
    other = read_object(make_bundle.BUNDLED / "tokenizer.json")
    (tmp_path / "other.json").write_text(json.dumps(other | {"truncation": None, "padding": None}), encoding="utf-8")
    assert released(tmp_path / "third", tmp_path / "first", tmp_path / "other.json")["reads_tokens_of"] == []


def test_float32_and_another_tokenizer(small_file: Path, tmp_path: Path) -> None:
    tokenizer = read_object(make_bundle.BUNDLED / "tokenizer.json")
    tokenizer["normalizer"]["lowercase"] = False
    tokenizer["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    tokenizer_path = tmp_path / "cased.json"
    tokenizer_path.write_text(json.dumps(tokenizer), encoding="utf-8")
    out = tmp_path / "out"
    make_bundle.write_bundle(
        small_file, out, precision="float32", like=make_bundle.BUNDLED, tokenizer_path=tokenizer_path
    )
    manifest = read_object(out / "manifest.json")
    assert (manifest["precision"], manifest["lowercase"]) == ("float32", False)
    assert (out / "tokenizer.json").read_bytes() == tokenizer_path.read_bytes()
    assert len(read_golden(out)[0]["context_ids"]) > 40
    kinds = {node.op_type for node in onnx.load(out / "read.onnx").graph.node}
    assert {"Attention", "MatMul"} <= kinds
    assert not {"QAttention", "DynamicQuantizeMatMul"} & kinds


def test_a_float32_bundle_passes_its_self_test_and_leaves_no_token_out(small_file: Path, tmp_path: Path) -> None:
    tokenizer_path = make_bundle.BUNDLED / "tokenizer.json"
    make_bundle.write_bundle(
        small_file, tmp_path, precision="float32", like=make_bundle.BUNDLED, tokenizer_path=tokenizer_path
    )
    bundle = Bundle.load(tmp_path)
    reader = SplitReader(bundle, SessionOptions())
    assert selftest.run(bundle, Tokenizer(tokenizer_path), reader).largest_error < selftest.ENCODING_ERROR
    ids = np.arange(1000, 1200)
    found = reader.read(reader.encode_question(ids[:9]), reader.encode_context(ids))
    assert np.isfinite(found.start).all()


def _full_directory(path: Path) -> None:
    path.mkdir()
    (path / "mine.txt").touch()


@pytest.mark.parametrize("occupy", [_full_directory, Path.touch])
def test_nothing_is_written_over(
    occupy: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    occupy(tmp_path / "out")
    with pytest.raises(SystemExit) as stopped:
        make_bundle.parse_args(["weights.safetensors", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert "is not an empty directory" in capsys.readouterr().err


@pytest.mark.reference
@pytest.mark.skipif(not REFERENCE_WEIGHTS, reason="EDGEQA_REFERENCE_WEIGHTS does not name the weights file")
def test_a_released_model_is_made_again_from_its_weights(tmp_path: Path) -> None:
    bundled, out = make_bundle.BUNDLED, tmp_path / "out"
    tokenizer_path = bundled / "tokenizer.json"
    make_bundle.write_bundle(
        Path(REFERENCE_WEIGHTS), out, precision="int8", like=bundled, tokenizer_path=tokenizer_path
    )
    assert {path.name for path in out.iterdir()} == {*make_bundle.FILES, "manifest.json"}
    released = RELEASED[hashlib.sha256(Path(REFERENCE_WEIGHTS).read_bytes()).hexdigest()]
    made = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in released}
    assert made == released
    shipped = read_object(bundled / "manifest.json")
    if released["read.bin"] != shipped["files"]["read.bin"]["sha256"]:
        return  # an older release: its golden cases are not here to compare with
    for case, golden in zip(read_golden(out), read_golden(bundled), strict=True):
        for name in ("start_logits", "end_logits"):
            assert_allclose(case.pop(name), golden.pop(name), rtol=0, atol=GOLDEN_TOLERANCE)
        assert case == golden
    # The last decimal of a golden logit may differ, and so may that file's digest; nothing else.
    assert without(read_object(out / "manifest.json"), "golden.json") == without(shipped, "golden.json")


def test_what_ships_is_the_last_release() -> None:
    files = read_object(make_bundle.BUNDLED / "manifest.json")["files"]
    *_, last = RELEASED.values()
    assert {name: files[name]["sha256"] for name in last} == last

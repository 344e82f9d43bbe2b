"""Tests that a bundle is refused where any file is missing, cut short, changed, or one too many."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edgeqa import errors, state
from edgeqa.models import bundle as bundles
from edgeqa.models.bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeqa.models.manifest import FileFact


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the bundled model to damage."""
    return shutil.copytree(bundles.DEFAULT_BUNDLE, tmp_path / "bundle")


def change_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = path / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def flip_last_byte(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)


def test_the_bundled_model_is_what_its_manifest_says(bundle: Bundle) -> None:
    assert (bundle.manifest.name, bundle.manifest.kind, bundle.manifest.precision) == ("edgeqa-mini", "split", "int8")
    assert bundle.digest == hashlib.blake2b(bundle.file("manifest.json").read_bytes(), digest_size=32).hexdigest()
    assert {"LICENSE", "MODEL_CARD.md"} <= {f.name for f in bundle.manifest.files}  # they travel with it


@pytest.mark.parametrize(
    "name",
    ["encode.onnx", "encode.bin", "read.onnx", "read.bin", "tokenizer.json", "golden.json", "MODEL_CARD.md", "LICENSE"],
)
def test_a_wrong_byte_is_found_in_any_file(copied: Path, name: str) -> None:
    flip_last_byte(copied / name)
    with pytest.raises(errors.BundleFileDamaged, match=f"{name}: SHA-256 is") as raised:
        Bundle.load(copied)
    assert "pip install" in raised.value.hint


def test_a_cut_file_is_found_by_its_size(copied: Path) -> None:
    (copied / "read.onnx").write_bytes(b"short")
    with pytest.raises(errors.BundleFileDamaged, match=r"read\.onnx: size in bytes is 5, not \d+$"):
        Bundle.load(copied)


def test_a_missing_file_is_named(copied: Path) -> None:
    (copied / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"bundle file missing: .*tokenizer\.json"):
        Bundle.load(copied)


def test_a_file_too_many_is_named(copied: Path) -> None:
    (copied / "extra.bin").write_bytes(b"")
    with pytest.raises(errors.BundleFileUnexpected, match=r"extra\.bin") as raised:
        Bundle.load(copied)
    assert raised.value.hint


def test_a_directory_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(errors.BundleNotFound, match="no bundle at"):
        Bundle.load(tmp_path)
    with pytest.raises(errors.BundleNotFound):
        Bundle.load(tmp_path / "missing")


def test_a_directory_that_cannot_be_listed_is_named(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(copied), "iterdir", refused)
    with pytest.raises(errors.BundleFileDamaged, match="bundle: listing is Permission denied"):
        Bundle.load(copied)


@pytest.mark.parametrize("version", [0, 1, 3, "2", None, True, 2.0])
def test_another_format_is_refused_with_both_versions(copied: Path, version: object) -> None:
    change_manifest(copied, lambda m: m.update(format=version))
    with pytest.raises(errors.BundleFormatUnsupported, match="this edgeqa reads format 2"):
        Bundle.load(copied)


@pytest.mark.parametrize("name", ["../evil", "..", ".", "", "a/b", "a\\b", "/etc/passwd", "manifest.json"])
def test_a_file_name_that_leads_out_of_the_bundle_is_refused(copied: Path, name: str) -> None:
    change_manifest(copied, lambda m: m["files"].update({name: {"bytes": 1, "sha256": "0"}}))
    with pytest.raises(errors.BundlePathUnsafe, match="leads out of the bundle"):
        Bundle.load(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("width"), "width is None, not a whole number"),
        (lambda m: m.update(width="384"), "width is '384', not a whole number"),
        (lambda m: m.update(layers=True), "layers is True, not a whole number"),
        (lambda m: m.update(split=-1), "split is -1, not from 0 to 6"),
        (lambda m: m.update(split=7), "split is 7, not from 0 to 6"),
        (lambda m: m.update(lowercase=1), "lowercase is 1, not true or false"),
        (lambda m: m.update(kind="magic"), "kind is 'magic', not one of split"),
        (lambda m: m["files"].pop("read.onnx"), "files has no read.onnx"),
        (lambda m: m["files"].pop("read.bin"), "files has no read.bin"),
        (lambda m: m["files"].update({"read.onnx": 7}), "read.onnx is 7, not an object"),
        (lambda m: m["special_tokens"].pop("cls"), "special_tokens: cls is None"),
        (lambda m: m.update(calibration={"slope": "x"}), "calibration: slope is 'x', not a number"),
        (lambda m: m.update(max_context_tokens=0), "max_context_tokens is 0, not from 128 to"),
        (lambda m: m.update(max_context_tokens=127), "max_context_tokens is 127, not from 128 to"),
        (lambda m: m.update(max_context_tokens=10**9), "max_context_tokens is 1000000000, not from 128 to"),
        (lambda m: m.update(max_question_tokens=2), "max_question_tokens is 2, not from 3 to"),
        (lambda m: m.update(width=0), "width is 0, not from 1 to"),
        (lambda m: m.update(layers=0), "layers is 0, not from 1 to"),
        (lambda m: m.update(precision="bogus"), "precision is 'bogus', not one of int8, float32"),
        (lambda m: m["special_tokens"].update(sep=1 << 63), "special_tokens: sep is 9223372036854775808, not from 0"),
        (lambda m: m["calibration"].update(no_answer_below=float("nan")), "no_answer_below is nan, not from 0 to 1"),
        (lambda m: m["calibration"].update(no_answer_below=1.5), "no_answer_below is 1.5, not from 0 to 1"),
        (lambda m: m["calibration"].update(slope=10**400), r"slope is 10+\.\.\.0+, not from 0 to 1000"),
        (lambda m: m["calibration"].update(slope=-0.1), "slope is -0.1, not from 0 to 1000"),
        (lambda m: m["calibration"].update(intercept=float("inf")), "intercept is inf, not from -1000 to 1000"),
        (lambda m: m["calibration"].update(contexts=float("-inf")), "contexts is -inf, not from -1000 to 1000"),
        (lambda m: m["searched"].update(lead="far"), "searched: lead is 'far', not a number"),
        (lambda m: m["searched"].update(agrees="yes"), "searched: agrees is 'yes', not a number"),
        (lambda m: m["searched"].update(lead=1001), "searched: lead is 1001, not from -1000 to 1000"),
        (lambda m: m.update(name="\ud800"), "name is '.ud800', not text that can be encoded"),
        (lambda m: m["files"].update({"a\0b": {}}), r"files has the name 'a.x00b', with characters that cannot"),
        (lambda m: m["files"].update({"\ud800": {}}), r"files has the name '.ud800', with characters that cannot"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused_with_the_place(
    copied: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    change_manifest(copied, change)
    with pytest.raises(errors.BundleManifestInvalid, match=message):
        Bundle.load(copied)


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff\xfe", b"[" * 200_000, b"[" + b"1" * 5000 + b"]"])
def test_a_manifest_that_is_no_json_object_is_refused(copied: Path, text: bytes) -> None:
    (copied / "manifest.json").write_bytes(text)
    with pytest.raises(errors.BundleManifestInvalid):
        Bundle.load(copied)


def test_files_are_hashed_once_per_state(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Bundle.load(copied)
    checked: list[str] = []
    check = bundles._check

    def watched(file: Path, fact: FileFact) -> None:
        checked.append(fact.name)
        check(file, fact)

    monkeypatch.setattr(bundles, "_check", watched)
    Bundle.load(copied)
    assert checked == []
    os.utime(copied / "LICENSE", ns=(1, 1))
    Bundle.load(copied)
    assert "LICENSE" in checked


def test_a_change_is_found_even_if_the_state_before_is_remembered(copied: Path) -> None:
    Bundle.load(copied)
    flip_last_byte(copied / "LICENSE")
    with pytest.raises(errors.BundleFileDamaged):
        Bundle.load(copied)


def test_damaged_memory_is_no_memory(copied: Path, home: Path) -> None:
    Bundle.load(copied)
    (remembered,) = home.glob("*.json")
    remembered.write_text("{")
    assert Bundle.load(copied).path == copied.resolve()


def test_a_read_only_home_remembers_nothing_and_hurts_nobody(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(state.HOME_VARIABLE, str(blocked / "home"))  # nothing can be made below a file, root or not
    assert Bundle.load(copied).manifest.name == "edgeqa-mini"
    assert not state.remember("name", "key", 1)


def test_only_the_newest_facts_are_kept() -> None:
    for number in range(2 * state.KEPT_ENTRIES):
        state.remember("facts", str(number), number)
    assert state.recall("facts", "0") is None
    assert state.recall("facts", str(2 * state.KEPT_ENTRIES - 1)) == 2 * state.KEPT_ENTRIES - 1

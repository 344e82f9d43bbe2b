"""Tests that `models add` takes a finished bundle from a directory or a wheel: whole, checked, and without pip."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from families import Made

from edgeqa import runtime
from edgeqa.errors import BundleError, ModelBundled, ModelExists, NotEnoughMemory
from edgeqa.models import shelf
from edgeqa.models.bundle import BASE, DEFAULT_BUNDLE
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.exports.errors import ExportIsBundle, ExportNotDirectory, ExportUnreadable, WheelWithoutModel
from edgeqa.models.shelf import find_bundle, model_names, models_home

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A small bundle that calls itself edgeqa-base, away from the shelf."""
    made = Made()
    made.graph = made.pointing_at("Babbage")
    path = tmp_path / "bundle"
    shutil.move(add(made.write(tmp_path / "export")).bundle.path, path)
    change_manifest(path, name=BASE)
    return path


def change_manifest(bundle: Path, **changes: Any) -> None:  # noqa: ANN401 - JSON values
    file = bundle / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def wheel_of(bundle: Path, folder: str = "edgeqa_base/edgeqa-base/") -> Path:
    """A wheel that holds the bundle, as a packager would make it."""
    path = bundle.parent / "edgeqa_base-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("edgeqa_base/__init__.py", "")
        archive.writestr("edgeqa_base-1.0.dist-info/METADATA", "Name: edgeqa-base\n")
        for file in bundle.iterdir():
            archive.write(file, folder + file.name)
    return path


def as_it_is(bundle: Path) -> Path:
    return bundle


@pytest.mark.parametrize("given", [as_it_is, wheel_of])
def test_a_bundle_is_copied_tested_and_called_as_it_calls_itself(bundle: Path, given: Callable[[Path], Path]) -> None:
    steps: list[str] = []
    added = add(given(bundle), progress=lambda doing, _done, _total: steps.append(doing))
    assert added.bundle.path == (models_home() / BASE).resolve()
    assert shelf.base_bundle() == models_home() / BASE
    for file in bundle.iterdir():
        assert (added.bundle.path / file.name).read_bytes() == file.read_bytes()
    facts = added.to_json()
    assert "4 of 4 golden cases" in facts["self_test"]
    assert "built_in_f1" not in facts
    assert "copying model.onnx" in steps
    shutil.rmtree(bundle)
    with runtime.open(bundle=BASE, persist="off") as qa:
        assert qa.ask("Who?", "It was Charles Babbage.").text == "Babbage"
    assert shelf.remove_model(BASE) > 0


def test_it_may_be_called_otherwise_and_no_name_is_taken_twice(bundle: Path) -> None:
    assert add(bundle, name="mine").bundle.path.name == "mine"
    with pytest.raises(ModelExists):
        add(bundle, name="mine")
    change_manifest(bundle, name="mine")
    with pytest.raises(ModelExists):
        add(bundle)
    with pytest.raises(ModelBundled):
        add(DEFAULT_BUNDLE)
    assert add(DEFAULT_BUNDLE, name="again").bundle.manifest.kind == "split"


def test_files_beside_those_of_the_manifest_are_left(bundle: Path) -> None:
    (bundle / ".DS_Store").touch()
    assert not (add(bundle).bundle.path / ".DS_Store").exists()


def shorten(bundle: Path) -> None:
    os.truncate(bundle / "model.onnx", 100)


def lengthen(bundle: Path) -> None:
    with (bundle / "model.onnx").open("ab") as file:
        file.write(bytes(3 << 20))


def alter(bundle: Path) -> None:
    data = bytearray((bundle / "tokenizer.json").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "tokenizer.json").write_bytes(data)


def delete(bundle: Path) -> None:
    (bundle / "golden.json").unlink()


def other_logits(bundle: Path) -> None:
    file = bundle / "golden.json"
    cases = json.loads(file.read_text())
    cases[0]["start_logits"] = [logit + 5 for logit in cases[0]["start_logits"]]
    file.write_text(json.dumps(cases))
    facts = {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    change_manifest(bundle, files={**json.loads((bundle / "manifest.json").read_text())["files"], "golden.json": facts})


def escape(bundle: Path) -> None:
    change_manifest(bundle, files={"../../escaped": {"bytes": 1, "sha256": ""}})


def no_json(bundle: Path) -> None:
    (bundle / "manifest.json").write_bytes(b"\xff{")


@pytest.mark.parametrize("given", [as_it_is, wheel_of])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shorten, "model.onnx"),
        (lengthen, "model.onnx"),
        (alter, "tokenizer.json"),
        (delete, "golden.json"),
        (other_logits, "case 1"),
        (escape, "escaped"),
        (no_json, "manifest.json"),
    ],
)
def test_a_damaged_bundle_is_refused_and_nothing_is_left(
    bundle: Path, given: Callable[[Path], Path], damage: Callable[[Path], None], message: str
) -> None:
    damage(bundle)
    with pytest.raises(BundleError, match=message):
        add(given(bundle))
    assert model_names() == shelf.shipped_names()
    assert not list(models_home().glob("*"))


def test_a_wheel_without_a_bundle_or_with_two_is_refused(bundle: Path) -> None:
    wheel = wheel_of(bundle)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.write(bundle / "manifest.json", "other/manifest.json")
    with pytest.raises(WheelWithoutModel, match=r"2 files called manifest\.json"):
        add(wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other.py", "")
    with pytest.raises(WheelWithoutModel, match="0 files"):
        add(wheel)
    wheel.write_bytes(b"no archive")
    with pytest.raises(WheelWithoutModel, match="not a zip file") as caught:
        add(wheel)
    assert "that of edgeqa-base" in caught.value.hint
    with pytest.raises(ExportIsBundle):
        add(wheel, quantize="int8")
    other = wheel.rename(wheel.with_suffix(".zip"))
    with pytest.raises(ExportNotDirectory):
        add(other)


def test_a_damaged_wheel_is_refused(bundle: Path) -> None:
    wheel = wheel_of(bundle)
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.getinfo("edgeqa_base/edgeqa-base/tokenizer.json")
    data = bytearray(wheel.read_bytes())
    middle = inside.header_offset + inside.compress_size // 2
    data[middle : middle + 40] = bytes(40)
    wheel.write_bytes(data)
    with pytest.raises(ExportUnreadable, match=r"edgeqa_base-1\.0"):
        add(wheel)
    assert not list(models_home().glob("*"))


def test_one_that_does_not_fit_is_refused_before_it_is_copied(bundle: Path) -> None:
    copied: list[str] = []
    with pytest.raises(NotEnoughMemory):
        add(bundle, budget_bytes=1 << 20, progress=lambda doing, *_: copied.append(doing))
    assert copied == []
    with pytest.raises(BundleError):
        find_bundle("mine")

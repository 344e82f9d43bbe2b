"""Tests a collection that an older version of the model made: it is read, and what is added encodes it anew."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import onnx
import pytest

import edgeqa
from edgeqa.collection import adding
from edgeqa.collection.errors import CollectionOtherBundle
from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle

if TYPE_CHECKING:
    from pathlib import Path

QUESTION = "Who built the bridge?"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as a later version: by their digest its lower layers are other ones; the tokenizer is not."""
    place = tmp_path_factory.mktemp("models") / "newer"
    shutil.copytree(DEFAULT_BUNDLE, place)
    graph = onnx.load(place / "encode.onnx", load_external_data=False)
    graph.doc_string = "later"
    (place / "encode.onnx").write_bytes(graph.SerializeToString())
    raw = (place / "encode.onnx").read_bytes()
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"]["encode.onnx"] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    manifest |= {"version": "later", "reads_tokens_of": [EncoderIdentity.of(Bundle.load()).digest]}
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return place


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "bridge.txt").write_text("The bridge was built in 1874 by James Eads. It has three arches of steel.")
    (folder / "mill.txt").write_text("The old mill was restored in 1921 by the town council.")
    with edgeqa.open() as qa:
        assert qa.add(folder).encoded == 2
        assert qa.ask(QUESTION).text == "James Eads"
    return folder


@pytest.mark.usefixtures("texts")
def test_it_is_read_from_its_tokens_and_that_is_said(newer: Path) -> None:
    with edgeqa.open(bundle=newer) as qa:
        answer = qa.ask(QUESTION)
        assert (answer.text, answer.cached) == ("James Eads", False)  # what the older model answered is not its answer
        (note,) = answer.notes
        assert "was made with edgeqa-mini 4" in note
        assert "edgeqa sync" in note
        assert qa.ask(QUESTION).cached
    (kept,) = edgeqa.collections()
    assert kept.bundle == "edgeqa-mini 4"
    with edgeqa.open() as qa:
        answer = qa.ask(QUESTION)
        assert (answer.text, answer.cached, answer.notes) == ("James Eads", True, ())


@pytest.mark.parametrize("way", ["add", "sync"])
def test_what_is_added_encodes_it_anew(newer: Path, texts: Path, way: str) -> None:
    (texts / "dam.txt").write_text("The dam was finished in 1936.")
    steps: set[str] = set()
    with edgeqa.open(bundle=newer) as qa:
        report = getattr(qa, way)(texts, progress=lambda step, *_: steps.add(step))
        assert (report.files_re_encoded, report.files_added, report.files_unchanged) == (2, 1, 2)
        assert steps == {"re-encoding", "adding"}
        answer = qa.ask(QUESTION)
        assert (answer.text, answer.notes) == ("James Eads", ())
        assert qa.ask("When was the dam finished?").text == "1936"
        assert qa.add(texts).files_re_encoded == 0
    (kept,) = edgeqa.collections()
    assert (kept.bundle, kept.documents) == ("edgeqa-mini later", 3)
    with edgeqa.open() as qa, pytest.raises(CollectionOtherBundle, match="edgeqa-mini later"):
        qa.ask(QUESTION)


def test_without_encodings_it_is_of_the_newer_model_at_once(newer: Path, texts: Path) -> None:
    with edgeqa.open(bundle=newer) as qa:
        report = qa.add(texts, encodings_bytes="later")
        assert (report.files_re_encoded, report.encoded) == (2, 0)
        assert qa.ask(QUESTION).notes == ()


def test_both_models_read_one_that_is_encoded_anew_in_part(
    newer: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def interrupted(step: str, *_: int) -> None:
        calls.append(step)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with edgeqa.open(bundle=newer) as qa:
        with monkeypatch.context() as patch:
            patch.setattr(adding, "BLOCK_CONTEXTS", 1)
            patch.setattr(adding, "COMMIT_BYTES", -1)
            with pytest.raises(KeyboardInterrupt):
                qa.add(texts, progress=interrupted)
        assert calls == ["re-encoding", "re-encoding"]
        assert qa.ask(QUESTION).text == "James Eads"
    with edgeqa.open() as qa:
        assert qa.ask("Who restored the mill?").text == "the town council"
    with edgeqa.open(bundle=newer) as qa:
        qa.add(texts)
        assert qa.ask("Who restored the mill?").text == "the town council"
        assert qa.ask(QUESTION).notes == ()


def test_a_list_of_encoders_that_is_none_is_refused(newer: Path, tmp_path: Path) -> None:
    place = tmp_path / "wrong"
    shutil.copytree(newer, place)
    manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    (place / "manifest.json").write_text(json.dumps(manifest | {"reads_tokens_of": "all"}), encoding="utf-8")
    with pytest.raises(edgeqa.BundleError, match="reads_tokens_of"):
        Bundle.load(place)

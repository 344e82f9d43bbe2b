"""Tests a pipeline on models of the user's own: an export's directory as it is, and the same added by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from families import FAMILIES, Made

import edgeqa
from edgeqa.errors import BundleError, NotEnoughMemory
from edgeqa.models import shelf
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.exports.errors import ExportNotFound, ExportTokenizerMissing

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "The wheel turns. The machine was designed by Charles Babbage, (1791-1871), in London. " * 20
ASKED = {"question": "Who designed it?", "context": TEXT, "top_k": 3, "max_seq_len": 200, "doc_stride": 40}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_and_the_model_made_of_it_answer_the_same(family: str, tmp_path: Path) -> None:
    directory = Made(family).write(tmp_path / family)
    as_it_is = edgeqa.pipeline(model=directory)(**ASKED)
    assert all(TEXT[answer["start"] : answer["end"]] == answer["answer"] for answer in as_it_is)
    add(str(directory))
    assert edgeqa.pipeline(model=family)(**ASKED) == as_it_is


def test_nothing_is_written_for_an_export_that_is_read_in_place(tmp_path: Path, home: Path) -> None:
    directory = Made("bert").write(tmp_path / "export")
    before = sorted(directory.iterdir())
    edgeqa.pipeline(model=str(directory))(**ASKED)
    assert sorted(directory.iterdir()) == before
    assert not (home / "models").exists()


def test_without_a_model_the_one_in_use_answers(tmp_path: Path) -> None:
    asked = {"question": "Where was it designed?", "context": "The machine was designed in London."}
    made = Made("bert")
    made.graph = made.pointing_at("machine")
    add(str(made.write(tmp_path / "mine")))
    shelf.use_model("mine")
    assert edgeqa.pipeline()(**asked)["answer"] == "machine"
    shelf.use_model("edgeqa-mini")
    assert edgeqa.pipeline()(**asked)["answer"] == "London"


def test_a_window_is_no_longer_than_the_export_reads(tmp_path: Path) -> None:
    made = Made("bert", tokenizer_config={"model_max_length": 200})
    pipeline = edgeqa.pipeline(model=made.write(tmp_path / "short"))
    assert pipeline(question="Who?", context=TEXT) == pipeline(question="Who?", context=TEXT, max_seq_len=200)
    with pytest.raises(edgeqa.EdgeQAError, match="reads 200 tokens"):
        pipeline(question="Who?", context=TEXT, max_seq_len=201)


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportNotFound) as caught:
        edgeqa.pipeline(model="somebody/a-model-of-a-hub")
    assert "optimum-cli export onnx" in caught.value.hint
    directory = Made("bert").write(tmp_path / "export")
    with pytest.raises(NotEnoughMemory):
        edgeqa.pipeline(model=directory, budget_bytes=1 << 20)
    (directory / "tokenizer.json").unlink()
    with pytest.raises(ExportTokenizerMissing):
        edgeqa.pipeline(model=directory)
    with pytest.raises(BundleError, match="no model called"):
        edgeqa.pipeline(model="no-such-model")

"""Tests that tools/make_base.py makes a joint bundle whose graph computes what the reference network computes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("onnx", reason="tools/ needs the extra edgeqa[tools]")
pytest.importorskip("safetensors", reason="tools/ needs the extra edgeqa[tools]")

import make_base
import mpnet
import onnx
from joint_graph import RowInt8Graph, joint_graph
from operators import Int8Graph
from safetensors.numpy import save_file

from edgeqa.models import selftest
from edgeqa.models.bundle import DEFAULT_BUNDLE, Bundle
from edgeqa.models.readers import open_reader
from edgeqa.models.session import SessionOptions
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from weights import Floats, Ints, Weights

PRETRAINED = os.environ.get("EDGEQA_BASE_PRETRAINED", "")  # the folder of all-mpnet-base-v2
TRAINED = os.environ.get("EDGEQA_BASE_TRAINED", "")  # the file of what training changed of it
WIDTH, INNER, LAYERS, FROZEN = 4 * mpnet.HEADS, 96, 3, 1
TOLERANCE = 1e-4
ROUNDED = 0.7  # what int8 may move a logit of the small network by; a wrong graph moves it by several


def pretrained(vocabulary: int) -> dict[str, Floats]:
    """Returns seeded random weights in the names of transformers' MPNetModel."""
    random = np.random.default_rng(0)

    def normal(*shape: int, deviation: float = 1.0, mean: float = 0.0) -> Floats:
        return (mean + deviation * random.standard_normal(shape)).astype(np.float32)

    weights: dict[str, Any] = {
        "embeddings.word_embeddings.weight": normal(vocabulary, WIDTH),
        "embeddings.position_embeddings.weight": normal(514, WIDTH, deviation=0.5),
        "encoder.relative_attention_bias.weight": normal(32, mpnet.HEADS),
        "embeddings.position_ids": np.arange(514)[None],
        "pooler.dense.bias": normal(WIDTH),
    }
    shapes = {f"attention.attn.{part}": (WIDTH, WIDTH) for part in "qkvo"}
    shapes |= {"intermediate.dense": (INNER, WIDTH), "output.dense": (WIDTH, INNER)}
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{number}." for number in range(LAYERS)):
        for name, (rows, columns) in shapes.items():
            weights[f"{layer}{name}.weight"] = normal(rows, columns, deviation=1.5 * columns**-0.5)
            weights[f"{layer}{name}.bias"] = normal(rows, deviation=0.3)
        norms += [f"{layer}attention.LayerNorm", f"{layer}output.LayerNorm"]
    for name in norms:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = normal(WIDTH, deviation=0.2, mean=1), normal(WIDTH)
    return weights


def trained(upper: Weights) -> dict[str, Any]:
    """Returns other upper layers and a span head, packed as training packs them."""
    random = np.random.default_rng(1)
    packed: dict[str, Any] = {}
    for name, value in upper.items():
        if name.startswith(tuple(f"layers.{number}." for number in range(FROZEN, LAYERS))):
            if value.ndim == 2:
                packed[name] = random.integers(-127, 128, value.shape, np.int8)
                packed[f"{name}.scale"] = np.full((len(value), 1), value.std() / 73, np.float16)
            else:
                packed[name] = value.astype(np.float16)
    packed["span.weight"] = random.standard_normal((2, WIDTH)).astype(np.float16) / 7
    packed["span.bias"] = np.array([0.5, -0.5], np.float16)
    return packed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pre-trained network with a tokenizer that fills and cuts, as that of the package index does."""
    path = tmp_path_factory.mktemp("mpnet")
    tokenizer = json.loads((DEFAULT_BUNDLE / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    (path / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    save_file(pretrained(len(tokenizer["model"]["vocab"])), path / "model.safetensors")
    weights = mpnet.load_base(path / "model.safetensors", path / "model.safetensors")
    save_file(trained(weights), path / "upper.safetensors")
    return path


@pytest.fixture(scope="module")
def weights(folder: Path) -> Weights:
    return mpnet.load_base(folder / "model.safetensors", folder / "upper.safetensors")


def logits(model: onnx.ModelProto, ids: Ints) -> Floats:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: Floats = session.run(["logits"], {"input_ids": ids[None]})[0][0]
    return found


@pytest.mark.parametrize("tokens", [2, 9, 150, 512])
def test_the_graph_computes_what_the_network_does(weights: Weights, tokens: int) -> None:
    ids = np.random.default_rng(tokens).integers(0, len(weights["word.weight"]), tokens)
    expected = mpnet.read(weights, ids)
    assert_allclose(logits(joint_graph(weights, int8=False), ids), expected, rtol=0, atol=TOLERANCE)
    assert_allclose(logits(joint_graph(weights, int8=True), ids), expected, rtol=0, atol=ROUNDED)


def test_a_loud_row_does_not_blur_the_others_where_each_has_its_scale() -> None:
    random = np.random.default_rng(3)
    weights = {".f1.weight": random.standard_normal((8, 64)).astype(np.float32), ".f1.bias": np.ones(8, np.float32)}
    x = random.standard_normal((1, 20, 64)).astype(np.float32)
    x[0, 5] *= 300
    expected = x @ weights[".f1.weight"].T + weights[".f1.bias"]

    def error(g: Int8Graph) -> float:
        g.op("Identity", g.product("x", ".f1"), out=("y",))
        values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy"]
        model = g.model("product", values[:1], values[1:]).SerializeToString()
        found = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(["y"], {"x": x})[0]
        return float(np.abs(np.delete(found - expected, 5, axis=1)).max())

    assert error(Int8Graph(weights)) > 3
    assert error(RowInt8Graph(weights, mpnet.NORM_EPSILON)) < 0.3


def test_what_was_trained_goes_before_what_was_pretrained(folder: Path, weights: Weights) -> None:
    before = mpnet.load_base(folder / "model.safetensors", folder / "model.safetensors")
    changed = {name for name in before if name in weights and not np.array_equal(before[name], weights[name])}
    assert {name.split(".")[1] for name in changed} == {str(number) for number in range(FROZEN, LAYERS)}
    assert weights["span.weight"].dtype == np.float32
    assert len(mpnet.layer_names(weights)) == LAYERS


def test_a_distance_has_the_same_bucket_as_in_t5() -> None:
    table = {"rel.weight": np.arange(32, dtype=np.float32)[:, None]}
    distances = np.array([0, -1, 1, -7, -8, -11, -12, 15, 16, -64, -90, 91, 127, 128, -500])
    of_t5 = [0, 1, 17, 7, 8, 8, 9, 25, 26, 14, 14, 31, 31, 31, 15]
    assert mpnet.distance_weights(table, distances)[0].tolist() == of_t5


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_bundle_is_whole_and_passes_its_self_test(
    folder: Path, tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    most_bytes = 1_500_000  # the table of words, and little more
    monkeypatch.setattr(make_base, "MAX_FILE_BYTES", most_bytes)
    like = tmp_path / "like"
    like.mkdir()
    (like / "MODEL_CARD.md").write_text("a card")
    (like / "LICENSE").write_text("a licence")
    calibration = {"slope": 0.5, "contexts": 0, "intercept": -1, "no_answer_below": 0.25}
    (like / "manifest.json").write_text(json.dumps({"version": "7", "calibration": calibration, "name": "other"}))
    out = tmp_path / "out"
    make_base.write_base(folder, folder / "upper.safetensors", out, precision=precision, like=like)

    bundle = Bundle.load(out)
    manifest = bundle.manifest
    assert (manifest.name, manifest.version, manifest.kind, manifest.layers) == ("edgeqa-base", "7", "joint", LAYERS)
    assert (manifest.calibration.slope, manifest.calibration.no_answer_below) == (0.5, 0.25)
    assert manifest.joint is not None
    assert manifest.joint.max_tokens == manifest.max_question_tokens - 2 + manifest.max_context_tokens - 1 + 4
    weights = [out / name for name in manifest.joint.graph_files if name.endswith(".bin")]
    sizes_bytes = [file.stat().st_size for file in weights]
    several_within = (len(sizes_bytes) > 1, max(sizes_bytes) <= most_bytes)
    assert several_within == ((True, True) if precision == "int8" else (False, False))
    assert json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))["truncation"] is None
    reader = open_reader(bundle, SessionOptions())
    verdict = selftest.run(bundle, Tokenizer(bundle.file("tokenizer.json")), reader)
    assert verdict.largest_error < (TOLERANCE if precision == "float32" else ROUNDED)


def test_the_same_weights_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name in "ab":
        make_base.write_base(
            folder, folder / "upper.safetensors", tmp_path / name, precision="int8", like=tmp_path / "none"
        )
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(SystemExit) as stopped:
        make_base.parse_args(["mpnet", "upper.safetensors", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert "is not an empty directory" in capsys.readouterr().err


@pytest.mark.reference
@pytest.mark.skipif(
    not (PRETRAINED and TRAINED), reason="EDGEQA_BASE_PRETRAINED and EDGEQA_BASE_TRAINED name no weights"
)
def test_the_shipped_model_is_made_again_from_its_weights(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_base.write_base(Path(PRETRAINED), Path(TRAINED), out, precision="int8", like=make_base.SHIPPED)
    assert {file.name for file in out.iterdir()} == {file.name for file in make_base.SHIPPED.iterdir()}
    for file in make_base.SHIPPED.iterdir():
        if file.name not in {"golden.json", "manifest.json"}:
            assert (out / file.name).read_bytes() == file.read_bytes(), file.name
    made, shipped = (json.loads((folder / "golden.json").read_text()) for folder in (out, make_base.SHIPPED))
    for case, other in zip(made, shipped, strict=True):
        for name in ("start_logits", "end_logits"):
            # They were rounded to 4 decimals after another float32 arithmetic.
            assert_allclose(case.pop(name), other.pop(name), rtol=0, atol=2e-4)
        assert case == other

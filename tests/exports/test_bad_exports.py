"""Tests each fault that an export can have: it gets one line, a hint and an exit code, and leaves nothing."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import families
import networks
import numpy as np
import onnx
import pytest
from families import Made
from onnx import TensorProto, helper, numpy_helper

from edgeqa.errors import (
    EXIT_DEVICE,
    EXIT_USAGE,
    EdgeQAError,
    ExportError,
    ModelBundled,
    ModelExists,
    ModelNameInvalid,
    ModelNameKept,
    NotEnoughMemory,
)
from edgeqa.models.bundle import BASE, BUNDLED
from edgeqa.models.exports import errors
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.shelf import model_names, models_home, shipped_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return Made().write(tmp_path / "export")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    left = [path.name for path in models_home().glob("*")] if models_home().exists() else []
    assert left == model_names()[len(shipped_names()) :]


def refused(directory: Path | str, kind: type[EdgeQAError], message: str, *, hint: str = "", graph: str = "") -> None:
    with pytest.raises(kind, match=message) as caught:
        add(str(directory), graph=graph or None)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert hint in caught.value.hint
    assert caught.value.exit_code in {EXIT_USAGE, EXIT_DEVICE}
    assert model_names()[len(shipped_names()) :] == []


def rewritten(directory: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(directory / "model.onnx")
    change(model)
    onnx.save(model, directory / "model.onnx")
    return directory


def test_a_models_name_is_answered_with_the_two_commands_that_make_a_directory() -> None:
    name = "deepset/roberta-base-squad2"
    refused(name, errors.ExportNotFound, f"no such directory: {name}", hint='pip install "optimum-onnx[onnxruntime]"')
    export = f"optimum-cli export onnx --model {name} --task question-answering roberta-base-squad2"
    refused(name, errors.ExportNotFound, "no such directory", hint=export)
    assert issubclass(errors.ExportNotFound, FileNotFoundError)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("dist/edgeqa_base-1.0-py3-none-any.whl", "no such wheel: dist/edgeqa_base", "`make wheel`"),
        ("./my-export", "no such directory: ./my-export", "the directory that an exporter wrote"),
        ("/nowhere/my-export", "no such directory: /nowhere", "the directory that an exporter wrote"),
    ],
)
def test_a_path_that_is_not_there_is_no_name_on_a_hub(name: str, message: str, hint: str) -> None:
    refused(name, errors.ExportNotFound, message, hint=hint)


def test_a_file_is_no_directory(export: Path) -> None:
    refused(export / "model.onnx", errors.ExportNotDirectory, "not a directory")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_name_that_no_directory_can_have(name: str) -> None:
    refused(name, errors.ExportNotFound, "no such directory")


@pytest.mark.parametrize("choice", [{"graph": "model.onnx"}, {"quantize": "int8"}])
def test_of_a_bundle_nothing_is_chosen_or_made(export: Path, choice: dict[str, str]) -> None:
    path = add(str(export), name="mine").bundle.path
    with pytest.raises(errors.ExportIsBundle, match="is a bundle already") as caught:
        add(str(path), name="other", **choice)  # type: ignore[arg-type]
    assert "without --graph" in caught.value.hint


def test_no_graph(export: Path) -> None:
    (export / "model.onnx").unlink()
    refused(export, errors.ExportGraphMissing, "no graph in .*neither model.onnx nor onnx/model.onnx", hint="optimum")


def test_several_graphs_of_other_names_are_listed_and_one_can_be_chosen(export: Path) -> None:
    (export / "onnx").mkdir()
    (export / "model.onnx").rename(export / "onnx" / "model_a.onnx")
    (export / "onnx" / "model_b.onnx").write_bytes((export / "onnx" / "model_a.onnx").read_bytes())
    refused(export, errors.ExportGraphAmbiguous, "2 graphs in .*: onnx/model_a.onnx, onnx/model_b.onnx", hint="--graph")
    refused(export, errors.ExportFileInvalid, "there is no such graph", graph="onnx/model_c.onnx")
    assert add(str(export), graph="onnx/model_b.onnx").bundle.manifest.name == "export"


def test_a_graph_in_the_folder_onnx_is_found(tmp_path: Path) -> None:
    assert add(str(Made().write(tmp_path / "hub", "onnx/model.onnx"))).bundle.manifest.kind == "joint"


def test_no_tokenizer(export: Path) -> None:
    (export / "tokenizer.json").unlink()
    refused(export, errors.ExportTokenizerMissing, "no tokenizer.json")


@pytest.mark.parametrize("files", [["vocab.txt"], ["spiece.model"], ["vocab.json", "merges.txt"]])
def test_a_slow_tokenizer_alone_is_answered_with_how_to_make_the_fast_one(export: Path, files: list[str]) -> None:
    (export / "tokenizer.json").unlink()
    for name in files:
        (export / name).write_text("")
    refused(export, errors.ExportTokenizerSlow, rf"slow tokenizer \({', '.join(files)}\)", hint="AutoTokenizer")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": 3}', "\ufeff{}", "[" * 100_000])
def test_a_tokenizer_that_is_none(export: Path, content: str) -> None:
    (export / "tokenizer.json").write_text(content)
    refused(export, errors.ExportFileInvalid, "tokenizer.json: ")


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_graph(export: Path, keep: float) -> None:
    raw = (export / "model.onnx").read_bytes()
    (export / "model.onnx").write_bytes(raw[: int(keep * len(raw))])
    refused(export, errors.ExportDamaged, "model.onnx is damaged", hint="copy or export it again")


@pytest.mark.parametrize("content", [b"\0" * 100, b"not a graph at all", b"\x08\x09", b"\xff" * 40, b"<html></html>"])
def test_a_graph_that_is_none(export: Path, content: bytes) -> None:
    (export / "model.onnx").write_bytes(content)
    refused(export, errors.ExportDamaged, "model.onnx is damaged")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_note_of_git_lfs_is_not_the_file(export: Path, name: str) -> None:
    (export / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    refused(export, errors.ExportFileLater, f"{name} is not the file itself", hint="git lfs pull")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": None}, "it has no num_hidden_layers or n_layers"),
        ({"hidden_size": "16"}, "hidden_size is '16', not a whole number"),
        ({"num_attention_heads": -1}, "num_attention_heads is -1"),
        ({"hidden_size": True}, "hidden_size is True"),
        ({"model_type": ["bert"], "vocab_size": -1}, "vocab_size is -1"),
        ({"max_position_embeddings": 1e9}, "max_position_embeddings is 1000000000.0"),
    ],
)
def test_a_config_that_makes_no_sense(tmp_path: Path, change: dict[str, object], message: str) -> None:
    refused(Made(config=change).write(tmp_path / "export"), errors.ExportFileInvalid, f"config.json: {message}")


def test_no_config(export: Path) -> None:
    (export / "config.json").unlink()
    refused(export, errors.ExportFileInvalid, "config.json: there is no such file")


@pytest.mark.parametrize(
    ("config", "tokenizer_config"),
    [({"max_position_embeddings": 128}, {}), ({}, {"model_max_length": 191}), ({}, {"model_max_length": -1})],
)
def test_a_model_of_few_tokens(tmp_path: Path, config: dict[str, object], tokenizer_config: dict[str, object]) -> None:
    made = Made(config=config, tokenizer_config=tokenizer_config)
    refused(made.write(tmp_path / "export"), errors.ExportTooShort, r"takes -?\d+ tokens, fewer than 192")


def test_an_unset_model_max_length_is_none(tmp_path: Path) -> None:
    directory = Made(tokenizer_config={"model_max_length": 1e30}).write(tmp_path / "export")
    joint = add(str(directory)).bundle.manifest.joint
    assert joint is not None
    assert joint.max_tokens == 512


def test_a_graph_that_takes_fewer_tokens_than_its_config_says(tmp_path: Path) -> None:
    made = Made()
    sizes = networks.Sizes(made.vocabulary, positions=300)
    made.graph = networks.bert(sizes, networks.random_weights(sizes))
    refused(made.write(tmp_path / "export"), errors.ExportGraphRefused, "it does not take 512 tokens")


def headed(name: str, width: int, *, pooled: bool) -> Callable[[onnx.ModelProto], object]:
    """Replaces the span head by a product of this width, of all tokens or of the first."""

    def change(model: onnx.ModelProto) -> None:
        graph = model.graph
        del graph.output[:]
        head = np.zeros((2, width), np.float32)
        graph.initializer.append(numpy_helper.from_array(head, "head"))
        graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
        last = [node for node in graph.node if node.op_type == "Split"][-1]
        logits = last.input[0]
        if pooled:
            graph.node.append(helper.make_node("Gather", [logits, "first"], ["rows"], axis=1))
            graph.node.append(helper.make_node("Squeeze", ["rows"], ["row"]))
            graph.node.append(helper.make_node("Unsqueeze", ["row", "first"], ["pooled"]))
            logits = "pooled"
        graph.node.append(helper.make_node("MatMul", [logits, "head"], [name]))
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))

    return change


@pytest.mark.parametrize(
    ("architecture", "name", "width", "pooled", "message"),
    [
        ("BertModel", "last_hidden_state", 128, False, "BertModel gives last_hidden_state .*an encoder alone"),
        ("BertForSequenceClassification", "logits", 3, True, "classifies whole texts into 3 classes"),
        ("BertForSequenceClassification", "logits", 2, True, "classifies whole texts into 2 classes"),
        ("BertForTokenClassification", "logits", 9, False, "another head"),
        ("BertForTokenClassification", "logits", 2, False, "another head"),
        ("BertForMaskedLM", "logits", 400, False, "for 21 tokens"),
    ],
)
def test_a_graph_without_a_head_for_answers(
    tmp_path: Path,
    architecture: str,
    name: str,
    width: int,
    pooled: bool,  # noqa: FBT001 - a parameter of the test
    message: str,
) -> None:
    directory = Made(config={"architectures": [architecture]}).write(tmp_path / "export")
    rewritten(directory, headed(name, width, pooled=pooled))
    refused(directory, errors.ExportHeadWrong, f"no head for answers: .*{message}", hint="--task question-answering")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    made = Made()
    table = np.full((made.vocabulary, 2), value, np.float32)
    made.graph = networks.lookup(table, made.shape())
    refused(made.write(tmp_path / "export"), errors.ExportGraphRefused, "its logits are infinite, or no numbers")


def test_an_input_that_no_reader_takes(export: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [1, 3]))

    refused(rewritten(export, change), errors.ExportInputsUnknown, "declares an input 'pixel_values'")


def test_token_ids_of_another_type(tmp_path: Path) -> None:
    made = Made()
    made.graph = made.encoder(networks.Shape(element=TensorProto.FLOAT, inputs=["input_ids", "attention_mask"]))
    refused(made.write(tmp_path / "export"), errors.ExportInputsUnknown, r"input 'input_ids' is a tensor\(float\)")


def test_inputs_of_a_fixed_length(tmp_path: Path) -> None:
    made = Made()
    made.graph = made.encoder(networks.Shape(axes=(1, 384)))
    refused(made.write(tmp_path / "export"), errors.ExportShapeFixed, "one fixed length only", hint="dynamic axes")


@pytest.mark.parametrize("opset", [99, 1 << 40])
def test_an_opset_that_is_too_new(export: Path, opset: int) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = opset

    directory = rewritten(export, change)
    refused(directory, errors.ExportOpsetTooNew, f"its opset is {opset}, too new for onnxruntime", hint="--opset")


def test_a_newer_version_of_the_file_format(export: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.ir_version = 999

    refused(rewritten(export, change), errors.ExportOpsetTooNew, "too new for onnxruntime")


def in_half(model: onnx.ModelProto, element: int = TensorProto.FLOAT16) -> None:
    """Makes all weights, and what is computed with them, of this type."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            half = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(element))
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    for attribute in (a for node in model.graph.node for a in node.attribute if node.op_type == "Cast"):
        if attribute.i == TensorProto.FLOAT:
            attribute.i = element
    for output in model.graph.output:
        output.type.tensor_type.elem_type = element


def test_float16_runs_where_the_processor_has_what_it_takes(export: Path) -> None:
    float32 = onnx.load(export / "model.onnx")
    rewritten(export, in_half)
    (export / "onnx").mkdir()
    (export / "model.onnx").rename(export / "onnx" / "model_fp16.onnx")
    onnx.save(float32, export / "model.onnx")
    added = add(str(export), graph="onnx/model_fp16.onnx", name="half")
    assert added.bundle.manifest.precision == "float16"
    # The golden logits are those of the float32 graph beside it.
    assert added.moved is not None
    assert 0 < added.moved.logits == pytest.approx(added.verdict.largest_error, rel=3)


def test_float16_with_an_operator_that_the_processor_lacks(export: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        in_half(model)
        norm = next(node for node in model.graph.node if node.op_type == "LayerNormalization")
        norm.op_type, norm.domain = "BiasAdd", "com.microsoft"  # there for graphics cards only
        norm.input[:] = [norm.input[0], norm.input[2], norm.input[0]]
        del norm.attribute[:]
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    message = "a float16 graph that onnxruntime cannot run on this processor"
    refused(rewritten(export, change), errors.ExportOperatorMissing, message, hint="float32")


def test_bfloat16(export: Path) -> None:
    directory = rewritten(export, lambda model: in_half(model, TensorProto.BFLOAT16))
    refused(directory, errors.ExportOperatorMissing, "a bfloat16 graph")


def test_an_operator_that_nobody_has(export: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == "Erf")
        node.op_type = "Erfolg"

    below = export.parent / ("long" * 40)
    below.mkdir()
    refused(rewritten(export, change).rename(below / "export"), ExportError, "Erfolg")


def test_a_tokenizer_with_more_tokens_than_the_graph_has_rows(tmp_path: Path) -> None:
    made = Made()
    sizes = networks.Sizes(made.vocabulary - 1)
    made.graph = networks.bert(sizes, networks.random_weights(sizes))
    tokens, rows = made.vocabulary, made.vocabulary - 1
    message = f"the tokenizer has {tokens} tokens, the graph has embeddings for {rows}"
    refused(made.write(tmp_path / "export"), errors.ExportVocabularyWrong, message, hint="of different models")


def test_a_tokenizer_of_a_much_smaller_model(tmp_path: Path) -> None:
    made = Made()
    sizes = networks.Sizes(3 * made.vocabulary)
    made.graph = networks.bert(sizes, networks.random_weights(sizes))
    refused(made.write(tmp_path / "export"), errors.ExportVocabularyWrong, "the graph has embeddings for")


def test_a_vocabulary_is_seen_by_running_where_the_graph_does_not_show_it(tmp_path: Path) -> None:
    made = Made(config={"vocab_size": None})
    sizes = networks.Sizes(made.vocabulary - 1)
    # Of int32, ids are cast before they are looked up.
    made.graph = networks.bert(sizes, networks.random_weights(sizes), networks.Shape(element=TensorProto.INT32))
    refused(made.write(tmp_path / "export"), errors.ExportVocabularyWrong, "the tokenizer has")


@pytest.mark.parametrize(
    "post_processor", [None, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}]
)
def test_a_tokenizer_that_does_not_lay_out_pairs(export: Path, post_processor: object) -> None:
    file = export / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "post_processor": post_processor}))
    refused(export, errors.ExportPairUnknown, "no special token before the question")


def test_a_tokenizer_that_fails_inside_the_library(export: Path) -> None:
    file = export / "tokenizer.json"
    raw = json.loads(file.read_text())
    raw["post_processor"]["special_tokens"] = {}  # on which the library panics when a pair is laid out
    file.write_text(json.dumps(raw))
    refused(export, errors.ExportFileInvalid, "not a tokenizer")


def test_a_graph_with_text_in_no_encoding_prints_nothing(export: Path, capfd: pytest.CaptureFixture[str]) -> None:
    raw = (export / "model.onnx").read_bytes()
    (export / "model.onnx").write_bytes(raw.replace(b"Softmax", b"Soft\xd0\xd0x"))
    refused(export, ExportError, "onnxruntime cannot load it")
    assert capfd.readouterr() == ("", "")


def test_a_tokenizer_that_puts_the_no_answer_token_last(export: Path) -> None:
    """As XLNet's does."""
    file = export / "tokenizer.json"
    raw = json.loads(file.read_text())
    pieces = [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    pieces += [{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[CLS]", "type_id": 2}}]
    raw["post_processor"]["pair"] = pieces
    file.write_text(json.dumps(raw))
    refused(export, errors.ExportPairUnknown, "no special token before the question")


# --- weights beside the graph ----------------------------------------------------------------------------------------


def with_weights_beside(directory: Path, location: str) -> Path:
    onnx.save(
        onnx.load(directory / "model.onnx"),
        directory / "model.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=256,
        convert_attribute=True,
    )
    if location != "weights.bin":
        raw = onnx.load(directory / "model.onnx", load_external_data=False)
        for tensor in raw.graph.initializer:
            for entry in (e for e in tensor.external_data if e.key == "location"):
                entry.value = location
        (directory / "model.onnx").write_bytes(raw.SerializeToString())
    return directory


def test_weights_beside_the_graph_come_along(export: Path) -> None:
    added = add(str(with_weights_beside(export, "weights.bin")))
    assert added.bundle.manifest.joint is not None
    assert added.bundle.manifest.joint.graph_files == ("model.onnx", "weights.bin")
    assert added.bundle.needs().file_bytes > 1.0 * (export / "weights.bin").stat().st_size


@pytest.mark.parametrize(
    "location",
    [
        "../weights.bin",
        "/etc/passwd",
        "sub/weights.bin",
        "..",
        "",
        ".",
        "C:\\weights.bin",
        "sub\\..\\weights.bin",
        "a\nb",
        "*/_ORT_MEM_ADDR_/*",
        "manifest.json",
        "tokenizer.json",
        "model.onnx",
    ],
)
def test_weights_that_lie_elsewhere(export: Path, location: str) -> None:
    (export.parent / "weights.bin").write_bytes(b"x" * 100_000)
    directory = with_weights_beside(export, location)
    refused(directory, errors.ExportPathUnsafe, "model.onnx: its weights are said to be in", hint="beside the graph")


def test_weights_that_are_a_symbolic_link(export: Path) -> None:
    directory = with_weights_beside(export, "weights.bin")
    secret = export.parent / "elsewhere.bin"
    (export / "weights.bin").rename(secret)
    (export / "weights.bin").symlink_to(secret)
    refused(directory, errors.ExportPathUnsafe, "'weights.bin', a symbolic link", hint="cp -rL")


def test_weights_that_are_no_plain_file(export: Path) -> None:
    directory = with_weights_beside(export, "weights.bin")
    (export / "weights.bin").unlink()
    os.mkfifo(export / "weights.bin")
    refused(directory, errors.ExportPathUnsafe, "which is no plain file")


def test_weights_that_are_not_there(export: Path) -> None:
    directory = with_weights_beside(export, "weights.bin")
    (export / "weights.bin").unlink()
    refused(directory, errors.ExportDamaged, "the file weights.bin, are not beside it")


def test_weights_that_are_cut_off(export: Path) -> None:
    directory = with_weights_beside(export, "weights.bin")
    size_bytes = (export / "weights.bin").stat().st_size
    os.truncate(export / "weights.bin", size_bytes - 1)
    message = f"weights.bin is damaged: it has {size_bytes - 1} bytes, and the graph needs {size_bytes}"
    refused(directory, errors.ExportDamaged, message)


def test_weights_of_a_constant_in_a_node_are_seen_too(export: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "../secret"), ("length", "4")):
            tensor.external_data.add(key=key, value=value)
        body = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "branch", [], [])
        model.graph.node.append(helper.make_node("If", ["attention_mask"], ["unused"], then_branch=body))

    model = onnx.load(export / "model.onnx")
    change(model)
    (export / "model.onnx").write_bytes(model.SerializeToString())
    refused(export, errors.ExportPathUnsafe, "'../secret'")


# --- the device, and names -------------------------------------------------------------------------------------------


def test_a_model_of_3_gb_is_refused_on_a_small_budget_before_it_is_loaded(export: Path) -> None:
    directory = with_weights_beside(export, "weights.bin")
    os.truncate(export / "weights.bin", 3 << 30)  # sparse: it takes no room on the disk
    with pytest.raises(NotEnoughMemory, match="bytes missing") as caught:
        add(str(directory), budget_bytes=512 * MIB)
    assert caught.value.missing_bytes > 3 << 30
    assert model_names()[len(shipped_names()) :] == []


def test_a_name_that_exists(export: Path) -> None:
    add(str(export), name="mine")
    with pytest.raises(FileExistsError, match="there is a model called mine already") as caught:
        add(str(export), name="mine")
    assert isinstance(caught.value, ModelExists)
    assert "edgeqa models remove mine" in caught.value.hint
    assert model_names()[len(shipped_names()) :] == ["mine"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", ".hidden", "a b", "é", "x" * 65, "-x", "a\n"])
def test_a_name_that_no_model_can_have(export: Path, name: str) -> None:
    with pytest.raises(ModelNameInvalid, match="a model cannot be called"):
        add(str(export), name=name)


def test_the_bundled_models_name_is_taken(export: Path) -> None:
    with pytest.raises(ModelBundled):
        add(str(export), name=BUNDLED)


def test_the_name_of_edgeqas_own_other_model_is_kept(export: Path) -> None:
    with pytest.raises(ModelNameKept, match=f"no other model can be called {BASE}"):
        add(str(export), name=BASE)


def test_a_directory_whose_name_no_model_can_have_needs_one(tmp_path: Path) -> None:
    directory = Made().write(tmp_path / "my export")
    refused(directory, ModelNameInvalid, "'my export'", hint="--name")
    assert add(str(directory), name="mine").bundle.manifest.name == "mine"


def test_a_tokenizer_with_other_letters_in_its_vocabulary_only_is_fine(tmp_path: Path) -> None:
    """An export whose config says nothing of its architecture is judged by what comes out."""
    directory = Made(config={"architectures": None, "model_type": None}).write(tmp_path / "plain")
    assert add(str(directory)).bundle.manifest.kind == "joint"
    assert families.tokenizer("bert").get_vocab_size() == Made().vocabulary

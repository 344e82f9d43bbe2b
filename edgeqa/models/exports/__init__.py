"""Exports of other models: a directory, as the usual exporters write it, in; a bundle of kind `joint` out.

This module finds and checks what is in such a directory, and reads each file as far as it is small: a graph
(`model.onnx`, or in `onnx/`), `tokenizer.json`, `config.json`, and `tokenizer_config.json` where there is one. Nothing
is loaded into onnxruntime here, and nothing is downloaded. `trial` runs the graph, and `adding` makes the bundle.
"""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeqa.models import manifest
from edgeqa.models.exports.errors import (
    ExportFileInvalid,
    ExportFileLater,
    ExportGraphAmbiguous,
    ExportGraphMissing,
    ExportIsBundle,
    ExportNotDirectory,
    ExportNotFound,
    ExportOperatorMissing,
    ExportTokenizerMissing,
    ExportTokenizerSlow,
    ExportTooShort,
    ExportUnreadable,
)
from edgeqa.models.exports.graph import LFS_NOTE, graph_facts
from edgeqa.models.manifest import MAX_LAYERS, MAX_TOKENS, MAX_WIDTH, PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.models.exports.graph import GraphFacts

GRAPHS = ("model.onnx", "onnx/model.onnx")
SLOW_TOKENIZER = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "bpe.codes",
)
# The position ids of these begin after the padding token's, so that their tables have so many more rows.
POSITIONS_AFTER_PADDING = {
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
MAX_JOINT_TOKENS = 512  # readers are trained with at most so many; beyond it, memory grows with the square
MIN_JOINT_TOKENS = 192  # a question's 64 and a window's 128
MAX_JSON_BYTES = 1 << 26  # the largest tokenizers have 34 MB


@dataclass(frozen=True, slots=True)
class Config:
    """The facts in config.json and tokenizer_config.json."""

    model_type: str
    architecture: str
    layers: int
    width: int
    heads: int
    pad_id: int
    vocabulary: int | None
    max_tokens: int
    first_position: int


@dataclass(frozen=True, slots=True)
class Export:
    """An export's directory, read."""

    directory: Path
    graph: GraphFacts
    reference: GraphFacts
    """The graph in float32 where the export has it, else the same as `graph`."""
    tokenizer: Path
    config: Config


def read_export(given: str, graph: str | None = None) -> Export:
    """Returns the export in the directory `given`.

    Args:
        given: the directory, as the user wrote it.
        graph: which graph to take, relative to the directory; by default the usual one.

    Raises:
        ExportError: naming what is missing, damaged or unsafe.
    """
    directory = Path(given)
    try:
        found = directory.stat()
    except (OSError, ValueError) as error:
        raise ExportNotFound(given) from error
    if not stat.S_ISDIR(found.st_mode):
        raise ExportNotDirectory(given)
    if (directory / manifest.NAME).is_file():
        raise ExportIsBundle(given)
    facts = graph_facts(_graph(directory, graph))
    if facts.precision not in PRECISIONS:
        raise ExportOperatorMissing(facts.path, facts.precision, "it has no products of this kind")
    tokenizer = _tokenizer(directory)
    return Export(directory, facts, _reference(directory, facts), tokenizer, _config(directory))


def _graph(directory: Path, wanted: str | None) -> Path:
    if wanted is not None:
        if not (directory / wanted).is_file():
            raise ExportFileInvalid(directory / wanted, "there is no such graph")
        return directory / wanted
    for name in GRAPHS:
        if (directory / name).is_file():
            return directory / name
    found = [path for pattern in ("*.onnx", "onnx/*.onnx") for path in directory.glob(pattern)]
    if len(found) > 1:
        raise ExportGraphAmbiguous(directory, (str(path.relative_to(directory)) for path in found))
    if not found:
        raise ExportGraphMissing(directory)
    return found[0]


def _reference(directory: Path, chosen: GraphFacts) -> GraphFacts:
    """Returns the export's graph in float32, if there is one beside the chosen graph."""
    if chosen.precision == "float32":
        return chosen
    for name in GRAPHS:
        if (directory / name).is_file() and (facts := graph_facts(directory / name)).precision == "float32":
            return facts
    return chosen


def _tokenizer(directory: Path) -> Path:
    if (file := directory / "tokenizer.json").is_file():
        read_json(file)
        return file
    if slow := [name for name in SLOW_TOKENIZER if (directory / name).is_file()]:
        raise ExportTokenizerSlow(directory, slow)
    raise ExportTokenizerMissing(directory)


def _config(directory: Path) -> Config:
    file = directory / "config.json"
    if not file.is_file():
        raise ExportFileInvalid(file, "there is no such file, and the model's dimensions are in it")
    raw = read_json(file)
    tokenizer_file = directory / "tokenizer_config.json"
    of_tokenizer = read_json(tokenizer_file) if tokenizer_file.is_file() else {}
    model_type, architectures = str(raw.get("model_type", "")), raw.get("architectures")
    pad_id = _number(raw, file, ("pad_token_id",), most=MAX_TOKENS, otherwise=0)
    first_position = pad_id + 1 if model_type in POSITIONS_AFTER_PADDING else 0
    positions = _number(
        raw, file, ("max_position_embeddings", "n_positions"), most=MAX_TOKENS, otherwise=MAX_JOINT_TOKENS
    )
    most = of_tokenizer.get("model_max_length")
    # An unset limit is 1e30.
    limits = [positions - first_position, MAX_JOINT_TOKENS, *([int(most)] if isinstance(most, (int, float)) else [])]
    if min(limits) < MIN_JOINT_TOKENS:
        raise ExportTooShort(file, min(limits), MIN_JOINT_TOKENS)
    return Config(
        model_type=model_type,
        architecture=str(architectures[0]) if isinstance(architectures, list) and architectures else "",
        layers=_number(raw, file, ("num_hidden_layers", "n_layers", "num_layers"), most=MAX_LAYERS),
        width=_number(raw, file, ("hidden_size", "dim", "d_model"), most=MAX_WIDTH),
        heads=_number(raw, file, ("num_attention_heads", "n_heads"), most=MAX_WIDTH),
        pad_id=pad_id,
        vocabulary=_number(raw, file, ("vocab_size",), most=1 << 31, otherwise=0) or None,
        max_tokens=min(limits),
        first_position=first_position,
    )


def read_json(file: Path) -> dict[str, Any]:
    """Returns the JSON object in `file`.

    Raises:
        ExportError: if it cannot be read, or is none.
    """
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            raise ExportFileInvalid(file, f"more than {MAX_JSON_BYTES} bytes")
        raw = file.read_bytes()
    except OSError as error:
        raise ExportUnreadable(file, error.strerror or str(error)) from error
    if raw.startswith(LFS_NOTE):
        raise ExportFileLater(file)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ExportFileInvalid(file, f"not JSON, or cut off ({error})") from error
    if not isinstance(found, dict):
        raise ExportFileInvalid(file, "not a JSON object")
    return found


def _number(raw: dict[str, Any], file: Path, names: Iterable[str], *, most: int, otherwise: int | None = None) -> int:
    """Returns the first of these members that is there, a whole number from 1 on (from 0 where it may be missing)."""
    names = tuple(names)
    for name in names:
        if (value := raw.get(name)) is not None:
            if type(value) is not int or not (otherwise is None) <= value <= most:
                raise ExportFileInvalid(file, f"{name} is {value!r}, not a whole number up to {most}")
            return value
    if otherwise is None:
        raise ExportFileInvalid(file, f"it has no {' or '.join(names)}")
    return otherwise

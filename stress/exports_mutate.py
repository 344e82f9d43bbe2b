"""Damages exports in every way and adds them: each must become a model or an error of edgeqa's, and leave nothing else.

    python stress/exports_mutate.py -n 1000 --seed 1 my-export roberta-squad2

Bytes of the graph and of JSON files are changed, values and members of JSON files, and dimensions, names and operators
of the graph. Any other exception ends it with exit code 1; the export that did it is left in the temporary directory.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import shutil
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from edgeqa import state
from edgeqa.errors import EdgeQAError
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.shelf import model_names, models_home, shipped_names

if TYPE_CHECKING:
    from collections.abc import Sequence

GRAPH = "model.onnx"
FILES = (GRAPH, GRAPH, GRAPH, "tokenizer.json", "config.json", "tokenizer_config.json")
VALUES: tuple[Any, ...] = (None, True, 0, -1, 2, 0.5, 1e30, 1 << 40, "x", "", "\ud800", [], {}, [[]])


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """Returns the data with some bytes changed, taken away, put in, or cut off."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(found) + 1)
        kind = chance.choice(("change", "change", "drop", "put", "cut"))
        if kind == "change" and at < len(found):
            found[at] = chance.randrange(256)
        elif kind == "drop":
            del found[at : at + chance.choice((1, 2, 4, 100))]
        elif kind == "put":
            found[at:at] = chance.randbytes(chance.choice((1, 2, 8)))
        elif chance.random() < 0.3:
            del found[at:]
    return bytes(found)


def mutate_json(value: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any JSON value
    """Changes or deletes a few members, wherever they are."""
    places: list[tuple[Any, Any]] = []

    def note(holder: Any) -> None:  # noqa: ANN401 - any JSON value
        members = list(holder.items() if isinstance(holder, dict) else enumerate(holder))[:40]
        places.extend((holder, key) for key, _ in members)
        for _, member in members:
            if isinstance(member, (dict, list)):
                note(member)

    note(value)
    for holder, key in chance.sample(places, min(len(places), chance.choice((1, 1, 2, 4)))):
        if isinstance(holder, dict) and chance.random() < 0.3:
            holder.pop(key, None)
        else:
            holder[key] = chance.choice(VALUES)
    return value


def mutate_graph(model: Any, chance: random.Random) -> None:  # noqa: ANN401 - onnx publishes no types
    """Changes names, operators, attributes and dimensions, or takes nodes and weights away."""
    graph = model.graph
    for _ in range(chance.choice((1, 1, 2, 4))):
        node, tensor = chance.choice(graph.node), chance.choice(graph.initializer)
        kind = chance.choice(("operator", "input", "attribute", "drop", "dims", "type", "output", "weights", "opset"))
        if kind == "operator":
            node.op_type = chance.choice(graph.node).op_type
        elif kind == "input" and node.input:
            node.input[chance.randrange(len(node.input))] = chance.choice(graph.node).output[0]
        elif kind == "attribute" and node.attribute:
            node.attribute[0].i = chance.choice((-1, 0, 1, 2, 1 << 40))
        elif kind == "drop":
            graph.node.remove(node)
        elif kind == "dims" and tensor.dims:
            tensor.dims[0] = chance.choice((0, 1, -1, 2, 1 << 40))
        elif kind == "type":
            tensor.data_type = chance.randrange(24)
        elif kind == "output":
            graph.output[0].name = node.output[0]
        elif kind == "weights":
            tensor.ClearField("raw_data")
        else:
            model.opset_import[0].version = chance.choice((1, 9, 13, 21, 30))


def damage(export: Path, chance: random.Random) -> str:
    """Damages one file of the export; returns its name."""
    name = chance.choice([name for name in FILES if (export / name).exists()])
    file = export / name
    raw = file.read_bytes()
    if chance.random() < 0.4:
        file.write_bytes(mutate_bytes(raw, chance))
    elif name == GRAPH:
        model = onnx.load(file)
        mutate_graph(model, chance)
        file.write_bytes(model.SerializeToString())
    else:
        file.write_text(json.dumps(mutate_json(json.loads(raw), chance)))
    return name


def run(directory: Path, exports: Sequence[Path], *, rounds: int, seed: int) -> collections.Counter[str]:
    """Damages and adds `rounds` exports in `directory`; returns what came of it, mistakes as "WRONG ..."."""
    chance = random.Random(seed)
    os.environ[state.HOME_VARIABLE] = str(directory / "home")
    tally: collections.Counter[str] = collections.Counter()
    for _ in range(rounds):
        damaged = directory / "damaged"
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.rmtree(directory / "home", ignore_errors=True)
        shutil.copytree(chance.choice(exports), damaged)
        name = damage(damaged, chance)
        try:
            add(str(damaged), name="damaged")
            tally[f"added with another {name}"] += 1
        except EdgeQAError as error:
            tally[type(error).__name__] += 1
        except Exception as error:
            tally[f"WRONG {type(error).__name__} {name}"] += 1
            traceback.print_exc(limit=-3)
            shutil.copytree(damaged, directory / f"wrong-{sum(tally.values())}")
        left = [path.name for path in models_home().glob("*")]
        if left != model_names()[len(shipped_names()) :]:
            tally[f"WRONG left {left}"] += 1
    return tally


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", nargs="+", type=Path)
    parser.add_argument("-n", "--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="exports-mutate-"))
    tally = run(directory, options.exports, rounds=options.rounds, seed=options.seed)
    for outcome, count in tally.most_common():
        print(f"{count:6}  {outcome}")
    if any(outcome.startswith("WRONG") for outcome in tally):
        print(f"see {directory}")
        raise SystemExit(1)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()

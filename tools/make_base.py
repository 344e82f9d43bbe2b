"""Makes the bundle edgeqa-base (format 2, joint): graph, golden cases, tokenizer, manifest.

    python tools/make_base.py MPNET UPPER.safetensors OUT [--precision float32]

MPNET is the folder of all-mpnet-base-v2 with `model.safetensors` and `tokenizer.json`; UPPER holds the weights that
training has changed (`training/teacher.py`). Card, licence, version and calibration come from another bundle, by
default the one in `models/base`. The tool neither trains nor measures, and writes only to an empty directory.
"""

from __future__ import annotations

import argparse
import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mpnet
import numpy as np
from external_data import save_graph
from golden import Frame, golden_cases
from joint_graph import joint_graph
from make_bundle import FORMAT, MANIFEST, described
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from weights import Floats, Weights

NAME = "edgeqa-base"
SHIPPED = Path(__file__).parent.parent / "models" / "base" / "edgeqa_base" / NAME
GRAPH, TOKENIZER, GOLDEN = "model.onnx", "tokenizer.json", "golden.json"
CARD, LICENSE = "MODEL_CARD.md", "LICENSE"
MAX_FILE_BYTES = 60_000_000  # what hosts of repositories take
FRAME = Frame((mpnet.BOS,), (mpnet.EOS, mpnet.EOS), (mpnet.EOS,))
QUESTION_TOKENS = 62
SPECIAL_TOKENS = sum(map(len, FRAME))
KEPT = ("version", "calibration", "searched")  # of another bundle


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pretrained", type=Path, metavar="MPNET", help="folder of all-mpnet-base-v2")
    parser.add_argument("trained", type=Path, metavar="UPPER", help="safetensors file of the trained layers")
    parser.add_argument("out", type=Path, metavar="OUT", help="directory to make; it may exist if it is empty")
    parser.add_argument("--precision", choices=("int8", "float32"), default="int8")
    parser.add_argument("--like", type=Path, default=SHIPPED, metavar="BUNDLE", help="bundle to take the rest from")
    options = parser.parse_args(arguments)
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        parser.error(f"{options.out} is not an empty directory")
    return options


def write_base(pretrained: Path, trained: Path, out: Path, *, precision: str, like: Path) -> None:
    """Writes the bundle's files into `out`, the manifest last: a directory without one is not a bundle."""
    weights = mpnet.load_base(pretrained / "model.safetensors", trained)
    out.mkdir(parents=True, exist_ok=True)
    most_bytes = MAX_FILE_BYTES if precision == "int8" else None
    of_weights = save_graph(joint_graph(weights, int8=precision == "int8"), out / GRAPH, most_bytes)
    tokenizer = Tokenizer.from_file(str(pretrained / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(out / TOKENIZER), pretty=False)
    cases = golden_cases(tokenizer, FRAME, partial(_logits, weights))
    (out / GOLDEN).write_text(json.dumps(cases, ensure_ascii=False, indent=1), encoding="utf-8")
    kept: dict[str, Any] = {}
    if like.is_dir():
        others = json.loads((like / MANIFEST).read_text(encoding="utf-8"))
        kept = {name: others[name] for name in KEPT if name in others}
        for name in (CARD, LICENSE):
            shutil.copyfile(like / name, out / name)
    graph_files = (GRAPH, *(file.name for file in of_weights))
    manifest = {
        "format": FORMAT,
        "name": NAME,
        "version": "1",
        "kind": "joint",
        "precision": precision,
        "license": "Apache-2.0",
        "card": CARD,
        "layers": len(mpnet.layer_names(weights)),
        "width": weights["ln.weight"].size,
        "max_question_tokens": QUESTION_TOKENS + 2,
        "max_context_tokens": mpnet.POSITIONS - QUESTION_TOKENS - SPECIAL_TOKENS + 1,
        "lowercase": json.loads(tokenizer.to_str())["normalizer"]["lowercase"],
        "language": "en",
        "special_tokens": {"cls": mpnet.BOS, "sep": mpnet.EOS, "pad": mpnet.PAD},
        "pair": {**FRAME._asdict(), "question_type": 0, "context_type": 0},
        "joint": {
            "outputs": ["logits"],
            "first_position": mpnet.FIRST_POSITION,
            "max_tokens": mpnet.POSITIONS,
            "heads": mpnet.HEADS,
            "graph_files": graph_files,
        },
        "files": {file.name: described(file) for file in sorted(out.iterdir())},
        **kept,
    }
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _logits(weights: Weights, question_ids: Sequence[int], context_ids: Sequence[int]) -> Floats:
    return mpnet.read(weights, np.array([*question_ids, *context_ids]))


def main() -> None:
    """Makes the bundle that the command line asks for, and says what it is made of."""
    options = parse_args()
    write_base(options.pretrained, options.trained, options.out, precision=options.precision, like=options.like)
    for file in sorted(options.out.iterdir()):
        print(f"{file.stat().st_size:>11,} bytes  {file.name}")


if __name__ == "__main__":
    main()

"""Makes a bundle (format 2) from the reader's weights: graphs, golden cases, manifest.

    python tools/make_bundle.py reader-fp16.safetensors OUT [--precision float32] [--release 3]

The weights hold no tokenizer, model card, licence, name and calibration: these come from another bundle, by default the
bundled one. With --release, the new bundle reads the collections of that one. The tool neither trains nor measures, and
writes only to an empty directory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from external_data import save_graph
from golden import Frame, golden_cases, split_network
from graphs import encode_graph, read_graph
from reference import CONTEXT_POSITION, POSITIONS
from tokenizers import Tokenizer
from weights import load_weights

import edgeqa
from edgeqa.collection.snapshot import EncoderIdentity
from edgeqa.models.bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Sequence


BUNDLED = Path(edgeqa.__file__).parent / "models" / "edgeqa-mini"
MANIFEST = "manifest.json"
GRAPHS = {"encode.onnx": encode_graph, "read.onnx": read_graph}
FILES = (
    "encode.onnx",
    "encode.bin",
    "read.onnx",
    "read.bin",
    "tokenizer.json",
    "golden.json",
    "MODEL_CARD.md",
    "LICENSE",
)
FORMAT = 2
MAX_QUESTION_TOKENS = CONTEXT_POSITION  # the positions before the context's


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="safetensors file of the trained weights")
    parser.add_argument("out", type=Path, help="directory to make; it may exist if it is empty")
    parser.add_argument("--precision", choices=("int8", "float32"), default="int8")
    parser.add_argument("--like", type=Path, default=BUNDLED, metavar="BUNDLE", help="bundle to take the rest from")
    parser.add_argument("--release", metavar="N", help="version of the bundle; the other one's unless told otherwise")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="another tokenizer.json than that bundle's")
    options = parser.parse_args(arguments)
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        parser.error(f"{options.out} is not an empty directory")
    return options


def write_bundle(
    weights_path: Path, out: Path, *, precision: str, like: Path, tokenizer_path: Path, release: str | None = None
) -> None:
    """Writes the bundle's files into `out`, the manifest last: a directory without one is not a bundle."""
    weights, sizes = load_weights(weights_path)
    out.mkdir(parents=True, exist_ok=True)
    for name, lay in GRAPHS.items():
        save_graph(lay(weights, sizes, int8=precision == "int8"), out / name)
    for name in ("MODEL_CARD.md", "LICENSE"):
        shutil.copyfile(like / name, out / name)
    shutil.copyfile(tokenizer_path, out / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    cases = golden_cases(tokenizer, _frame(tokenizer), split_network(weights, sizes))
    (out / "golden.json").write_text(json.dumps(cases, ensure_ascii=False, indent=1), encoding="utf-8")
    manifest = {
        # First what weights do not tell, `calibration` among it; what follows replaces the values, not the order.
        **json.loads((like / MANIFEST).read_text(encoding="utf-8")),
        "format": FORMAT,
        "precision": precision,
        "layers": sizes.layers,
        "split": sizes.split,
        "width": weights["ln.weight"].size,
        "context_position": CONTEXT_POSITION,
        "max_question_tokens": MAX_QUESTION_TOKENS,
        "max_context_tokens": POSITIONS - CONTEXT_POSITION,
        "lowercase": json.loads(tokenizer.to_str())["normalizer"]["lowercase"],
        "special_tokens": {name: tokenizer.token_to_id(f"[{name.upper()}]") for name in ("cls", "sep", "pad")},
        "files": {name: described(out / name) for name in FILES},
    }
    if release is not None:
        manifest |= {"version": release, "reads_tokens_of": _former(like, manifest)}
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _frame(tokenizer: Tokenizer) -> Frame:
    vocabulary = tokenizer.get_vocab()
    cls, sep = vocabulary["[CLS]"], vocabulary["[SEP]"]
    return Frame((cls,), (sep,), (sep,))


def _former(like: Path, manifest: dict[str, Any]) -> list[str]:
    """Returns the encoders whose token ids mean the same to the new bundle: the other one's, and those it reads."""
    other = Bundle.load(like)
    same = ("max_context_tokens", "context_position", "lowercase")
    tokenizer = other.manifest.file("tokenizer.json").sha256
    if tokenizer != manifest["files"]["tokenizer.json"]["sha256"] or any(
        getattr(other.manifest, name) != manifest[name] for name in same
    ):
        return []
    return [EncoderIdentity.of(other).digest, *other.manifest.reads_tokens_of]


def described(path: Path) -> dict[str, Any]:
    """Returns what a manifest says of a file."""
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def main() -> None:
    """Makes the bundle that the command line asks for, and says what it is made of."""
    options = parse_args()
    tokenizer_path = options.tokenizer or options.like / "tokenizer.json"
    write_bundle(
        options.weights,
        options.out,
        precision=options.precision,
        like=options.like,
        tokenizer_path=tokenizer_path,
        release=options.release,
    )
    for name in (*FILES, MANIFEST):
        print(f"{(options.out / name).stat().st_size:>10,} bytes  {name}")


if __name__ == "__main__":
    main()

"""Measures what stored encodings save, and what rounding them to int8 costs.

    python benchmarks/encodings.py SQUAD_FILE -n 200
    python benchmarks/encodings.py SQUAD_FILE --float32 400

The same questions on the same contexts, interleaved in one run: from stored encodings, from stored token ids, from
text. Milliseconds by step, as medians, and what of the time from text is gone. With `--float32 N`, for N questions: F1
with encodings as they are stored, int8 with one scale a token, against the same network fed with them unrounded (its
graph is changed for that, with onnx), and the bytes that each takes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np

import edgeqa
from edgeqa.contexts.windows import all_windows
from edgeqa.evaluation.squad import read_squad, sample
from edgeqa.formats import nfc
from edgeqa.formats.blocks import Block
from edgeqa.models.metrics import score_v1
from edgeqa.models.readers import Encoding, SplitReader
from edgeqa.models.session import Session, SessionOptions
from edgeqa.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.contexts import Place
    from edgeqa.evaluation.squad import SquadQuestion
    from edgeqa.models.readers import Ids
    from edgeqa.models.reading import PassageReader

STEPS = ("tokenise", "fetch", "encode", "read", "decode", "whole")


def shares(qa: edgeqa.EdgeQA, questions: tuple[SquadQuestion, ...]) -> None:
    """Prints the milliseconds by step of the three ways."""
    equipment = qa._equipment  # noqa: SLF001 - reads contexts that were chosen beforehand
    reading, collection = equipment.reading, equipment.scope.collection()
    ids = {context.text: context.context_id for context in collection.contexts_from(0)}
    taken: dict[str, list[dict[str, float]]] = {"encodings": [], "token ids": [], "text": []}
    answers: set[tuple[str, ...]] = set()
    for q in questions:
        text = nfc(q.context)
        if text not in ids:
            continue
        question = reading.question(q.question)
        found = []
        for way, runs in taken.items():
            watch = Stopwatch()
            if way == "text":
                passage = next(all_windows([Block(text)], reading.tokenize, reading.limits))
                watch.over("tokenise")
                places = reading.spans(question, passage, None, top=1, watch=watch)
            else:
                stored = collection.context(ids[text])
                encoding = stored.encoding if way == "encodings" else None
                watch.over("fetch")
                places = reading.spans(question, stored, encoding, top=1, watch=watch)
            timings = watch.timings_ms()
            runs.append({**timings, "whole": timings.pop("total")})
            found.append(str(places))
        answers.add(tuple(found))
    same = sum(1 for found in answers if len(set(found)) == 1)
    print(f"{len(taken['text'])} questions, of {len(answers)} different answers {same} are alike in all ways")
    print(f"{'from':<12}" + "".join(f"{step + ' ms':>14}" for step in STEPS) + f"{'of text':>10}")
    whole = median(run["whole"] for run in taken["text"])
    for way, runs in taken.items():
        steps = [median(run.get(step, 0.0) for run in runs) for step in STEPS]
        print(f"{way:<12}" + "".join(f"{ms:>14.3f}" for ms in steps) + f"{steps[-1] / whole:>10.2f}")
    tokenised, encoded = (median(run[step] for run in taken["text"]) / whole for step in ("tokenise", "encode"))
    print(f"from text, tokenising takes {tokenised:.1%} and encoding {encoded:.1%} of the time: stored, they are gone")


class Unrounded(SplitReader):
    """The same network, fed with what the lower layers give, before it is rounded."""

    def __init__(self, qa: edgeqa.EdgeQA, directory: Path) -> None:
        options = SessionOptions(threads=qa.plan.threads.value)
        super().__init__(qa.bundle, options)
        self._read = Session(_floated(qa.bundle.file("read.onnx"), directory), options)
        self._unrounded: Any = None

    def _hidden(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the base class says
        self._unrounded = super()._hidden(*arguments, **named)
        return self._unrounded

    def encode_context(self, ids: Ids) -> Encoding:
        """Returns the context's encoding in float32, every scale 1."""
        scale = super().encode_context(ids).scale
        return Encoding(self._unrounded[0], np.ones_like(scale))


def _floated(read: Path, directory: Path) -> Path:
    """Returns the `read` graph of a bundle, changed to take float32 where it took int8."""
    import onnx

    for file in read.parent.glob("*.bin"):
        shutil.copy(file, directory)
    graph = onnx.load(str(read), load_external_data=False)
    (given,) = (i for i in graph.graph.input if i.name == "context_hidden")
    given.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for node in graph.graph.node:
        if "context_hidden" in node.input and node.op_type in {"DequantizeLinear", "Cast"}:
            # A cast of floats to floats is nothing, and the scales that it is multiplied with are 1.
            node.CopyFrom(onnx.helper.make_node("Identity", ["context_hidden"], list(node.output)))
    made = directory / "read.onnx"
    onnx.save(graph, str(made))
    return made


def rounding(qa: edgeqa.EdgeQA, questions: tuple[SquadQuestion, ...]) -> None:
    """Prints F1 and bytes of int8 encodings beside float32 ones."""
    reading: PassageReader = qa._equipment.reading  # noqa: SLF001 - its reader is exchanged
    with tempfile.TemporaryDirectory() as directory:
        readers: dict[str, Any] = {"int8": reading._reader, "float32": Unrounded(qa, Path(directory))}  # noqa: SLF001
        f1: dict[str, list[float]] = {name: [] for name in readers}
        bytes_a_token: dict[str, list[float]] = {name: [] for name in readers}
        texts: dict[str, list[str]] = {name: [] for name in readers}
        for q in questions:
            passage = next(all_windows([Block(nfc(q.context))], reading.tokenize, reading.limits))
            for name, reader in readers.items():
                reading._reader = reader  # noqa: SLF001
                encoding = reader.encode_context(passage.tokens.ids)
                places = reading.spans(reading.question(q.question), passage, encoding, top=1, watch=Stopwatch())
                texts[name].append(_first(places, passage.text))
                f1[name].append(100 * score_v1(texts[name][-1], q.answers).f1)
                scales_bytes = encoding.scale.nbytes if name == "int8" else 0
                bytes_a_token[name].append((encoding.hidden.nbytes + scales_bytes) / len(encoding.hidden))
    differ = sum(one != other for one, other in zip(texts["int8"], texts["float32"], strict=True))
    for name in readers:
        print(f"{name:<10} F1 {fmean(f1[name]):6.2f}   {fmean(bytes_a_token[name]):7.0f} bytes a token")
    print(f"{differ} of {len(questions)} answers differ, F1 by {fmean(f1['int8']) - fmean(f1['float32']):+.2f}")


def _first(places: list[Place], text: str) -> str:
    return text[places[0].start : places[0].end] if places else ""


def main() -> None:
    """Runs the benchmark in a home of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("-n", "--questions", type=int, default=200)
    parser.add_argument("--float32", type=int, metavar="N", help="compare int8 with float32 on N questions instead")
    arguments = parser.parse_args()
    print(f"{os.uname().machine}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    asked = sample(read_squad(arguments.file).questions, arguments.float32 or arguments.questions, 0)
    run: Callable[[edgeqa.EdgeQA, tuple[SquadQuestion, ...]], None] = rounding if arguments.float32 else shares
    with tempfile.TemporaryDirectory() as home:
        os.environ["EDGEQA_HOME"] = home
        with edgeqa.open(reader="fast", persist="off", encoding_store_bytes=0) as qa:
            if not arguments.float32:
                texts = Path(home, "texts")
                texts.mkdir()
                for number, text in enumerate(dict.fromkeys(q.context for q in asked)):
                    (texts / f"{number}.txt").write_text(text, encoding="utf-8")
                began = time.perf_counter()
                print(f"{qa.add(texts).contexts} contexts added in {time.perf_counter() - began:.1f} s")
            run(qa, asked)


if __name__ == "__main__":
    main()

"""Runs a network's ONNX graph in onnxruntime, with the short script that a good engineer writes around it.

    python benchmarks/peers/onnxruntime_script.py GRAPH PRECISION THREADS

Tokenise the pairs, run them in one batch, take the best span of at most 15 tokens by an outer sum, cut it by offsets.
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime
import tokenizers
from turns import serve

from edgeqa.models.bundle import DEFAULT_BUNDLE

MAX_TOKENS = 15


def main() -> None:
    """Serves turns."""
    graph, precision, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between turns the others have the processor
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    inputs = [i.name for i in session.get_inputs()]
    tokenizer = tokenizers.Tokenizer.from_file(str(DEFAULT_BUNDLE / "tokenizer.json"))
    # Special tokens, which the bundled file leaves to its caller.
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    tokenizer.enable_truncation(384, strategy="only_second")
    tokenizer.enable_padding()

    def ask(question: str, contexts: list[str]) -> object:
        encoded = tokenizer.encode_batch([(question, context) for context in contexts])
        fed = {
            "input_ids": np.array([e.ids for e in encoded], np.int64),
            "attention_mask": np.array([e.attention_mask for e in encoded], np.int64),
            "token_type_ids": np.array([e.type_ids for e in encoded], np.int64),
        }
        starts, ends = session.run(None, {name: fed[name] for name in inputs})
        best = (-np.inf, "")
        for e, start, end, context in zip(encoded, starts, ends, contexts, strict=True):
            of_context = np.array(e.type_ids, bool) & np.array(e.attention_mask, bool)
            of_context[e.ids.index(102, e.ids.index(102) + 1)] = False  # the last separator
            start, end = np.where(of_context, start, -np.inf), np.where(of_context, end, -np.inf)
            scores = np.triu(start[:, None] + end[None]) + np.tril(np.full((len(end), len(end)), -np.inf), -1)
            scores = np.where(np.arange(len(end)) - np.arange(len(end))[:, None] < MAX_TOKENS, scores, -np.inf)
            first, last = np.unravel_index(int(scores.argmax()), scores.shape)
            text = context[e.offsets[first][0] : e.offsets[last][1]]
            best = max(best, (float(scores[first, last]), text))
        return best

    about = {"precision": precision, "batch": "all contexts", "versions": {"onnxruntime": onnxruntime.__version__}}
    serve(ask, about=about)


if __name__ == "__main__":
    main()

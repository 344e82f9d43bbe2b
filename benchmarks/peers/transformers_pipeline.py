"""Asks the question-answering pipeline of transformers on PyTorch, used as its documentation shows it.

python benchmarks/peers/transformers_pipeline.py NETWORK THREADS
"""

from __future__ import annotations

import sys
import warnings

import torch
import transformers
from random_networks import network, tokenizer
from turns import serve


def main() -> None:
    """Serves turns."""
    name, threads = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(threads)
    transformers.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore")  # it warns that it will go away
    pipeline = transformers.pipeline("question-answering", model=network(name), tokenizer=tokenizer(name))

    def ask(question: str, contexts: list[str]) -> object:
        if len(contexts) == 1:
            return pipeline(question=question, context=contexts[0])
        answers = pipeline(question=[question] * len(contexts), context=contexts)
        return max(answers, key=lambda answer: answer["score"])

    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    serve(ask, about={"precision": "float32", "batch": 1, "versions": versions})


if __name__ == "__main__":
    main()

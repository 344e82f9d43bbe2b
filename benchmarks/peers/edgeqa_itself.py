"""Asks edgeqa of contexts that were added before, or of texts that nothing is stored of.

python benchmarks/peers/edgeqa_itself.py stored|plain THREADS
"""

from __future__ import annotations

import sys
from importlib.metadata import version

from turns import serve

import edgeqa


def main() -> None:
    """Serves turns."""
    stored, threads = sys.argv[1] == "stored", int(sys.argv[2])
    # No two questions are alike, so that none is remembered; remembering is part of the time.
    store_bytes = None if stored else 0
    with edgeqa.open(reader="fast", threads=threads, persist="memory", encoding_store_bytes=store_bytes) as qa:

        def ask(question: str, contexts: list[str]) -> object:
            return qa.ask(question, contexts[0] if len(contexts) == 1 else contexts)

        def prepare(contexts: list[str]) -> None:
            ask("Is this text encoded?", contexts)

        versions = {"edgeqa": version("edgeqa"), "onnxruntime": version("onnxruntime")}
        about = {"precision": qa.plan.precision.value, "batch": 1, "versions": versions}
        serve(ask, about=about, prepare=prepare if stored else None)


if __name__ == "__main__":
    main()

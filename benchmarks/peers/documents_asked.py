"""Asks edgeqa, whichever version this Python has, questions of documents: one JSON line in for each, one out.

python benchmarks/peers/documents_asked.py FOLDER
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import edgeqa
from edgeqa.asked import show

if TYPE_CHECKING:
    from edgeqa import Answer

SPAN = ("text", "start", "end", "context", "document", "source_start")


def told(answer: Answer) -> dict[str, Any]:
    """Returns what is judged of an answer, and what `edgeqa ask` prints for it."""
    best = answer.candidates[0] if answer.candidates else None
    with contextlib.redirect_stdout(io.StringIO()) as screen:
        show(replace(answer, timings_ms={}), top=1, quiet=False, as_json=False)  # milliseconds might be an answer
    return {
        "text": answer.text,
        "best": {name: getattr(best, name) for name in SPAN} if best else None,
        "probability": answer.probability,
        "score": answer.score,
        "contexts": answer.contexts,
        "screen": screen.getvalue(),
    }


def main() -> None:
    """Says which version it is, then answers until the input ends; the collection is filled when it is first asked."""
    folder = Path(sys.argv[1])
    with (
        tempfile.TemporaryDirectory(prefix="edgeqa-documents-") as directory,
        edgeqa.open(reader="fast", persist="off", collection=Path(directory) / "all") as qa,
    ):
        about = {"edgeqa": version("edgeqa"), "model": f"{qa.bundle.manifest.name} {qa.bundle.manifest.version}"}
        print(json.dumps({**about, "package": str(Path(edgeqa.__file__).parent)}), flush=True)
        added = False
        for line in sys.stdin:
            asked = json.loads(line)
            document = folder / asked["document"] if asked["document"] else None
            if document is None and not added:
                qa.add(sorted(path for path in folder.rglob("*") if path.is_file()))
                added = True
            print(json.dumps(told(qa.ask(asked["question"], document))), flush=True)


if __name__ == "__main__":
    main()

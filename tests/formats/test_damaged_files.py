"""The stress script in seconds: the same code, with few files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from office import docx, epub, paragraph, pdf

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "stress" / "formats_mutate.py"


@pytest.mark.skipif(not SCRIPT.exists(), reason="the stress scripts are not here")
def test_damaged_files_give_records_or_an_error_of_ours(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("formats_mutate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    originals = [
        (".md", (ROOT / "README.md").read_bytes()),
        (".json", (ROOT / "tests" / "data" / "squad-v1.1.json").read_bytes()),
        (".html", b"<!doctype html><title>T</title><table><tr><td>a<pre>b</pre></table><!-- c --><p a='b'>d&amp;" * 9),
        (".jsonl", b'{"title": "T", "text": "line \xc3\xa9", "n": [{}]}\n' * 20),
        (".csv", b'id;text;title\n1;"a ""quoted""\nline; with";t\n' * 20),
        (".docx", docx(paragraph("Head", "Heading1") + paragraph("text") * 20, footnotes=paragraph("n"))),
        (".epub", epub({"a.xhtml": "<title>t</title><h1>One</h1><p>text", "b.xhtml": "<p>more" * 100})),
        (".pdf", pdf([["The pump is rated IP68."] * 5] * 3, title="T")),
    ]
    tally = module.run(tmp_path, originals, files=400, seed=7)
    assert sum(tally.values()) == 400, tally
    assert [outcome for outcome in tally if outcome.startswith("WRONG")] == []
    assert min(tally["records"], sum(tally.values()) - tally["records"]) > 50

"""Runs the stress script of formats for seconds: the same code, with few files."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import pytest
from office import docx, epub, opendocument, paragraph, pdf, pptx, xlsx

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "stress" / "formats_mutate.py"
SHEET_ROW = '<row><c t="s"><v>0</v></c><c><v>1.5</v></c></row>'
SHEET_CELL = '<table:table-cell table:number-columns-repeated="2"><text:p>x</text:p></table:table-cell>'
SHEET_LINE = f"<table:table-row>{SHEET_CELL}</table:table-row>"


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
        (".xlsx", xlsx({"S": f"<sheetData>{SHEET_ROW * 9}</sheetData>"}, strings="<si><t>shared</t></si>")),
        (".pptx", pptx(["<p:sp><a:p><a:r><a:t>words</a:t></a:r></a:p></p:sp>"] * 3)),
        (".odt", opendocument('<text:h text:outline-level="1">Head</text:h><text:p>text</text:p>' * 9)),
        (".ods", opendocument(f'<table:table table:name="S">{SHEET_LINE * 9}</table:table>', kind="spreadsheet")),
        (
            ".rtf",
            rb"{\rtf1{\fonttbl{\f0 Arial;}}\pard\s1 Head\par "
            + rb"\trowd\intbl a\cell b\cell\row \u8364?\'e9\par " * 9,
        ),
        (
            ".eml",
            b"From: a\nSubject: b\nContent-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\ntext\n" * 9 + b"--x--\n",
        ),
        (".mbox", b"From a Fri Jan  2 10:00:00 2026\nSubject: b\n\ntext\n\n" * 9),
        (".1", b".TH A 1\n.SH NAME\n" + b".TP\n.B \\-a\ntext \\*(lqx\\(em\n.de X\n\\\\$1\n..\n.X y\n" * 9),
        (".1.gz", gzip.compress(b".TH A 1\n.SH NAME\ntext\n" * 9)),
        (".pdf", pdf([["The pump is rated IP68."] * 5] * 3, title="T")),
    ]
    tally = module.run(tmp_path, originals, files=400, seed=7)
    assert sum(tally.values()) == 400, tally
    assert [outcome for outcome in tally if outcome.startswith("WRONG")] == []
    assert min(tally["records"], sum(tally.values()) - tally["records"]) > 50

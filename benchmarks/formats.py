"""Compares own readers of formats with libraries, by right cases, size, memory and upkeep.

    python benchmarks/formats.py                 # all, with pip; some minutes
    python benchmarks/formats.py HTML Markdown   # these formats
    python benchmarks/formats.py --json benchmarks/results/formats.json

Each candidate is installed into a folder of its own, and reads the documents of `formats_cases`, each in a process of
its own that ends after LIMIT_S. The table says how many it gets right, how long its import takes (CPU time, median of
five), how much it adds to the disk with what it needs, what the process takes at most on the hostile file, and whether
all that is compiled in it has a wheel for aarch64. edgeqa's own row counts what its reader needs beyond the core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from formats_cases import CASES, hostile

LIMIT_S = 30
_PAGE = "for s in t.css('script,style,nav'): s.decompose()"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to read a format."""

    format: str
    name: str
    packages: tuple[str, ...]
    imports: str
    """The name of the package that it imports to read."""
    code: str
    """Prints the text of the file at `p`; `data` is its content, `source` that as text."""


_EDGEQA = """
from edgeqa.formats.blocks import FormatOptions
from edgeqa.formats.folders import walk
from edgeqa.formats.blocks import text_of
for found in walk([p], FormatOptions()):
    for record in found.records():
        for piece in text_of(record.blocks): print(piece, end="")
        print()
"""
_ROWS = "print('\\n'.join(' | '.join(row) for row in rows))"
_HTML_OF_BOOK = "print(' '.join(re.sub('<[^>]*>', ' ', i.get_content().decode()) for i in b.get_items_of_type(9)))"
_WORD = "'\\n'.join(x.text for x in docx.Document(p).paragraphs)"
CANDIDATES = (
    Candidate("Markdown", "edgeqa (pyromark)", ("pyromark",), "import edgeqa.formats.markdown", _EDGEQA),
    Candidate(
        "Markdown",
        "markdown-it-py, selectolax",
        ("markdown-it-py", "mdit-py-plugins", "selectolax"),
        "import markdown_it, mdit_py_plugins.front_matter, mdit_py_plugins.deflist, selectolax.lexbor",
        "m = markdown_it.MarkdownIt('gfm-like', {'linkify': False, 'html': True})\n"
        "m.use(mdit_py_plugins.front_matter.front_matter_plugin).use(mdit_py_plugins.deflist.deflist_plugin)\n"
        "print(selectolax.lexbor.LexborHTMLParser(m.render(source)).text(separator=' '))",
    ),
    Candidate(
        "Markdown",
        "mistune, selectolax",
        ("mistune", "selectolax"),
        "import mistune, selectolax.lexbor",
        "m = mistune.create_markdown(escape=False, plugins=['table', 'footnotes', 'def_list', 'task_lists'])\n"
        "print(selectolax.lexbor.LexborHTMLParser(m(source)).text(separator=' '))",
    ),
    Candidate("HTML", "edgeqa (own)", (), "import edgeqa.formats.webpage", _EDGEQA),
    Candidate(
        "HTML",
        "selectolax",
        ("selectolax",),
        "import selectolax.lexbor",
        f"t = selectolax.lexbor.LexborHTMLParser(data)\n{_PAGE}\nprint(t.text(separator=''))",
    ),
    Candidate("HTML", "lxml", ("lxml",), "import lxml.html", "print(lxml.html.fromstring(data).text_content())"),
    Candidate(
        "HTML",
        "beautifulsoup4",
        ("beautifulsoup4",),
        "import bs4",
        "print(bs4.BeautifulSoup(data, 'html.parser').get_text())",
    ),
    Candidate("HTML", "html2text", ("html2text",), "import html2text", "print(html2text.html2text(source))"),
    Candidate("EPUB", "edgeqa (own)", (), "import edgeqa.formats.epub", _EDGEQA),
    Candidate(
        "EPUB",
        "ebooklib (AGPL)",
        ("ebooklib",),
        "import re, ebooklib.epub",
        f"b = ebooklib.epub.read_epub(p)\n{_HTML_OF_BOOK}",
    ),
    Candidate("PDF", "edgeqa (pypdfium2)", ("pypdfium2",), "import edgeqa.formats.pdf, pypdfium2", _EDGEQA),
    Candidate(
        "PDF",
        "pypdf",
        ("pypdf",),
        "import pypdf",
        "print('\\n'.join(x.extract_text() for x in pypdf.PdfReader(p).pages))",
    ),
    Candidate(
        "PDF",
        "pdfminer.six",
        ("pdfminer.six",),
        "import pdfminer.high_level",
        "print(pdfminer.high_level.extract_text(p))",
    ),
    Candidate("CSV", "edgeqa (csv)", (), "import edgeqa.formats.tables", _EDGEQA),
    Candidate(
        "CSV",
        "clevercsv",
        ("clevercsv",),
        "import clevercsv",
        f"rows = clevercsv.read_table(p)\n{_ROWS}",
    ),
    Candidate("DOCX", "edgeqa (own)", (), "import edgeqa.formats.docx", _EDGEQA),
    Candidate("DOCX", "python-docx", ("python-docx",), "import docx", f"print({_WORD})"),
    Candidate(
        "DOCX",
        "mammoth",
        ("mammoth",),
        "import mammoth",
        "print(mammoth.extract_raw_text(open(p, 'rb')).value)",
    ),
)


@dataclass(slots=True)
class Row:
    """What was found of one candidate."""

    format: str
    name: str
    right: int = 0
    of: int = 0
    wrong: list[str] = field(default_factory=list)
    """The cases that it gets wrong."""
    import_ms: float | None = None
    installed_mb: float | None = None
    hostile_mb: float | None = None
    """Peak memory of the process on the hostile file; None where it does not end as it should."""
    hostile: str = ""
    """How reading the hostile file ends: read, an error, too late, or dead."""
    aarch64: bool | None = None
    versions: list[str] = field(default_factory=list)


_PROGRAM = """
import resource, sys, time
sys.setrecursionlimit(1000)
began = time.process_time()
{imports}
took = (time.process_time() - began) * 1000
p = sys.argv[1]
outcome = "read"
try:
    if p:
        data = open(p, "rb").read()
        source = data.decode("utf-8", "replace")
{code}
except BaseException as error:
    outcome = type(error).__name__
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))
if sys.platform == "linux":  # what is above begins with what the process that started this one took
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
print("\\0", took, peak, outcome, sep="\\0")
"""


def run(candidate: Candidate, path: str, folder: Path) -> tuple[str, float, float, str] | None:
    """Returns the text of the file, the import's ms, the peak in MiB and the outcome; None if there is none in time."""
    code = "".join(f"        {line}\n" for line in candidate.code.strip().splitlines())
    program = _PROGRAM.format(imports=candidate.imports, code=code)
    places = [str(folder), str(Path(__file__).parents[1])] if candidate.name.startswith("edgeqa") else [str(folder)]
    try:
        done = subprocess.run(
            [sys.executable, "-c", program, path],
            capture_output=True,
            timeout=LIMIT_S,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONUTF8": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", 0, 0, f"over {LIMIT_S} s"
    text, found, measured = done.stdout.decode("utf-8", "replace").rpartition("\0\0")
    if not found:
        return "", 0, 0, "dead"
    took, peak, outcome = measured.strip().split("\0")
    return text, float(took), float(peak), outcome


def install(candidate: Candidate, folder: Path) -> list[str] | None:
    """Installs a candidate with what it needs, and returns what came; None if it cannot be had."""
    if not candidate.packages:
        return []
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), *candidate.packages]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    return sorted(path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))


def has_aarch64(versions: list[str]) -> bool:
    """Tells whether all of these have a wheel that is not compiled, or compiled for Linux on aarch64."""
    wanted = [version.replace("-", "==", 1) for version in versions]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder]
        for platform in ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"):
            command += ["--platform", platform]
        return not wanted or not subprocess.run([*command, *wanted], capture_output=True, check=False).returncode


def measure(candidate: Candidate, documents: Path) -> Row:
    """Returns what is found of a candidate."""
    row = Row(candidate.format, candidate.name)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        versions = install(candidate, folder)
        if versions is None:
            row.hostile = "cannot be installed"
            return row
        row.versions = versions
        row.installed_mb = round(sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6, 1)
        row.aarch64 = has_aarch64(versions)
        for case in CASES:
            if case.format == candidate.format:
                path = documents / f"case{case.ending}"
                path.write_bytes(case.data)
                found = run(candidate, str(path), folder)
                row.of += 1
                if found is not None and found[3] == "read" and case.is_right(found[0]):
                    row.right += 1
                else:
                    row.wrong.append(case.name)
        imports = [found[1] for _ in range(5) if (found := run(candidate, "", folder)) is not None]
        row.import_ms = round(median(imports), 1)
        ending, data = hostile()[candidate.format]
        path = documents / f"hostile{ending}"
        path.write_bytes(data)
        last = run(candidate, str(path), folder)
        if last is not None:
            row.hostile, row.hostile_mb = last[3], round(last[2], 1) or None
    return row


def show(rows: list[Row]) -> str:
    """Returns the table."""
    lines = [
        "| format | reader | right | import ms | MB | hostile file: MiB, end | aarch64 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        peak = "-" if row.hostile_mb is None else f"{row.hostile_mb:.0f}"
        wheel = {True: "yes", False: "no", None: "-"}[row.aarch64]
        numbers = f"{row.import_ms} | {row.installed_mb} | {peak}, {row.hostile} | {wheel}"
        lines.append(f"| {row.format} | {row.name} | {row.right} of {row.of} | {numbers} |")
    return "\n".join(lines)


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="such as HTML; all if none is named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to keep the result")
    options = parser.parse_args()
    wanted = [one for one in CANDIDATES if not options.formats or one.format in options.formats]
    rows = []
    with tempfile.TemporaryDirectory() as documents:
        for candidate in wanted:
            rows.append(measure(candidate, Path(documents)))
            print(f"{candidate.format}: {candidate.name}: {rows[-1].right} of {rows[-1].of}", file=sys.stderr)
    print(show(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

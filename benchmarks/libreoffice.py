"""Compares what edgeqa reads of office documents with what LibreOffice makes of them, word by word.

    python benchmarks/libreoffice.py FOLDER...           # the documents of formats_cases, and those in these folders
    python benchmarks/libreoffice.py --worst 20 FOLDER   # with the words that differ, of the files that differ most
    python benchmarks/libreoffice.py --json benchmarks/results/libreoffice.json FOLDER

Needs `soffice` (Debian: libreoffice-writer-nogui, -calc-nogui, -impress-nogui). LibreOffice writes text documents as
text, sheets as CSV with cells as they are shown, slides as ODP, of which all paragraphs are taken. Each DOCX is also
made an ODT and an RTF by LibreOffice, each XLSX an ODS, each PPTX an ODP, and those are compared, too. A word is a run
of letters and digits, NFKC, without case; how often it is there counts, its place does not. Neither is right because
the other says so: the words have to be looked at. On purpose edgeqa leaves out hidden slides, rows and sheets, which
LibreOffice gives, and gives notes and descriptions, which LibreOffice does not give of all.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from formats_cases import CASES

from edgeqa.errors import EdgeQAError
from edgeqa.formats.blocks import FormatOptions, text_of
from edgeqa.formats.folders import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH = 20
LIMIT_S = 90
_TEXT = "txt:Text (encoded):UTF8"
_SHEETS = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,true,false,false,-1"
_READ_AS = {".docx": _TEXT, ".odt": _TEXT, ".rtf": _TEXT, ".xlsx": _SHEETS, ".ods": _SHEETS, ".pptx": "odp", ".odp": ""}
_MADE_OF = {"odt": ".docx", "rtf": ".docx", "ods": ".xlsx", "odp": ".pptx"}
_WORD = re.compile(r"[^\W_]+")
_PARAGRAPHS = tuple(f"{{urn:oasis:names:tc:opendocument:xmlns:text:1.0}}{name}" for name in ("p", "h"))


@dataclass(frozen=True, slots=True)
class Compared:
    """A document that both have read."""

    name: str
    ending: str
    is_made: bool
    """Whether LibreOffice has written it."""
    words: int
    """The number of words that LibreOffice gives."""
    missing: Counter[str]
    """The words that LibreOffice gives more often than edgeqa."""
    more: Counter[str]
    """The words that edgeqa gives more often than LibreOffice."""
    refused: str
    """Why edgeqa does not read it; "" if it does."""


def main() -> None:
    """Converts, reads, and prints what differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, help="of documents")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="show the words of so many files a format")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="keep what LibreOffice wrote, and use it again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgeqa-libreoffice-") as temporary:
        name = arguments.work or temporary
        files = _staged(arguments.folders, Path(name) / "found")
        found = list(_compared(files, is_made=False))
        for ending, source in _MADE_OF.items():
            made = _convert([file for file in files if file.suffix == source], ending, Path(name) / "made")
            found += _compared({new: f"{files[old]} as {ending}" for old, (new, *_) in made.items()}, is_made=True)
    table = [row for is_made in (False, True) for e in _READ_AS if (row := _row(found, e, is_made=is_made))["files"]]
    print("| | files | refused | the same | words | missing | more |\n|---|---|---|---|---|---|---|")
    for row in table:
        print("|", " | ".join(str(value) for value in row.values()), "|")
    for ending in _READ_AS if arguments.worst else ():
        _show([one for one in found if one.ending == ending], arguments.worst)
    if arguments.json:
        version = subprocess.run([_soffice(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
        result = json.dumps({"beside": version, "formats": table}, indent=1)
        arguments.json.write_text(result + "\n", encoding="utf-8")


def _staged(folders: list[Path], directory: Path) -> dict[Path, str]:
    """Copies the documents under names of their own; returns them with what they are called."""
    directory.mkdir(parents=True, exist_ok=True)
    found = [(f"case: {case.name}", case.ending, case.data) for case in CASES if case.ending in _READ_AS]
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in _READ_AS]
    found += [(path.name, path.suffix, path.read_bytes()) for path in paths]
    files = {directory / f"{number}{ending}": name for number, (name, ending, _) in enumerate(found)}
    for file, (_, _, data) in zip(files, found, strict=True):
        file.write_bytes(data)
    return files


def _convert(files: list[Path], to: str, directory: Path) -> dict[Path, list[Path]]:
    """Has LibreOffice convert files; returns those that it has read, with what it made of each."""
    into = directory / to.partition(":")[0]

    def results(file: Path) -> list[Path]:
        return sorted((*into.glob(f"{file.stem}.*"), *into.glob(f"{file.stem}-*.csv")))

    missing = [file for file in files if not results(file)]
    batches = [missing[at : at + BATCH] for at in range(0, len(missing), BATCH)]
    while batches:
        batch = batches.pop()
        profile = f"-env:UserInstallation=file://{directory.parent / 'profile'}"
        command = [_soffice(), "--headless", profile, "--convert-to", to, "--outdir", str(into), *map(str, batch)]
        try:
            subprocess.run(command, capture_output=True, timeout=LIMIT_S, check=True)
        except (subprocess.SubprocessError, OSError):
            if len(batch) > 1:  # one of them ended it, or took too long
                batches += [[file] for file in batch if not results(file)]
    return {file: found for file in files if (found := results(file))}


def _soffice() -> str:
    program = shutil.which("soffice")
    if program is None:
        sys.exit("soffice is not installed (Debian: libreoffice-writer-nogui, -calc-nogui, -impress-nogui)")
    return program


def _compared(files: dict[Path, str], *, is_made: bool) -> Iterator[Compared]:
    for ending, to in _READ_AS.items():
        of_ending = [file for file in files if file.suffix == ending]
        if not of_ending:
            continue
        directory = of_ending[0].parent.parent / f"read-{ending[1:]}-{is_made}"
        read = _convert(of_ending, to, directory) if to else {file: [file] for file in of_ending}
        for file, results in read.items():
            theirs = _words(text for result in results for text in _texts(result))
            refused = ""
            try:
                ours = _words(_read(file))
            except EdgeQAError as error:
                ours, refused = Counter(), type(error).__name__
            count = theirs.total()
            missing, more = (Counter(), Counter()) if refused else (theirs - ours, ours - theirs)
            yield Compared(files[file], ending, is_made, count, missing, more, refused)


def _texts(file: Path) -> Iterator[str]:
    """Yields what LibreOffice has written."""
    if file.suffix == ".odp":
        with zipfile.ZipFile(file) as archive:
            root = ElementTree.fromstring(archive.read("content.xml"))  # noqa: S314 - LibreOffice wrote it
        for element in root.iter():
            if element.tag in _PARAGRAPHS:
                yield "".join(element.itertext())
    else:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
        if file.suffix == ".csv" and text.strip(' \n",'):
            yield file.stem.partition("-")[2]  # the name of the sheet
        yield text


def _read(file: Path) -> Iterator[str]:
    """Yields what edgeqa reads."""
    for found in walk([file], FormatOptions()):
        for record in found.records():
            yield "".join(text_of(record.blocks))


def _words(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _row(found: list[Compared], ending: str, *, is_made: bool) -> dict[str, object]:
    of = [one for one in found if (one.ending, one.is_made) == (ending, is_made)]
    return {
        "format": ending[1:].upper() + (" that LibreOffice wrote" if is_made else ""),
        "files": len(of),
        "refused": sum(bool(one.refused) for one in of),
        "the same": sum(not (one.missing or one.more or one.refused) for one in of),
        "words": sum(one.words for one in of if not one.refused),
        "missing": sum(one.missing.total() for one in of),
        "more": sum(one.more.total() for one in of),
    }


def _show(found: list[Compared], count: int) -> None:
    """Prints the words of the files that differ most, and what was refused."""
    for one in sorted(found, key=lambda one: -(one.missing.total() + one.more.total()))[:count]:
        print(f"\n{one.name}: {one.words} words")
        for what, words in (("missing", one.missing), ("more", one.more)):
            if words:
                print(
                    f"  {what} {words.total()}:", " ".join(f"{w}*{n}" if n > 1 else w for w, n in words.most_common(30))
                )
    for one in found:
        if one.refused:
            print(f"\n{one.name}: refused, {one.refused}")


if __name__ == "__main__":
    main()

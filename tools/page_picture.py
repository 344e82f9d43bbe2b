"""Photographs docs/images/page.png: the page of `edgeqa serve` after a question. `python tools/page_picture.py URL`.

In: a server whose collection holds examples/, and chromium. Out: the picture, with a digest in it (a tEXt chunk of PNG)
of everything that decides how it looks: the page for QUESTION without times, its style, its script. With the digest,
tests/serving/test_picture.py finds out without a browser whether the picture is still true.
"""

from __future__ import annotations

import hashlib
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import edgeqa

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "page.png"
QUESTION = "To what depth may the pump be submerged?"
WIDTH_PX, HEIGHT_PX = 820, 455
NAME = b"edgeqa-page"
FILES = ("page.css", "page.js")


def digest(url: str) -> str:
    """Returns the digest of what the page shows for the question."""
    page = _read(address(url)).decode("utf-8")
    parts = [re.sub(r"\d+% likely|\{\w{3,4}\}", "N", page)]
    folder = Path(edgeqa.__file__).parent / "serving" / "page"
    parts += [(folder / name).read_text(encoding="utf-8") for name in FILES]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def address(url: str) -> str:
    """Returns where the server shows the answer."""
    return f"{url}/?{urlencode({'q': QUESTION})}"


def noted(picture: bytes) -> str:
    """Returns the digest that is in a picture."""
    at = picture.index(NAME + b"\0") + len(NAME) + 1
    return picture[at : at + 64].decode("ascii")


def _read(url: str) -> bytes:
    with urlopen(url, timeout=60) as answer:  # noqa: S310 - a server of this machine, which the caller names
        return bytes(answer.read())


def main(url: str) -> None:
    """Asks once, so that the answer is remembered and the same again, then takes the picture."""
    found = digest(url)
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "page.png"
        command = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--screenshot={taken}"]
        command += [f"--window-size={WIDTH_PX},{HEIGHT_PX}", f"--user-data-dir={folder}/profile", address(url)]
        subprocess.run(command, check=True, capture_output=True)
        picture = taken.read_bytes()
    body = NAME + b"\0" + found.encode("ascii")
    chunk = struct.pack(">I", len(body)) + b"tEXt" + body + struct.pack(">I", zlib.crc32(b"tEXt" + body))
    PICTURE.write_bytes(picture[:33] + chunk + picture[33:])  # after the signature and the header


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))

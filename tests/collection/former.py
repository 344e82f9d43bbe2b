"""Unpacks the collection that edgeqa 0.3.0 made, `data/collection-0.3.0.tar.xz`, and says what it holds."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from filling import Spaced

from edgeqa.collection.catalogue import Catalogue
from edgeqa.collection.collection import Collection

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE = Path(__file__).parents[1] / "data" / "collection-0.3.0.tar.xz"
TEXTS = {
    "manuals/long.txt": " ".join(f"The valve {n} runs at {n * 7} bar." for n in range(60)),
    "manuals/prices.csv#2": "The rotor costs 120 euros.",
    "manuals/prices.csv#3": "The shaft costs 75 euros.",
    "manuals/pump.md": (
        "The pump\n\nThe pump may be submerged to 60 metres.\n\nService\n\nThe seal is changed every 400 hours.\n\n"
    ),
    "piped": "The pipe carries 12 litres a minute.",
    "manuals/old.txt": "The new hose is blue.",
}


def unpack(directory: Path) -> Path:
    """Returns where the collection now is."""
    with tarfile.open(ARCHIVE) as archive:
        if sys.version_info >= (3, 11, 4):
            archive.extractall(directory, filter="data")
        else:
            archive.extractall(directory)  # noqa: S202 - the archive is ours
    return directory / "c03"


def held(place: Path) -> dict[str, str]:
    """Returns the documents that can be asked, each with its text."""
    return dict(_held(place))


def _held(place: Path) -> Iterator[tuple[str, str]]:
    with Catalogue.read(place) as catalogue:
        rows = list(catalogue.documents())
    opened = Collection(place)
    for row in rows:
        text = ""
        for context_id in range(row.first, row.after):
            context = opened.context(context_id)
            text = text[: context.start].ljust(context.start) + context.text
        yield row.name, Spaced(text)

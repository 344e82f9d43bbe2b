"""Makes careful readers for tests: small ones that point at given words, under the name of edgeqa-base."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from families import Made

from edgeqa.models.bundle import BASE
from edgeqa.models.exports.adding import add_model
from edgeqa.models.shelf import models_home

if TYPE_CHECKING:
    from pathlib import Path


class Bases:
    """Makes careful readers, each once for all tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, *words: str, home: Path | None = None) -> Path:
        """Adds one that finds these words, the first the likeliest, to a home, or this test's; returns its bundle."""
        made = self._folder / "-".join(words)
        if not made.is_dir():
            export = Made()
            export.graph = export.pointing_at(*words)
            small = add_model(str(export.write(self._folder / "export")), name="small").bundle.path
            shutil.move(small, made)
            manifest = json.loads((made / "manifest.json").read_text())
            (made / "manifest.json").write_text(json.dumps(manifest | {"name": BASE}))
            shutil.rmtree(self._folder / "export")
        place = (models_home() if home is None else home / "models") / BASE
        shutil.copytree(made, place)
        return place

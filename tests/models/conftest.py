from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from edgeqa.models.bundle import DEFAULT_BUNDLE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the bundled model to damage."""
    return shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")

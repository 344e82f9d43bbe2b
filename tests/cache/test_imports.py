"""Tests that a hit imports neither the model's libraries nor anything slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run


@pytest.mark.usefixtures("unmeasured")
def test_a_hit_imports_nothing_heavy_and_starts_no_thread(directory: Path, run: Run) -> None:
    code = """
import sys, threading
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1])
if len(sys.argv) > 2:
    cache.put("a", 1)
else:
    assert cache.get("a") == 1
    heavy = {"onnxruntime", "tokenizers", "numpy", "asyncio", "concurrent.futures", "logging", "msgspec", "dataclasses"}
    heavy |= {"edgeqa.cache." + name for name in ("writer", "commits", "flight", "stats", "memoization")}
    assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
    assert threading.active_count() == 1
cache.close()
"""
    assert run(code, directory, "put").communicate() == ("", "")
    assert run(code, directory).communicate() == ("", "")

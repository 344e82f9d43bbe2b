"""What a run leaves behind in a user's home, and whom it calls."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from program import edgeqa

PUMP = Path(__file__).parent.parent.parent / "examples" / "pump-manual.txt"
STATE = {
    "HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    "EDGEQA_HOME",
    "ORT_DISABLE_TELEMETRY",
}


@pytest.mark.skipif(sys.platform != "linux", reason="caches are elsewhere on other systems")
@pytest.mark.parametrize(
    "command",
    [("ask", "-q", "To what depth may the pump be submerged?", str(PUMP)), ("capabilities",)],
    ids=lambda c: c[0],
)
def test_nothing_but_edgeqas_own_is_left_in_the_users_home(tmp_path: Path, command: tuple[str, ...]) -> None:
    # onnxruntime, left to itself, puts a device id and a database of events there, which it sends to its maker.
    user = tmp_path / "user"
    user.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in STATE}
    assert edgeqa(*command, env={**environment, "HOME": str(user)}).returncode == 0
    left = {path.relative_to(user).parts[:2] for path in user.rglob("*") if path.is_file()}
    assert left == {(".cache", "edgeqa")}

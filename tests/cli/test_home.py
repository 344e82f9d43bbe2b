"""Tests what a run leaves behind in a user's home, and whom it calls."""

from __future__ import annotations

import os
import subprocess
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


def test_a_home_whose_path_is_not_utf_8_is_one_like_others(tmp_path: Path) -> None:
    home = tmp_path / os.fsdecode(b"caf\xe9\xff")
    home.mkdir()
    (home / os.fsdecode(b"mill\xe9.txt")).write_text("The mill was built in 1822.\n", encoding="utf-8")
    environment = {**os.environ, "EDGEQA_HOME": os.fspath(home)}
    assert edgeqa("add", os.fspath(home), env=environment).returncode == 0
    for _ in range(2):
        assert edgeqa("ask", "-q", "When was the mill built?", env=environment).stdout == "1822\n"
    assert edgeqa("verify", env=environment).stdout == "sound\n"
    assert "state      open" in edgeqa("cache", "stats", env=environment).stdout


def test_where_no_more_files_may_be_open_that_is_said_and_nothing_is_taken_for_damaged(home: Path) -> None:
    assert edgeqa("add", str(PUMP)).returncode == 0
    said = {}
    for most in (6, 9, 12, 14, 16, 18):
        code = f"import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most})); import edgeqa.cli"
        done = subprocess.run(
            [sys.executable, "-c", f"{code}; sys.exit(edgeqa.cli.run())", "ask", "-q", "Is it submerged?", "--force"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said[most] = done.stderr
        assert done.returncode in (0, 3), done.stderr
        assert done.returncode == 0 or "a limit on open files is reached" in done.stderr
    assert any(said.values())
    assert not (home / "collections" / "default" / "damaged").exists()
    assert not list((home / "cache" / "format-1").glob("quarantine-*"))
    assert edgeqa("verify").stdout == "sound\n"

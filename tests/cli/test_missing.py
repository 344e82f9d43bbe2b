"""Tests that where a library or a part of the system is missing, one sentence says so, and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from program import DEADLINE_S

from edgeqa.capabilities import probe as probing
from edgeqa.capabilities.computing import Platform, this_platform, unsupported
from edgeqa.capabilities.probe import assure_onnxruntime
from edgeqa.collection.errors import CollectionUnwritable
from edgeqa.errors import ExportUnwritable, OnnxruntimeUnusable
from edgeqa.state import NOWHERE

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PUMP = EXAMPLES / "pump-manual.txt"
QUESTION = "To what depth may the pump be submerged?"
OPTIONAL = ("msgspec", "pathspec", "pyromark", "tantivy")
BEGIN = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
from edgeqa.__main__ import main
main()
"""


def without(libraries: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs edgeqa where some libraries are not installed."""
    command = [sys.executable, "-c", BEGIN, libraries, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def test_texts_are_asked_and_answers_remembered_with_seven_libraries_alone() -> None:
    for cached in ("false", "true"):
        done = without(",".join(OPTIONAL), "ask", "--json", QUESTION, str(PUMP))
        assert (done.returncode, done.stderr) == (0, "")
        assert '"answer": "12 metres"' in done.stdout
        assert f'"cached": {cached}' in done.stdout
    done = without(",".join(OPTIONAL), "capabilities", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    usual = without("none", "ask", "--json", QUESTION, str(PUMP))  # the same bytes are read again by msgspec
    assert '"cached": true' in usual.stdout


@pytest.mark.parametrize(
    ("library", "command", "said"),
    [
        ("tantivy", ("add", str(PUMP)), "a collection needs tantivy, which is not installed"),
        ("msgspec", ("mcp",), "this command needs msgspec, which is not installed"),
        ("click", ("ask", "--help"), "click is not installed"),
        ("lmdb", ("ask", QUESTION, str(PUMP)), "this command needs lmdb, which is not installed"),
        ("numpy", ("ask", QUESTION, str(PUMP)), "this command needs numpy, which is not installed"),
    ],
)
def test_a_library_that_is_missing_is_named_with_how_to_install_it(
    library: str, command: tuple[str, ...], said: str
) -> None:
    done = without(library, *command)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"edgeqa: {said}\n  hint: pip install {library}\n"


def test_markdown_is_not_read_otherwise_without_its_library(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Pump\n\nIt may be submerged to 12 metres.\n")
    done = without("pyromark", "ask", QUESTION, str(tmp_path / "a.md"))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"cannot read {tmp_path / 'a.md'}: Markdown files need pyromark" in done.stderr
    (tmp_path / "b.txt").write_text("It may be submerged to 12 metres.\n")
    done = without("pyromark", "add", str(tmp_path))  # one file that cannot be read keeps no other out
    assert "Markdown files need pyromark" in done.stderr
    assert without("pyromark", "ask", "-q", "To what depth may it be submerged?").stdout == "12 metres\n"


def test_what_git_leaves_out_is_not_added_without_its_library(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("secret.txt\n")
    (tmp_path / "secret.txt").write_text("It may be submerged to 12 metres.\n")
    done = without("pathspec", "add", str(tmp_path))
    assert done.returncode == 3
    assert "leaving files out, by a .gitignore or --exclude, needs pathspec, which is not installed" in done.stderr
    assert without("none", "list").stdout == ""


HERE = Platform("linux", "x86_64", 64, "glibc 2.36", (3, 11))


@pytest.mark.parametrize(
    ("on", "why"),
    [
        (HERE, ""),
        (HERE._replace(machine="aarch64", libc="glibc 2.28"), ""),
        (HERE._replace(system="darwin", machine="arm64", libc=""), ""),
        (HERE._replace(machine="armv7l", bits=32), "there is no onnxruntime for 32 bits"),
        (HERE._replace(machine="aarch64", bits=32), "there is no onnxruntime for 32 bits"),
        (HERE._replace(machine="riscv64"), "there is no onnxruntime by pip for riscv64"),
        (HERE._replace(libc=""), "there is no onnxruntime by pip for musl"),
        (HERE._replace(libc="glibc 2.27"), "needs glibc 2.28 or newer, and this system has 2.27"),
        (HERE._replace(system="android", libc=""), "pkg install python-onnxruntime"),
        (HERE._replace(python=(3, 15)), "edgeqa needs Python 3.10 to 3.14, and this is 3.15"),
        (HERE._replace(python=(3, 9)), "edgeqa needs Python 3.10 to 3.14, and this is 3.9"),
    ],
)
def test_where_there_is_no_onnxruntime_one_sentence_says_why(on: Platform, why: str) -> None:
    assert (why in unsupported(on)) if why else not unsupported(on)


def test_this_platform_has_an_onnxruntime() -> None:
    assert not unsupported(this_platform())


def test_where_onnxruntime_is_not_installed_it_is_said_whether_it_could_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.setattr(probing, "onnxruntime_version", lambda: None)
    monkeypatch.setattr(probing, "this_platform", lambda: HERE._replace(machine="riscv64"))
    with pytest.raises(OnnxruntimeUnusable, match="is not installed: there is no onnxruntime by pip for riscv64"):
        assure_onnxruntime("riscv64: unknown")


@pytest.mark.skipif(sys.platform != "linux", reason="others have no /proc")
def test_without_proc_the_reason_is_said_before_onnxruntime_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    with pytest.raises(OnnxruntimeUnusable, match="/proc is not mounted, which onnxruntime reads") as raised:
        assure_onnxruntime("")
    assert raised.value.hint == "mount it: mount -t proc proc /proc"


@pytest.mark.parametrize(
    ("path", "has_none"),
    [
        (NOWHERE / "models" / "mine", True),
        (Path("/nonexistent/.local/share/edgeqa"), True),  # of Debian's nobody
        (Path("/.local/share/edgeqa"), True),  # of a container's user without a name
        (Path("/somewhere/else"), False),
    ],
)
def test_a_user_without_a_home_is_told_to_name_one(path: Path, *, has_none: bool) -> None:
    for error in (ExportUnwritable(path, "Not a directory"), CollectionUnwritable(path, "Permission denied")):
        assert error.hint.startswith("this user has no home directory: set EDGEQA_HOME") == has_none


def test_what_the_makefile_asks_first_needs_nothing_that_is_installed() -> None:
    root = Path(__file__).parents[2]
    if not (root / "edgeqa").is_dir():
        pytest.skip("no sources beside the tests: the wheel is tested")
    (line,) = [one for one in (root / "Makefile").read_text().splitlines() if one.startswith("UNSUPPORTED = ")]
    command = [sys.executable, "-S", "-c", line.removeprefix("UNSUPPORTED = ")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

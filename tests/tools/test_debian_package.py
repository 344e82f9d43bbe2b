"""Tests the Debian package that `make deb` makes, of a real wheel, without the packages that the wheel needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from debian_package import PLACE, PYTHON, make_package

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None or not (ROOT / "edgeqa").is_dir(), reason="needs dpkg-deb and the sources"
)


def output(*command: str | Path, **environment: str) -> str:
    # The coverage of the sources is measured, and not that of their copy in the package.
    own = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    env = {**own, **environment}
    return subprocess.run(command, check=True, timeout=300, capture_output=True, text=True, env=env).stdout


def test_the_package_holds_the_command_and_says_which_python_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for needed in ("build", "hatchling"):
        pytest.importorskip(needed, reason="needs the dependency group dev")
    output(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    monkeypatch.setenv("LANGUAGE", "de")  # dpkg-deb translates what it says, quotes included
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    package = make_package(wheel, tmp_path / "out", ["--no-index", "--no-deps"], extras="")
    version = wheel.name.split("-")[1]
    architecture = output("dpkg", "--print-architecture").strip()
    assert package == tmp_path / "out" / f"edgeqa_{version}_{architecture}.deb"
    assert list((tmp_path / "out").iterdir()) == [package]
    major, minor = sys.version_info[:2]
    needs = output("dpkg-deb", "--field", package, "Depends")
    assert f"python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1})" in needs

    output("dpkg-deb", "--extract", package, tmp_path / "root")
    of_this_machine = [str(place).encode() for place in (tmp_path, ROOT)]
    for file in (tmp_path / "root").rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert not [place for place in of_this_machine if place in file.read_bytes()], file
    site = tmp_path / "root" / PLACE / "lib" / PYTHON / "site-packages"
    (record,) = site.glob("edgeqa-*.dist-info/RECORD")
    noted = {line.rpartition(",")[0].rpartition(",")[0] for line in record.read_text("utf-8").splitlines()}
    own = {str(file.relative_to(site)) for file in record.parent.rglob("*") if file.is_file()}
    assert own == {name for name in noted if name.startswith(record.parent.name)}
    command = tmp_path / "root" / "usr" / "bin" / "edgeqa"
    assert os.access(command, os.X_OK)
    assert command.read_text("utf-8").startswith(f"#!/{PLACE}/bin/python3 -I\n")
    assert (tmp_path / "root" / PLACE / "pyvenv.cfg").read_text("utf-8").startswith("home = /usr/bin\n")
    assert output(sys.executable, command, "--version", PYTHONPATH=str(site)) == f"edgeqa {version}\n"
    (tmp_path / "where.py").write_text("import edgeqa; print(edgeqa.__file__)")
    where = output(sys.executable, tmp_path / "where.py", PYTHONPATH=str(site))
    assert where.startswith(str(site))
    assert not list(site.glob("bin")), "programs of the packages within"
    for beside in ("man/man1/edgeqa.1.gz", "bash-completion/completions/edgeqa", "doc/edgeqa/copyright"):
        assert (tmp_path / "root" / "usr" / "share" / beside).is_file()

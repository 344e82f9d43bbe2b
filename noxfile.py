"""Runs the suite on every interpreter that is there, with the lowest and the highest dependencies: `nox`.

In: the versions that pyproject.toml names, of Python in its classifiers, of libraries in its dependencies; uv finds
what can be had for each, wheels alone. Out: the suite, run on the wheel as users have it. It is taken from the source
distribution, whose package is deleted first, so that nothing can be found but what is installed. What CI runs is
`make test`; this takes as many times as long as there are interpreters, twice.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv"

PYTHONS = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))


@nox.session(python=PYTHONS)
@nox.parametrize("resolution", ["lowest-direct", "highest"], ids=["lowest", "highest"])
def suite(session: nox.Session, resolution: str) -> None:
    """Run the suite: `nox -s "suite-3.13(lowest)" -- tests/cache`; without tests named, all of it."""
    built = Path(session.create_tmp()).resolve()
    shutil.rmtree(built)
    # A socket's path has 107 characters at most, and its folder here would take most of them.
    session.env["TMPDIR"] = tempfile.gettempdir()
    session.env["UV_LINK_MODE"] = "copy"  # onnx reads no weights that have other names (hard links)
    session.run("uv", "build", "--quiet", "--out-dir", str(built), external=True)
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(built, filter="data")
    (unpacked,) = (path.parent for path in built.glob("*/pyproject.toml"))
    shutil.rmtree(unpacked / "edgeqa")
    with session.chdir(unpacked):
        # `lowest-direct` is of what is asked for here: of a wheel alone, what it depends on would be the highest.
        wanted = ("--group", "dev", "-r", "pyproject.toml", str(wheel))
        session.install("--resolution", resolution, "--only-binary", ":all:", *wanted)
        session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Check code as users write it (tests/users) against the wheel, by mypy and by basedpyright."""
    built = Path(session.create_tmp()).resolve()
    session.run("uv", "build", "--quiet", "--wheel", "--out-dir", str(built), external=True)
    session.install(str(*built.glob("*.whl")), "mypy", "basedpyright")
    users = Path("tests/users").resolve()
    with session.chdir(built):  # where there is no edgeqa but the one that is installed, and no configuration
        session.run("mypy", "--strict", str(users))
        session.run("basedpyright", "--level", "error", str(users))

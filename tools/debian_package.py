"""Makes a Debian package of a wheel and all that it needs: `python tools/debian_package.py WHEEL OUT`, or `make deb`.

In: a wheel of edgeqa, and the package index, or a folder of wheels (--find-links) in its place. Out: a file such as
OUT/edgeqa_0.3.0_amd64.deb, with everything beneath /usr/lib/edgeqa, since Debian has no onnxruntime for Python; the
command, the manual page and the completions lie where they do elsewhere. It is for the minor version of Python that
this tool runs with, and this machine's architecture. The tool needs `dpkg-deb`, and signs nothing.
"""

from __future__ import annotations

import argparse
import gzip
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = "usr/lib/edgeqa"
EXTRAS = "docs,serve"  # nobody can add these to the package later
PYTHON = "python{}.{}".format(*sys.version_info)
ENVIRONMENT = (
    "home = /usr/bin\ninclude-system-site-packages = false\n"  # pyvenv.cfg: Debian's Python, with these packages
)
COMMAND = f"""#!/{PLACE}/bin/python3 -I
from edgeqa.__main__ import main

main()
"""
CONTROL = """Package: edgeqa
Version: {version}
Architecture: {architecture}
Maintainer: The edgeqa contributors
Depends: python3 (>= {python}), python3 (<< {next_python}), libc6 (>= 2.28), libstdc++6
Installed-Size: {size_kib}
Section: text
Priority: optional
Description: {summary}
"""


def make_package(wheel: Path, out: Path, pip_options: list[str], *, extras: str = EXTRAS) -> Path:
    """Makes the package, and returns its file.

    Args:
        wheel: of edgeqa.
        out: the folder for the package.
        pip_options: say where pip finds what the wheel needs.
        extras: of the wheel; "" for none.
    """
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "edgeqa"
        site = tree / PLACE / "lib" / PYTHON / "site-packages"
        wanted = f"{wheel}[{extras}]" if extras else str(wheel)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        _run(*pip, "--only-binary", ":all:", "--target", str(site), *pip_options, wanted)
        for scripts in ("bin", "share"):
            shutil.rmtree(site / scripts, ignore_errors=True)
        _run(sys.executable, "-m", "compileall", "-q", "-s", str(tree), "-p", "/", str(site))
        (info,) = site.glob("edgeqa-*.dist-info")
        _leave_out_where_it_was_made(info)
        facts = Distribution.at(info).metadata
        _lay_out(tree)
        major, minor = sys.version_info[:2]
        version, architecture = facts["Version"], _run("dpkg", "--print-architecture").strip()
        control = CONTROL.format(
            version=version,
            architecture=architecture,
            python=f"{major}.{minor}",
            next_python=f"{major}.{minor + 1}",
            size_kib=sum(file.stat().st_size for file in tree.rglob("*") if file.is_file() and not file.is_symlink())
            // 1024,
            summary=facts["Summary"].rstrip("."),
        )
        _write(tree / "DEBIAN" / "control", control.encode())
        out.mkdir(parents=True, exist_ok=True)
        package = out / f"edgeqa_{version}_{architecture}.deb"
        _run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(tree), str(package))
        return package


def _leave_out_where_it_was_made(info: Path) -> None:
    """Takes out what pip notes of a wheel that is a file: its path on this machine, and that it was asked for."""
    left_out = {f"{info.name}/{name}" for name in ("direct_url.json", "REQUESTED")}
    for name in left_out:
        (info.parent / name).unlink(missing_ok=True)
    record = info / "RECORD"
    lines = record.read_text("utf-8").splitlines(keepends=True)
    record.write_text("".join(line for line in lines if line.partition(",")[0] not in left_out), "utf-8")


def _lay_out(tree: Path) -> None:
    """Makes the place an environment of Debian's Python, and puts what is no Python where Debian looks for it."""
    share = tree / "usr" / "share"
    _write(tree / "usr" / "bin" / "edgeqa", COMMAND.encode(), mode=0o755)
    _write(tree / PLACE / "pyvenv.cfg", ENVIRONMENT.encode())
    (tree / PLACE / "bin").mkdir()
    (tree / PLACE / "bin" / "python3").symlink_to("/usr/bin/python3")
    _write(share / "man" / "man1" / "edgeqa.1.gz", gzip.compress((ROOT / "man" / "edgeqa.1").read_bytes(), mtime=0))
    _write(share / "doc" / "edgeqa" / "copyright", (ROOT / "LICENSE").read_bytes())
    for shell, place in (
        ("bash", "bash-completion/completions/edgeqa"),
        ("zsh", "zsh/vendor-completions/_edgeqa"),
        ("fish", "fish/vendor_completions.d/edgeqa.fish"),
    ):
        _write(share / place, (ROOT / "completions" / f"edgeqa.{shell}").read_bytes())


def _write(file: Path, content: bytes, *, mode: int = 0o644) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, metavar="WHEEL")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--find-links", metavar="FOLDER", help="take what the wheel needs from here alone")
    given = parser.parse_args()
    if platform.system() != "Linux" or shutil.which("dpkg-deb") is None:
        sys.exit("a Debian package is made where there is dpkg-deb: on Debian, Ubuntu and their like")
    options = ["--no-index", "--find-links", given.find_links] if given.find_links else []
    print(make_package(given.wheel.resolve(), given.out, options))

"""Tests the distribution edgeqa-base: it is built, installed away from the sources, found, added, and right."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeqa.models.bundle import BASE, BUNDLED, Bundle
from edgeqa.models.manifest import JOINT_GRAPH
from edgeqa.models.selftest import golden_cases
from edgeqa.models.shelf import BASE_PACKAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "models" / "base"
BUNDLE = PROJECT / BASE_PACKAGE / BASE
MAX_FILE_BYTES = 60_000_000  # of what lies in the repository
MAX_WHEEL_BYTES = 100_000_000  # what package indexes take
MAX_OWN_WHEEL_BYTES = 26_000_000  # edgeqa itself stays small
WEIGHTS_ERROR = 0.3  # of a logit: what it moves that the lowest layers and the words are in int8

pytestmark = pytest.mark.skipif(not BUNDLE.is_dir(), reason="models/base is not here: a source distribution has none")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where edgeqa's wheel and source distribution are, and edgeqa-base's wheel."""
    pytest.importorskip("build", reason="needs the dependency group dev")
    pytest.importorskip("hatchling", reason="needs the dependency group dev")
    out = tmp_path_factory.mktemp("wheels")
    for arguments in ([str(ROOT), "--wheel", "--sdist"], [str(PROJECT), "--wheel"]):
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def base_wheel(wheels: Path) -> Path:
    (found,) = wheels.glob("edgeqa_base-*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with edgeqa's wheel; what that needs is taken from where the tests run."""
    venv = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=100)
    (packages,) = venv.glob("lib/python*/site-packages")
    # A line of a .pth file adds the folder as it is, without its own .pth files: one of those leads to the sources.
    (packages / "needs.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    found = venv / "bin" / "python"
    (own,) = wheels.glob("edgeqa-*.whl")
    install(found, own)
    return found


def install(python: Path, wheel: Path) -> None:
    options = ["--quiet", "--no-index", "--no-deps"]
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)]
    subprocess.run(command, check=True, timeout=300)


def edgeqa(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python.parent / "edgeqa"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def as_json(python: Path, *arguments: str) -> Any:  # noqa: ANN401 - any JSON value
    done = edgeqa(python, *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def names(python: Path) -> list[str]:
    return [model["name"] for model in as_json(python, "models", "list")["models"]]


def test_no_file_is_larger_than_repositories_take() -> None:
    for file in PROJECT.rglob("*"):
        assert file.stat().st_size <= MAX_FILE_BYTES, file


def test_its_version_is_that_of_the_model() -> None:
    manifest = Bundle.load(BUNDLE).manifest
    (line,) = (line for line in (PROJECT / "pyproject.toml").read_text().splitlines() if line.startswith("version"))
    assert line.split('"')[1].split(".")[0] == manifest.version
    assert (manifest.name, manifest.kind, manifest.precision) == (BASE, "joint", "int8")


def test_the_wheels_are_as_small_as_they_may_be_and_edgeqas_own_has_no_other_model(
    wheels: Path, base_wheel: Path
) -> None:
    assert base_wheel.stat().st_size <= MAX_WHEEL_BYTES
    with zipfile.ZipFile(base_wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    folder = f"{BASE_PACKAGE}/{BASE}/"
    assert held == {f"{BASE_PACKAGE}/__init__.py", *(folder + file.name for file in BUNDLE.iterdir())}
    (own,), (source,) = wheels.glob("edgeqa-*.whl"), wheels.glob("edgeqa-*.tar.gz")
    assert own.stat().st_size <= MAX_OWN_WHEEL_BYTES
    with zipfile.ZipFile(own) as archive:
        of_wheel = archive.namelist()
    with tarfile.open(source) as archive_of_source:
        of_source = archive_of_source.getnames()
    assert [name for name in of_wheel + of_source if BASE_PACKAGE in name and "test_" not in name] == []
    assert [name for name in of_source if "/models/base" in name] == []


def test_it_is_found_as_soon_as_it_is_installed_and_is_right_on_this_device(python: Path, base_wheel: Path) -> None:
    assert names(python) == [BUNDLED]
    done = edgeqa(python, "models", "show", BASE)
    assert (done.returncode, f"no model called {BASE}" in done.stderr) == (3, True)

    # Without pip: into the home, from the wheel.
    added = as_json(python, "models", "add", str(base_wheel))
    assert (added["name"], "4 of 4 golden cases" in added["self_test"]) == (BASE, True)
    assert names(python) == [BUNDLED, BASE]
    assert edgeqa(python, "models", "remove", BASE).returncode == 0
    assert names(python) == [BUNDLED]

    install(python, base_wheel)
    assert names(python) == [BUNDLED, BASE]
    shown = as_json(python, "models", "show", BASE)
    assert Path(shown["path"]).is_relative_to(python.parents[1])
    assert (shown["kind"], shown["precision"], shown["layers"], shown["width"]) == ("joint", "int8", 12, 768)
    (checked,) = as_json(python, "models", "check", BASE)["models"]
    assert checked["passed"], checked
    text = ("--text", "The bridge was built in 1932 by Dorman Long.")
    assert edgeqa(python, "ask", "-q", "Who built the bridge?", *text, "--bundle", BASE).stdout == "Dorman Long\n"
    done = edgeqa(python, "models", "remove", BASE)
    assert (done.returncode, "pip uninstall edgeqa-base" in done.stderr) == (2, True)


def shipped_weights() -> dict[str, NDArray[np.float32]]:
    """The weights of the shipped graph, as the reference network takes them."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(BUNDLE / JOINT_GRAPH)
    held = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    weights = {
        "word.weight": held["word.int8"].astype(np.float32) * held["word.scale"],
        "pos.weight": np.concatenate([np.zeros((2, 768), np.float32), held["place.weight"]]),
        "span.weight": held["span.weight.T"].T,
    }
    for name, value in held.items():
        if name.endswith(".weight.T.int8"):
            whole = (value * held[name.replace(".int8", ".scale")]).T
            weights[name.removesuffix(".T.int8")] = whole.astype(np.float32)
        elif name.endswith(".bias") or ".ln" in name or name.startswith("ln."):
            weights[name] = value
    for layer in range(12):
        for kind in ("weight", "bias"):
            parts = [weights.pop(f"layers.{layer}.qkv.{part}.{kind}") for part in "qkv"]
            weights[f"layers.{layer}.qkv.{kind}"] = np.concatenate(parts)
    # Its buckets are looked up by the distances that the graph's table has.
    weights["distance.weight"] = held["distance.weight"]
    return weights


def test_the_golden_logits_are_those_of_the_reference_network_with_the_shipped_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("onnx", reason="tools/ needs the extra edgeqa[tools]")
    pytest.importorskip("safetensors", reason="tools/ needs the extra edgeqa[tools]")
    import mpnet

    weights = shipped_weights()
    of_distance = weights.pop("distance.weight")
    monkeypatch.setattr(mpnet, "distance_weights", lambda _, distances: of_distance[:, distances + mpnet.POSITIONS])
    cases = golden_cases(Bundle.load(BUNDLE))
    assert len(cases) == 4
    for case in cases:
        found = mpnet.read(weights, np.array([*case.question_ids, *case.context_ids]))
        assert np.abs(found - np.stack([case.start_logits, case.end_logits], axis=1)).max() < WEIGHTS_ERROR

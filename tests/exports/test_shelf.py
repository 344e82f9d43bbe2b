"""Tests the user's models on disk: each is there whole or not at all, is chosen by name, removed, swept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from families import Made

from edgeqa import files, runtime, state
from edgeqa.errors import BundleNotFound, ExportUnwritable, ModelBundled, ModelInstalled, ModelNotFound, OptionError
from edgeqa.models import shelf
from edgeqa.models.bundle import BASE, BUNDLED, DEFAULT_BUNDLE, Bundle
from edgeqa.models.exports.adding import add_model as add
from edgeqa.models.shelf import find_bundle, model_names, models_home

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Run


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return Made().write(tmp_path / "export")


def test_an_added_model_is_an_ordinary_bundle_among_the_users_data(export: Path) -> None:
    added = add(str(export), name="mine").bundle
    assert added.path == (state.data_home() / "models" / "mine").resolve()
    assert Bundle.load(added.path, anew=True).digest == added.digest
    assert (added.path.stat().st_mode & 0o777, added.path.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    assert {file.stat().st_mode & 0o777 for file in added.path.iterdir()} == {0o600}


def test_a_name_means_the_model_and_a_path_the_directory(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = add(str(export), name="mine").bundle.path
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()  # as after an export into a directory of the model's name
    assert find_bundle("mine").resolve() == mine
    assert find_bundle("./mine") == Path("mine")
    assert find_bundle(Path("mine")) == Path("mine")
    assert find_bundle(str(mine)) == mine
    assert find_bundle(BUNDLED) == DEFAULT_BUNDLE
    with pytest.raises(BundleNotFound):
        Bundle.load(find_bundle("./mine"))


def test_a_directory_of_the_working_directory_needs_no_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_bundle("there") == Path("there")


@pytest.mark.parametrize("name", ["nothing", "MINE", "mine ", "...", "x" * 5000, "a\0b"])
def test_an_unknown_name_is_answered_with_those_that_there_are(export: Path, name: str) -> None:
    add(str(export), name="mine")
    with pytest.raises(ModelNotFound, match="no model called") as caught:
        find_bundle(name)
    assert f"{', '.join(shelf.shipped_names())}, mine" in caught.value.hint


def test_the_model_in_use_is_used_where_none_is_named(export: Path) -> None:
    assert (shelf.in_use(), find_bundle(None)) == (BUNDLED, DEFAULT_BUNDLE)
    add(str(export), name="mine")
    shelf.use_model("mine")
    assert shelf.in_use() == "mine"
    with runtime.open(persist="off") as qa:
        assert qa.bundle.manifest.name == "mine"
    with runtime.open(bundle=BUNDLED, persist="off") as qa:
        assert qa.bundle.manifest.name == BUNDLED
    shelf.use_model(BUNDLED)
    assert find_bundle(None) == DEFAULT_BUNDLE


def test_only_a_model_that_is_there_can_be_used() -> None:
    with pytest.raises(ModelNotFound):
        shelf.use_model("nothing")
    assert shelf.in_use() == BUNDLED


def test_a_model_in_use_that_was_deleted_by_hand_is_an_error_and_no_silent_change(export: Path) -> None:
    path = add(str(export), name="mine").bundle.path
    shelf.use_model("mine")
    (path / "manifest.json").unlink()
    with pytest.raises(ModelNotFound, match="no model called mine"):
        runtime.open()


def test_removing_the_model_in_use_goes_back_to_the_bundled_one(export: Path) -> None:
    bundle = add(str(export), name="mine").bundle
    size_bytes = sum(file.stat().st_size for file in bundle.path.iterdir())
    shelf.use_model("mine")
    assert shelf.remove_model("mine") == size_bytes
    assert (model_names(), shelf.in_use()) == (shelf.shipped_names(), BUNDLED)
    assert list(models_home().iterdir()) == []


@pytest.mark.parametrize("name", ["nothing", "", ".", "..", ".in-use", "a/b"])
def test_what_is_no_model_is_not_removed(name: str, export: Path) -> None:
    add(str(export), name="mine")
    with pytest.raises(ModelNotFound):
        shelf.remove_model(name)
    assert model_names() == [*shelf.shipped_names(), "mine"]


def test_the_bundled_model_is_not_removed() -> None:
    with pytest.raises(ModelBundled):
        shelf.remove_model(BUNDLED)
    assert (DEFAULT_BUNDLE / "manifest.json").exists()


@pytest.fixture
def no_base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As where edgeqa-base is neither installed nor among the sources; returns where the sources would have it."""
    monkeypatch.setattr(shelf, "BASE_PACKAGE", "edgeqa_base_of_a_test")
    monkeypatch.setattr(shelf, "__file__", str(tmp_path / "sources" / "edgeqa" / "models" / "shelf.py"))
    return tmp_path / "sources" / "models" / "base" / "edgeqa_base_of_a_test" / BASE


def as_bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    return folder


def test_edgeqa_base_is_found_among_sources_then_installed_then_added(
    no_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shelf.base_bundle() is None
    assert (shelf.shipped_names(), model_names()) == ([BUNDLED], [BUNDLED])
    with pytest.raises(ModelNotFound):
        find_bundle(BASE)
    with pytest.raises(ModelNotFound):
        shelf.remove_model(BASE)

    of_sources = as_bundle(no_base)
    assert (shelf.base_bundle(), find_bundle(BASE)) == (of_sources, of_sources)
    assert (shelf.shipped_names(), model_names()) == ([BUNDLED, BASE], [BUNDLED, BASE])

    package = tmp_path / "site-packages" / "edgeqa_base_of_a_test"
    installed = as_bundle(package / BASE)
    (package / "__init__.py").write_text("raise AssertionError('it is not imported')")
    monkeypatch.syspath_prepend(package.parent)
    assert shelf.base_bundle() == installed
    with pytest.raises(ModelInstalled, match="not added, but installed") as caught:
        shelf.remove_model(BASE)
    assert "pip uninstall edgeqa-base" in caught.value.hint

    added = as_bundle(models_home() / BASE)
    assert shelf.base_bundle() == added
    assert model_names() == [BUNDLED, BASE]
    shelf.use_model(BASE)
    assert (shelf.in_use(), find_bundle(None)) == (BASE, added)
    assert shelf.remove_model(BASE) == len("{}")
    assert (shelf.base_bundle(), shelf.in_use()) == (installed, BUNDLED)


def test_a_package_of_that_name_without_a_bundle_is_none(
    no_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "edgeqa_base_of_a_test"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(package.parent)
    assert shelf.base_bundle() is None
    (package / "__init__.py").touch()
    assert shelf.base_bundle() is None
    assert not no_base.exists()


def test_a_killed_run_leaves_no_model_and_is_swept_by_the_next(export: Path, run: Run) -> None:
    code = """
import sys, time
from edgeqa.models.exports import adding
from edgeqa.models.exports.adding import add_model as add
copied = adding._copy
def slow(source, to, watch):
    copied(source, to, watch)
    print("copied", flush=True)
    time.sleep(600)
adding._copy = slow
add(sys.argv[1], name="mine")
"""
    process = run(code, export)
    assert process.stdout is not None
    assert process.stdout.readline() == "copied\n"
    assert model_names()[len(shelf.shipped_names()) :] == []
    # While it lives, what it makes is left alone.
    add(str(export), name="other")
    partial = [path.name for path in models_home().glob(".adding-*")]
    assert len(partial) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    add(str(export), name="mine")
    assert model_names()[len(shelf.shipped_names()) :] == ["mine", "other"]
    assert list(models_home().glob(".adding-*")) == []


def test_two_that_add_the_same_name_at_once_leave_one_whole_model(export: Path, run: Run) -> None:
    code = """
import sys
from edgeqa.models.exports.adding import add_model as add
from edgeqa.errors import ModelExists
sys.stdin.readline()
try:
    add(sys.argv[1], name="mine")
    print("added")
except ModelExists:
    print("exists")
"""
    processes = [run(code, export) for _ in range(3)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0].strip() for process in processes)
    assert said == ["added", "exists", "exists"]
    assert Bundle.load(find_bundle("mine"), anew=True).manifest.name == "mine"
    assert [path.name for path in models_home().iterdir()] == ["mine"]


@pytest.mark.parametrize("swept", ["before it is locked", "while it is locked", "and locked by the sweeper"])
def test_a_directory_that_another_run_sweeps_at_its_birth_is_made_again(
    export: Path, monkeypatch: pytest.MonkeyPatch, swept: str
) -> None:
    locked, calls = files.lock_folder, []

    def lock(path: Path) -> int | None:
        calls.append(path)
        if len(calls) > 1:
            return locked(path)
        if swept == "and locked by the sweeper":
            return None
        if swept == "before it is locked":
            path.rmdir()
            return locked(path)
        held = locked(path)
        path.rmdir()
        return held

    monkeypatch.setattr("edgeqa.files.lock_folder", lock)
    assert add(str(export), name="mine").bundle.manifest.name == "mine"
    assert len(calls) == 2


def test_a_lock_is_let_go_though_a_child_was_forked_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends, end = os.pipe()
    with monkeypatch.context() as patch:
        patch.setattr("edgeqa.files.delete_folder", lambda *_, **__: None)
        with shelf._own_directory(tmp_path) as made:
            assert files.lock_folder(made) is None
            if not (child := os.fork()):
                os.close(end)
                os.read(ends, 1)  # until its parent lets go of the other end
                os._exit(0)
    try:
        handle = files.lock_folder(made)
        assert handle is not None
        shelf._unlock(handle)
    finally:
        os.close(end)
        os.close(ends)
        os.waitpid(child, 0)


def test_a_home_that_cannot_be_written_is_named(export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(state.HOME_VARIABLE, str(tmp_path / "file" / "home"))
    with pytest.raises(ExportUnwritable, match=r"cannot write .*file/home/models") as caught:
        add(str(export))
    assert "EDGEQA_HOME" in caught.value.hint


def test_a_full_disk_leaves_nothing(export: Path) -> None:
    """A limit on the size of files stands for it: writing fails in the same place."""
    code = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from edgeqa.models.exports.adding import add_model as add
from edgeqa.errors import ExportUnwritable
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    add(sys.argv[1], name="mine")
except ExportUnwritable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(export)], capture_output=True, text=True, timeout=120, check=True
    )
    assert "cannot write" in done.stdout
    assert "model.onnx" in done.stdout
    assert list(models_home().iterdir()) == []


@pytest.mark.parametrize("bundle", [3, b"mine", ["mine"]])
def test_a_bundle_is_a_name_or_a_path(bundle: object) -> None:
    with pytest.raises(OptionError, match="bundle cannot be"):
        runtime.open(bundle=bundle)  # type: ignore[arg-type]


def test_the_model_in_use_costs_a_start_one_look_at_one_file(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(str(export), name="mine")
    shelf.use_model("mine")
    before = set(sys.modules)
    opened: list[str] = []
    monkeypatch.setattr(files, "read", _noted(opened))
    find_bundle(None)
    assert opened == [shelf.IN_USE]
    assert set(sys.modules) == before
    assert os.fspath(find_bundle(None)).endswith("mine")


def _noted(opened: list[str]) -> Callable[[Path], bytes]:
    read = files.read

    def noted(file: Path) -> bytes:
        opened.append(file.name)
        return read(file)

    return noted

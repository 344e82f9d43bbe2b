"""The user's added models on disk: a directory each, by name; made in one step, listed, chosen, removed.

In: names. Out: directories of bundles. What an interrupted run left half made has a name that no model can have, and is
swept by the next run, unless its maker still lives (it holds a lock on the directory). It looks into no model.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgeqa.errors import ModelNotFound
from edgeqa.importing.errors import ExportUnwritable, ModelBundled, ModelExists, ModelNameInvalid
from edgeqa.models.bundle import BUNDLED, IN_USE, added_models, models_home

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PARTIAL = ".adding-"


def directory(name: str) -> Path:
    """Returns where the model called `name` is, or would be."""
    return models_home() / name


def new_name(wanted: str | None, export: Path) -> str:
    """Returns what a new model is called: `wanted`, or as its export's directory is called.

    Raises:
        ModelNameInvalid: if no model can be called so.
        ModelExists: if one is already.
    """
    name = export.resolve().name if wanted is None else wanted
    if not NAME.fullmatch(name):
        raise ModelNameInvalid(name)
    if name == BUNDLED:
        raise ModelBundled(name)
    if directory(name).exists():
        raise ModelExists(name)
    return name


@contextlib.contextmanager
def new_model(name: str) -> Iterator[Path]:
    """Gives a directory to fill, which becomes the model's when the block ends, and is deleted if it raises.

    Raises:
        ExportUnwritable: if it cannot be made.
        ModelExists: if another process made a model of this name meanwhile.
    """
    home = models_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        _sweep(home)
        partial, lock = _own_directory(home)
    except OSError as error:
        raise ExportUnwritable(home, error.strerror or str(error)) from error
    try:
        yield partial
        partial.chmod(0o755)  # a temporary directory is for its maker alone
        try:
            partial.rename(directory(name))
        except OSError as error:
            if directory(name).exists():
                raise ModelExists(name) from error
            raise ExportUnwritable(directory(name), error.strerror or str(error)) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # nothing, where it was renamed
        os.close(lock)


def use(name: str) -> None:
    """Makes `name` the model that is used where none is named.

    Raises:
        ModelNotFound: if there is no such model.
        ExportUnwritable: if that cannot be written down.
    """
    file = models_home() / IN_USE
    if name != BUNDLED and name not in added_models():
        raise ModelNotFound(name, [BUNDLED, *added_models()])
    try:
        if name == BUNDLED:
            file.unlink(missing_ok=True)
            return
        handle, partial = tempfile.mkstemp(dir=file.parent, prefix=IN_USE)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(f"{name}\n")
        Path(partial).replace(file)
    except OSError as error:
        raise ExportUnwritable(file, error.strerror or str(error)) from error


def in_use() -> str:
    """Returns the name of the model that is used where none is named, whether or not it is there."""
    try:
        return (models_home() / IN_USE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return BUNDLED


def remove(name: str) -> int:
    """Deletes the model called `name`; returns how many bytes its files had. If it was in use, the bundled one is.

    Raises:
        ModelBundled: for the bundled model.
        ModelNotFound: if there is no such model.
        ExportUnwritable: if it cannot be deleted.
    """
    if name == BUNDLED:
        raise ModelBundled(name)
    path = directory(name)
    if not NAME.fullmatch(name) or not path.is_dir():
        raise ModelNotFound(name, [BUNDLED, *added_models()])
    size_bytes = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    if in_use() == name:
        use(BUNDLED)
    try:
        # Out of sight in one step: what is half deleted is no model, and is swept.
        gone, lock = _own_directory(path.parent)
        try:
            path.rename(gone / name)
            shutil.rmtree(gone)
        finally:
            os.close(lock)
    except OSError as error:
        raise ExportUnwritable(path, error.strerror or str(error)) from error
    return size_bytes


def _own_directory(home: Path) -> tuple[Path, int]:
    """Returns a new directory and the lock on it. One that is swept before it is locked is left for another."""
    while True:
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=home))
        if (lock := _lock(partial)) is not None:
            if partial.exists():
                return partial, lock
            os.close(lock)


def _sweep(home: Path) -> None:
    for left in home.glob(f"{_PARTIAL}*"):
        lock = _lock(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


def _lock(path: Path) -> int | None:
    """Returns a locked handle of the directory, freed when the process ends; None if another has it, or it is gone."""
    import fcntl

    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle

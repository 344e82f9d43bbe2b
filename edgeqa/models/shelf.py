"""The shelf: the models that can be named, the one in use, and the directories of those that the user added.

In: names. Out: directories of bundles. An added model is there whole or not at all. A directory that an interrupted run
left half made has a name that no model can have. The next run sweeps it, unless its maker still lives and holds a lock
on it. A model's files are read here only to list it.

Every question waits for this module, so it imports nothing that a remembered answer does not need.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa import files, state
from edgeqa.errors import (
    BundleError,
    ExportUnwritable,
    ModelBundled,
    ModelExists,
    ModelInstalled,
    ModelNameInvalid,
    ModelNameKept,
    ModelNotFound,
)
from edgeqa.models import manifest
from edgeqa.models.bundle import BASE, BUNDLED, DEFAULT_BUNDLE, Bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
IN_USE = ".in-use"  # in the directory of added models: it holds the name of the model in use
_PARTIAL = ".adding-"
BASE_PACKAGE = "edgeqa_base"  # what the distribution edgeqa-base installs: the bundle, in a package that has no code


class ModelInfo(NamedTuple):
    """A model that can be named."""

    name: str
    """Its name for `edgeqa.open(bundle=...)`."""
    is_in_use: bool
    """Whether it is the one that is used where none is named."""
    bundle: Bundle | None
    """Its files and facts; None if it is broken."""
    fault: str = ""
    """Its fault; "" if it has none."""

    def to_json(self) -> dict[str, Any]:
        """Returns the fields of `edgeqa models list --json`."""
        if self.bundle is None:
            return {"name": self.name, "fault": self.fault}
        return {**self.bundle.to_json(), "name": self.name}  # here it is named after its directory


def models_home() -> Path:
    """Returns the directory of the models that the user added, a bundle each; it may not be there."""
    return state.data_home() / "models"


def in_use() -> str:
    """Returns the name of the model that is used where none is named, whether or not it is there."""
    try:
        return files.read(models_home() / IN_USE).decode().strip()
    except (OSError, UnicodeDecodeError):  # mostly because none was chosen
        return BUNDLED


def base_bundle() -> Path | None:
    """Returns the directory of the bundle edgeqa-base, unread; None where it is not.

    It is looked for in three places, in this order: among the models that the user added, in the distribution
    `edgeqa-base` if that is installed, and in `models/base` beside this package, as in a checkout of the sources.
    """
    places = [models_home() / BASE]
    from importlib.util import find_spec

    # It finds the package without importing it.
    with contextlib.suppress(ValueError):  # for a module that some program put there by hand
        spec = find_spec(BASE_PACKAGE)
        places += [Path(folder) / BASE for folder in (spec and spec.submodule_search_locations) or ()]
    places.append(Path(__file__).parents[2] / "models" / "base" / BASE_PACKAGE / BASE)
    for place in places:
        with contextlib.suppress(PermissionError):  # this user may not read the home
            if (place / manifest.NAME).is_file():
                return place
    return None


def find_bundle(given: str | Path | None) -> Path:
    """Returns the directory of the bundle that is meant.

    Args:
        given: a model's name or a directory; a Path is always a directory. None means the model in use.

    Raises:
        ModelNotFound: for a name that no model has.
    """
    if given is None:
        given = in_use()
    elif isinstance(given, Path) or "/" in given or given in {"", ".", ".."} or os.sep in given:
        return Path(given)
    if given == BUNDLED:
        return DEFAULT_BUNDLE
    if given == BASE and (found := base_bundle()) is not None:
        return found
    with contextlib.suppress(OSError):  # a name that is longer than any file's
        if (models_home() / given / manifest.NAME).exists():
            if files.is_exposed(models_home()):  # older versions left that to the umask
                files.make_private(models_home(), files.PRIVATE_FOLDER)
            return models_home() / given
        if Path(given).is_dir():
            return Path(given)
    raise ModelNotFound(given, model_names())


def model_names() -> list[str]:
    """Returns the names of all models: those that were installed, then those that the user added, sorted."""
    shipped, added = shipped_names(), []
    with contextlib.suppress(OSError):
        added = sorted(path.parent.name for path in models_home().glob(f"[!.]*/{manifest.NAME}"))
    return [*shipped, *(name for name in added if name not in shipped)]


def shipped_names() -> list[str]:
    """Returns the names of the models of this project that are here: the bundled one, and edgeqa-base if it is."""
    return [BUNDLED] if base_bundle() is None else [BUNDLED, BASE]


def list_models() -> tuple[ModelInfo, ...]:
    """Returns the models that there are, the bundled one first."""
    used = in_use()

    def info(name: str) -> ModelInfo:
        try:
            return ModelInfo(name, name == used, Bundle.load(find_bundle(name)))
        except BundleError as error:
            return ModelInfo(name, name == used, None, str(error))

    return tuple(map(info, model_names()))


def graphs_made_of(bundle: Bundle) -> list[Bundle]:
    """Returns the models that `models prepare` made of this one, for providers that do not take its graphs."""
    made = []
    for precision in manifest.PRECISIONS:
        with contextlib.suppress(BundleError):
            found = Bundle.load(models_home() / made_name(bundle, precision))
            made += [found] if found.manifest.made_of == bundle.digest else []
    return made


def made_name(bundle: Bundle, precision: str) -> str:
    """Returns the name of a model that was made of this one in another precision."""
    return f"{bundle.manifest.name[:50]}.{precision}"


def remove_made(name: str) -> None:
    """Deletes a model that was made of another one, if there is one of this name.

    Raises:
        ModelExists: if it is another.
        ExportUnwritable: if it cannot be deleted.
    """
    path = models_home() / name
    if not path.exists():
        return
    try:
        was_made = bool(Bundle.load(path).manifest.made_of)
    except BundleError:  # any broken model may be replaced
        was_made = False
    if not was_made:
        raise ModelExists(name)
    remove_model(name)


def use_model(name: str) -> None:
    """Makes `name` the model that is used where none is named.

    Raises:
        BundleError: if there is no such model, or that cannot be written down.
    """
    file = models_home() / IN_USE
    if name not in model_names():
        raise ModelNotFound(name, model_names())
    try:
        if name == BUNDLED:
            files.delete(file)
        else:
            files.replace_file(file, f"{name}\n".encode(), alone=False, synced=False)
    except OSError as error:
        raise ExportUnwritable(file, error.strerror or str(error)) from error


def remove_model(name: str) -> int:
    """Deletes a model that was added; returns how many bytes its files had. If it was in use, the bundled one is then.

    Raises:
        BundleError: if there is no such model, or it was installed, or cannot be deleted.
    """
    if name == BUNDLED:
        raise ModelBundled(name)
    path = models_home() / name
    if name == BASE and not path.is_dir() and (installed := base_bundle()) is not None:
        raise ModelInstalled(name, installed)
    if not re.fullmatch(NAME, name) or not path.is_dir():
        raise ModelNotFound(name, model_names())
    size_bytes = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    if in_use() == name:
        use_model(BUNDLED)
    try:
        # It is renamed first: a half deleted model is no model, and is swept later.
        with _own_directory(path.parent) as gone:
            files.rename(path, gone / name)
            files.delete_folder(gone)
    except OSError as error:
        raise ExportUnwritable(path, error.strerror or str(error)) from error
    return size_bytes


def new_name(wanted: str | None, otherwise: str, *, is_own: bool = False) -> str:
    """Returns the name of a new model: `wanted`, or the one that it has already.

    Args:
        wanted: the name that the user chose, if any.
        otherwise: the name where none was chosen.
        is_own: whether the model is the one that edgeqa itself asks by its name.

    Raises:
        ModelNameInvalid: if no model can be called so.
        ModelNameKept: if only edgeqa's own model can.
        ModelExists: if one is already.
    """
    name = otherwise if wanted is None else wanted
    if not re.fullmatch(NAME, name):
        raise ModelNameInvalid(name)
    if name == BUNDLED:
        raise ModelBundled(name)
    if name == BASE and not is_own:
        raise ModelNameKept(name)
    if (models_home() / name).exists():
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
    with contextlib.ExitStack() as stack:
        try:
            files.make_folders(home)
            files.make_private(home, files.PRIVATE_FOLDER)
            for left in home.glob(f"{_PARTIAL}*"):
                if (lock := files.lock_folder(left)) is not None:
                    files.delete_folder(left)
                    _unlock(lock)
            partial = stack.enter_context(_own_directory(home))
        except OSError as error:
            raise ExportUnwritable(home, error.strerror or str(error)) from error
        yield partial
        try:
            files.rename(partial, home / name)
        except OSError as error:
            if (home / name).exists():
                raise ModelExists(name) from error
            raise ExportUnwritable(home / name, error.strerror or str(error)) from error


@contextlib.contextmanager
def _own_directory(home: Path) -> Iterator[Path]:
    """Gives a new directory, locked; deleted at the end. One that is swept before it is locked is left for another."""
    lock = None
    while lock is None:
        made = files.new_folder(home, _PARTIAL)
        if (lock := files.lock_folder(made)) is not None and not made.exists():
            _unlock(lock)
            lock = None
    try:
        yield made
    finally:
        files.delete_folder(made)  # this does nothing if it was renamed
        _unlock(lock)


def _unlock(handle: int) -> None:
    files.unlock(handle)
    os.close(handle)

"""The user's models from Python, as `edgeqa models` has them: listed, added, chosen, removed.

In: names, and directories of exports. Out: frozen values. Reached as `edgeqa.models`, whose functions these are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edgeqa.capabilities.settings import Overrides
from edgeqa.errors import BundleError, OptionError
from edgeqa.importing import shelf
from edgeqa.models.bundle import BUNDLED, Bundle, added_models, chosen

if TYPE_CHECKING:
    from edgeqa.importing.adding import Added
    from edgeqa.importing.asking import Progress


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be named."""

    name: str
    """What it is called by `edgeqa.open(bundle=...)`."""
    is_in_use: bool
    """Whether it is the one that is used where none is named."""
    bundle: Bundle | None
    """Its files and facts; None if it is broken."""
    fault: str = ""
    """What is wrong with it; "" if nothing is."""


def list_models() -> tuple[Model, ...]:
    """Returns the models that there are, the bundled one first."""
    in_use = shelf.in_use()
    return tuple(_model(name, is_in_use=name == in_use) for name in (BUNDLED, *added_models()))


def _model(name: str, *, is_in_use: bool) -> Model:
    try:
        return Model(name, is_in_use, Bundle.load(chosen(name)))
    except BundleError as error:
        return Model(name, is_in_use, None, str(error))


def add_model(
    directory: str | os.PathLike[str],
    *,
    name: str | None = None,
    graph: str | None = None,
    quantize: Literal["int8"] | None = None,
    threads: int | None = None,
    budget_bytes: int | None = None,
    progress: Progress | None = None,
) -> Added:
    """Makes a model of an export, and tests it on this device; returns it with how the test went.

    Args:
        directory: what an exporter has written: a graph, `tokenizer.json`, `config.json`. It is copied.
        name: what to call the model; by default as the directory is called.
        graph: which graph of the directory to take, where there are several.
        quantize: "int8" to make the int8 form, which is refused if answers move.
        threads: cores to use.
        budget_bytes: memory that may be used.
        progress: called as it goes on.

    Raises:
        BundleError: naming what is wrong with the export, or with what it says on this device.
        NotEnoughMemory: if the model does not fit this device.
        OptionError: for another `quantize` than "int8".
    """
    from edgeqa.importing.adding import add

    if quantize not in {None, "int8"}:
        raise OptionError(name="quantize", value=quantize, expected="int8, or nothing")
    wanted = Overrides(threads=threads, budget_bytes=budget_bytes)
    is_int8 = quantize is not None
    return add(os.fspath(directory), name=name, graph=graph, int8=is_int8, overrides=wanted, progress=progress)


def use_model(name: str) -> None:
    """Makes `name` the model that is used where none is named.

    Raises:
        BundleError: if there is no such model, or that cannot be written down.
    """
    shelf.use(name)


def remove_model(name: str) -> int:
    """Deletes a model that was added; returns how many bytes its files had. If it was in use, the bundled one is then.

    Raises:
        BundleError: if there is no such model, or it is the bundled one, or cannot be deleted.
    """
    return shelf.remove(name)

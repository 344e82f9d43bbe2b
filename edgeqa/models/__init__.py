"""Models: bundles and the shelf of them, opening one, readers, spans; exports. The bundled default model lies here too.

Users call the commands of `edgeqa models` here: `list`, `add`, `show`, `use`, `check` and `remove`. Each is imported
when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeqa.models.exports.adding import add_model as add
    from edgeqa.models.opening import check_models as check
    from edgeqa.models.opening import show_model as show
    from edgeqa.models.preparing import prepare_model as prepare
    from edgeqa.models.shelf import list_models as list
    from edgeqa.models.shelf import remove_model as remove
    from edgeqa.models.shelf import use_model as use

_HOMES = {
    "add": "exports.adding.add_model",
    "check": "opening.check_models",
    "list": "shelf.list_models",
    "prepare": "preparing.prepare_model",
    "remove": "shelf.remove_model",
    "show": "opening.show_model",
    "use": "shelf.use_model",
}

__all__ = ["add", "check", "list", "prepare", "remove", "show", "use"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module has names of any type
    if name not in _HOMES:
        raise AttributeError(f"module 'edgeqa.models' has no attribute {name!r}")  # noqa: EM102 - Python's own wording
    module, _, function = _HOMES[name].rpartition(".")
    return getattr(importlib.import_module(f"edgeqa.models.{module}"), function)

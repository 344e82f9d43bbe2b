"""Models: bundles, tokenizer, sessions, span decoding. The bundled default model lies here too.

To users, `edgeqa.models` is what `edgeqa models` does: `list`, `add`, `use` and `remove`, which are in
`edgeqa.importing.managing`, imported when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeqa.importing.managing import add_model as add
    from edgeqa.importing.managing import list_models as list
    from edgeqa.importing.managing import remove_model as remove
    from edgeqa.importing.managing import use_model as use

_FUNCTIONS = {"add": "add_model", "list": "list_models", "remove": "remove_model", "use": "use_model"}

__all__ = ["add", "list", "remove", "use"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module has names of any type
    if name not in _FUNCTIONS:
        raise AttributeError(f"module 'edgeqa.models' has no attribute {name!r}")  # noqa: EM102 - Python's own wording
    return getattr(importlib.import_module("edgeqa.importing.managing"), _FUNCTIONS[name])

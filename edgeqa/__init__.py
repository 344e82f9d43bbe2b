"""edgeqa: short answers cut from your text, on the device, without a network.

    import edgeqa

    with edgeqa.open() as qa:
        answer = qa.ask("Who designed the machine?", "The machine was designed by Charles Babbage.")
        print(answer.text, answer.probability)

Importing edgeqa is cheap: each name below is loaded from its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeqa.answer import Answer, Candidate
    from edgeqa.cache import Cache
    from edgeqa.cache.memoizing import memoize
    from edgeqa.capabilities.probe import probe
    from edgeqa.compat.answering import pipeline
    from edgeqa.errors import BundleError, CapabilityError, ContextError, EdgeQAError, QuestionError
    from edgeqa.runtime import EdgeQA, open

_HOMES = {
    "Answer": "answer",
    "BundleError": "errors",
    "Cache": "cache",
    "Candidate": "answer",
    "CapabilityError": "errors",
    "ContextError": "errors",
    "EdgeQA": "runtime",
    "EdgeQAError": "errors",
    "QuestionError": "errors",
    "memoize": "cache.memoizing",
    "open": "runtime",
    "pipeline": "compat.answering",
    "probe": "capabilities.probe",
}

__all__ = [
    "Answer",
    "BundleError",
    "Cache",
    "Candidate",
    "CapabilityError",
    "ContextError",
    "EdgeQA",
    "EdgeQAError",
    "QuestionError",
    "memoize",
    "open",
    "pipeline",
    "probe",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module has names of any type
    if name == "__version__":
        from importlib.metadata import version

        return version("edgeqa")
    if name not in _HOMES:
        raise AttributeError(f"module 'edgeqa' has no attribute {name!r}")  # noqa: EM102 - Python's own wording
    return getattr(importlib.import_module(f"edgeqa.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

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
    from edgeqa.answer import Answer, Candidate, ClosePassage
    from edgeqa.asking.named import AnswerNameInvalid
    from edgeqa.asking.surroundings import Shown
    from edgeqa.asynchronous import AsyncEdgeQA, aopen
    from edgeqa.cache import Cache, memoize
    from edgeqa.capabilities.probe import probe
    from edgeqa.collection.adding import Added
    from edgeqa.collection.carrying import export_collection, import_collection
    from edgeqa.collection.errors import ContextGone
    from edgeqa.collection.overview import CollectionInfo, ListedDocument, collections, delete_collection
    from edgeqa.compat import pipeline
    from edgeqa.compat.calls import TaskUnknown
    from edgeqa.counting import Counters
    from edgeqa.errors import (
        BundleError,
        BundleSelfTestFailed,
        CacheError,
        CacheKeyInvalid,
        CacheValueInvalid,
        CapabilityError,
        CarefulReaderMissing,
        ClusterError,
        CollectionError,
        ComputationFailed,
        ContextError,
        EdgeQAError,
        EventLoopBlocked,
        FunctionUnknown,
        NotEnoughMemory,
        OptionError,
        PipelineError,
        QuestionError,
    )
    from edgeqa.runtime import EdgeQA, open

_HOMES = {  # the module of each name that is not in `errors`
    "Added": "collection.adding",
    "Answer": "answer",
    "AnswerNameInvalid": "asking.named",
    "AsyncEdgeQA": "asynchronous",
    "Cache": "cache",
    "Candidate": "answer",
    "ClosePassage": "answer",
    "CollectionInfo": "collection.overview",
    "ContextGone": "collection.errors",
    "Counters": "counting",
    "EdgeQA": "runtime",
    "ListedDocument": "collection.overview",
    "Shown": "asking.surroundings",
    "TaskUnknown": "compat.calls",
    "aopen": "asynchronous",
    "collections": "collection.overview",
    "delete_collection": "collection.overview",
    "export_collection": "collection.carrying",
    "import_collection": "collection.carrying",
    "memoize": "cache",
    "open": "runtime",
    "pipeline": "compat",
    "probe": "capabilities.probe",
}

__all__ = [
    "Added",
    "Answer",
    "AnswerNameInvalid",
    "AsyncEdgeQA",
    "BundleError",
    "BundleSelfTestFailed",
    "Cache",
    "CacheError",
    "CacheKeyInvalid",
    "CacheValueInvalid",
    "Candidate",
    "CapabilityError",
    "CarefulReaderMissing",
    "ClosePassage",
    "ClusterError",
    "CollectionError",
    "CollectionInfo",
    "ComputationFailed",
    "ContextError",
    "ContextGone",
    "Counters",
    "EdgeQA",
    "EdgeQAError",
    "EventLoopBlocked",
    "FunctionUnknown",
    "ListedDocument",
    "NotEnoughMemory",
    "OptionError",
    "PipelineError",
    "QuestionError",
    "Shown",
    "TaskUnknown",
    "aopen",
    "collections",
    "delete_collection",
    "export_collection",
    "import_collection",
    "memoize",
    "open",
    "pipeline",
    "probe",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module has names of any type
    if name == "__version__":
        from importlib.metadata import version

        return version("edgeqa")
    if name == "models":  # it is a package, and its functions are offered
        return importlib.import_module("edgeqa.models")
    if name not in __all__:
        raise AttributeError(f"module 'edgeqa' has no attribute {name!r}")  # noqa: EM102 - Python's own wording
    return getattr(importlib.import_module(f"edgeqa.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

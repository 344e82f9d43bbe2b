"""What goes through the pipeline of `adding`, in the order in which it is written: values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from edgeqa.collection.layout import Layout
    from edgeqa.collection.rows import SourceRow
    from edgeqa.contexts.windows import Window
    from edgeqa.errors import EdgeQAError
    from edgeqa.models.readers import Encoding


@dataclass(frozen=True, slots=True)
class SourceBegins:
    """A file that is new, or changed."""

    path: bytes
    name: str
    digest: bytes
    window_tokens: int
    reader: str
    """What reads it, and of which version."""
    splitter: int
    """Which version cuts it into contexts."""
    size_bytes: int = 0
    """Size of the file; 0 where it is not read."""


@dataclass(frozen=True, slots=True)
class DocumentBegins:
    """A document of it."""

    suffix: str
    title: str
    resumed: bool


@dataclass(slots=True)
class ContextMade:
    """A context of that."""

    passage: Window
    layout: Layout
    encoding: Encoding | None = field(default=None)


@dataclass(frozen=True, slots=True)
class DocumentEnds:
    """The document is whole."""


@dataclass(frozen=True, slots=True)
class SourceEnds:
    """The file is whole."""

    waits: bool = False
    """Whether it is to take the place of what was there only together with all others."""
    is_reread: bool = False
    """Whether it has not changed since an older reader or splitter read it."""


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """The file cannot be read to its end."""

    name: str
    error: EdgeQAError
    begun: bool
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class SourceUnchanged:
    """The file is there already, as it is."""

    path: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SourceGone:
    """The file is not there any more."""

    source: SourceRow


Event: TypeAlias = (
    "SourceBegins | DocumentBegins | ContextMade | DocumentEnds | SourceEnds | SourceFailed | SourceUnchanged | "
    "SourceGone"
)

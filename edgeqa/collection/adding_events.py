"""What goes through the pipeline of `adding`, as it is to be written, and what was done in the end: values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from edgeqa.collection.catalogue_rows import SourceRow
    from edgeqa.collection.damage import Damage
    from edgeqa.collection.shard_format import TokenGroups
    from edgeqa.contexts.windows import Window
    from edgeqa.errors import EdgeQAError
    from edgeqa.formats.folders import Skipped
    from edgeqa.models.readers import Encoding

MAX_SKIPPED = 100  # named; a folder may hold any number of pictures
MAX_ENDINGS = 1000  # counted apart


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
    groups: TokenGroups
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


@dataclass(slots=True)
class Added:
    """What one `add` or `sync` did. Files are counted, not listed: there may be a million."""

    collection: str
    """Name of the collection."""
    files_added: int = 0
    files_changed: int = 0
    files_reread: int = 0
    """How many have not changed, and were read anew because an older version of their reader had read them."""
    files_unchanged: int = 0
    files_removed: int = 0
    files_re_encoded: int = 0
    """How many were made anew from the text that the collection holds."""
    documents: int = 0
    """How many documents were added."""
    contexts: int = 0
    """How many contexts were added."""
    encoded: int = 0
    """How many of them with an encoding."""
    failed: list[tuple[str, EdgeQAError]] = field(default_factory=list)
    """Files that could not be read, each with what is wrong."""
    skipped: list[Skipped] = field(default_factory=list)
    """What was left out of folders, the first of it; `skipped_count` counts all."""
    skipped_count: int = 0
    skipped_kinds: dict[str, dict[str, int]] = field(default_factory=dict)
    """By reason, then by ending, how many files and folders were left out for nothing but their kind or name."""
    piped: list[str] = field(default_factory=list)
    """What the texts that came through pipes are called in the collection."""
    damaged: list[Damage] = field(default_factory=list)
    """Shards that are still damaged: the files of their documents were not among those that were added."""
    timings_ms: dict[str, float] = field(default_factory=dict)
    """Time by step; the steps overlap."""

    def skip(self, skipped: Skipped) -> None:
        """Notes something that was left out."""
        self.skipped_count += 1
        if skipped.is_kind:
            counts = self.skipped_kinds.setdefault(skipped.reason, {})
            ending = skipped.ending if skipped.ending in counts or len(counts) < MAX_ENDINGS else ".*"
            counts[ending] = counts.get(ending, 0) + 1
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(skipped)

    @property
    def files_done(self) -> int:
        """How many files the collection now holds as they are, or has dropped."""
        return self.files_added + self.files_changed + self.files_reread + self.files_unchanged + self.files_removed

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        kinds = ("added", "changed", "reread", "unchanged", "removed", "re_encoded")
        files = [f"files_{kind}" for kind in kinds]
        return {
            "collection": self.collection,
            **{name: getattr(self, name) for name in (*files, "documents", "contexts", "encoded")},
            "failed": [{"name": name, "error": str(error), "hint": error.hint} for name, error in self.failed],
            "skipped": [{"name": s.name, "reason": s.reason} for s in self.skipped],
            "skipped_count": self.skipped_count,
            "skipped_kinds": self.skipped_kinds,
            "piped": list(self.piped),
            "damaged": [d.to_json() for d in self.damaged],
            "timings_ms": {step: round(ms, 3) for step, ms in self.timings_ms.items()},
        }

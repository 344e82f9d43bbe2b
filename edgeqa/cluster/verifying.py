"""Verifying: this module reads all documents in Valkey, and reports damaged ones and tags without a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeqa.cluster.membership import living, unserved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeqa.cluster.documents import Documents, StoredDocument
    from edgeqa.cluster.membership import Membership

AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class ClusterVerified:
    """The report on a whole cluster."""

    documents: int
    contexts: int
    damaged: tuple[str, ...]
    """One line for each damaged document; adding its file again mends it."""
    unserved: tuple[str, ...]
    """Tags that no worker serves."""
    workers: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damaged

    def to_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {
            "sound": self.sound,
            "documents": self.documents,
            "contexts": self.contexts,
            "damaged": list(self.damaged),
            "unserved": list(self.unserved),
            "workers": list(self.workers),
        }


def _blocks(every: Iterable[tuple[str, StoredDocument]]) -> Iterator[list[tuple[str, StoredDocument]]]:
    """Yields documents that have some hundred passages together, to be read at once."""
    block: list[tuple[str, StoredDocument]] = []
    for one in every:
        block.append(one)
        if len(block) >= AT_ONCE or sum(document.contexts for _, document in block) >= AT_ONCE:
            yield block
            block = []
    if block:
        yield block


def verified(documents: Documents, membership: Membership) -> ClusterVerified:
    """Reads all documents; returns a report.

    Raises:
        ClusterError: if it cannot be read.
    """
    tags = documents.tags()
    damaged, count, contexts = [], 0, 0
    for some in _blocks((tag, one) for tag, listed in documents.of_tags(tags) for one in listed):
        count += len(some)
        contexts += sum(one.contexts for _, one in some)
        for (tag, one), found in zip(some, documents.digests(some), strict=True):
            if found != one.digest:
                damaged.append(f"{one.name} ({tag}): its passages are not those that were written")
    members = living(membership)
    return ClusterVerified(
        count, contexts, tuple(damaged), tuple(unserved(tags, members)), tuple(member.shown for member in members)
    )

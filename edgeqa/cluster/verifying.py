"""Reading all that lies in Valkey: what is not as it was written, and what nobody serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeqa.cluster.membership import living, unserved

if TYPE_CHECKING:
    from edgeqa.cluster.documents import Documents
    from edgeqa.cluster.membership import Membership


@dataclass(frozen=True, slots=True)
class ClusterVerified:
    """What reading all of a cluster has found."""

    documents: int
    contexts: int
    damaged: tuple[str, ...]
    """A line for each document that is not as it was written; adding its file again mends it."""
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


def verified(documents: Documents, membership: Membership) -> ClusterVerified:
    """Reads all; returns what was found.

    Raises:
        ClusterError: if it cannot be read.
    """
    tags = documents.tags()
    damaged, count, contexts = [], 0, 0
    for tag, some in documents.of_tags(tags):
        for one in some:
            count += 1
            contexts += one.contexts
            if documents.digest(tag, one) != one.digest:
                damaged.append(f"{one.name} ({tag}): its passages are not those that were written")
    members = living(membership)
    return ClusterVerified(
        count, contexts, tuple(damaged), tuple(unserved(tags, members)), tuple(member.shown for member in members)
    )

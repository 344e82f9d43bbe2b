"""Folders: what Valkey knows of each folder of files: which of them were added, and which tag each document has.

In: names of files and documents. Out: what was noted of a file, and tags. All keys of a folder are in the slot of its
first tag. Notes wait until something is asked, and are sent along: a round trip takes longer than all that a server
does for a file. If the last notes are lost, their files are read again, which changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeqa.cluster import keys
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeqa.cluster.valkey import Valkey


class Folders:
    """The folders of one run. For one thread."""

    def __init__(self, valkey: Valkey) -> None:
        self._valkey = valkey
        self._notes: list[tuple[str, tuple[Any, ...]]] = []
        self._placed: dict[str, tuple[int | None, int, int]] = {}
        """What `_place` looks at, of the document that is called as the last file."""

    def noted(self, file: str) -> bytes | None:
        """Returns what was last noted of a file; None if nothing was.

        Raises:
            ClusterError: if it cannot be read, or a note that waited cannot be written.
        """
        sources = keys.of_folder(file, "sources")
        known, *placed = self._asked((sources, ("HGET", sources, file)), *_place(file))
        self._placed = {file: _numbers(placed)}
        return None if known is None else bytes(known)

    def known(self, files: Sequence[str]) -> dict[str, bytes | None]:
        """Returns what was last noted of each of some files."""
        at = [(keys.of_folder(file, "sources"), file) for file in files]
        return dict(zip(files, self._asked(*((key, ("HGET", key, file)) for key, file in at)), strict=True))

    def note(self, file: str, what: bytes) -> None:
        """Notes something of a file; it waits for what is asked next, or `settle`."""
        sources = keys.of_folder(file, "sources")
        self._notes.append((sources, ("HSET", sources, file, what)))

    def forget(self, file: str) -> None:
        """Deletes what was noted of a file."""
        sources = keys.of_folder(file, "sources")
        self._asked((sources, ("HDEL", sources, file)))

    def settle(self) -> None:
        """Writes the notes that wait.

        Raises:
            ClusterError: if they cannot be written.
        """
        if self._notes:
            self._asked()

    def tags(self, file: str) -> list[str]:
        """Returns all tags of a file's folder."""
        opened = keys.of_folder(file, "open")
        (last,) = self._asked((opened, ("GET", opened)))
        return [keys.tag_of(keys.folder_of(file), number) for number in range(int(last or 0) + 1)]

    def tag_for(self, document: str, contexts: int) -> str:
        """Returns the tag of a document: the one where it lies, or one of its folder with room for it.

        The choice is made once: two processes that add the document at the same time get the same tag.
        """
        folder = keys.folder_of(document)
        known = self._placed.get(document) or _numbers(self._asked(*_place(document)))
        place, number, held = known
        if place is None:
            if number:  # what is known is how many passages the first tag has
                held = self._contexts(keys.tag_of(folder, number))
            while held and held + contexts > keys.PASSAGES_A_TAG:
                number += 1
                opened = keys.of_folder(document, "open")
                held = self._contexts(keys.tag_of(folder, number), (opened, ("SET", opened, number)))
            places = keys.of_folder(document, "places")
            _, chosen = self._asked(
                (places, ("HSETNX", places, document, number)), (places, ("HGET", places, document))
            )
            place = int(chosen or number)
        return keys.tag_of(folder, place)

    def _contexts(self, tag: str, *commands: tuple[str, tuple[Any, ...]]) -> int:
        """Returns how many passages a tag has; runs other commands before it asks."""
        count = keys.of_tag(tag, "contexts")
        return int(self._asked(*commands, (count, ("GET", count)))[-1] or 0)

    def _asked(self, *commands: tuple[str, tuple[Any, ...]]) -> list[Any]:
        """Writes the notes that wait, and returns the replies to commands."""
        notes, self._notes = self._notes, []
        found = self._valkey.many([*notes, *commands])
        for one in found:
            if isinstance(one, ClusterError):
                raise one
        return found[len(notes) :]


def _place(document: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Returns commands for the tag that a document has, the last tag of its folder, and the passages of the first."""
    places, opened = keys.of_folder(document, "places"), keys.of_folder(document, "open")
    count = keys.of_tag(keys.tag_of(keys.folder_of(document), 0), "contexts")
    return [(places, ("HGET", places, document)), (opened, ("GET", opened)), (count, ("GET", count))]


def _numbers(replies: list[Any]) -> tuple[int | None, int, int]:
    place, number, held = replies
    return (None if place is None else int(place)), int(number or 0), int(held or 0)

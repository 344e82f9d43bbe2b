"""Turns: which tags a worker looks at in its next step: all, as long as they are few, else by turns. Pure.

In: tags, and those that have changed. Out: the tags of the next step. A worker looks twenty times a second, with two
commands for each tag, also where nothing happens for weeks: so that what this takes does not rise with the folders of a
cluster, a step has a limited number of tags. What changed lately is likely to change again, and is in each step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

AT_ONCE = 64
"""So many of the new tags and those that changed last are in a step, and so many of all, by turns."""


class Turns:
    """The turns of one worker. For one thread."""

    def __init__(self) -> None:
        self._lately: dict[str, None] = {}
        """The tags that changed last, the last one at the end."""
        self._place = 0

    def note(self, tag: str) -> None:
        """Notes that a tag has changed."""
        self._lately.pop(tag, None)
        self._lately[tag] = None
        if len(self._lately) > AT_ONCE:
            del self._lately[next(iter(self._lately))]

    def next(self, tags: Sequence[str], known: Container[str]) -> list[str]:
        """Returns the tags of the next step.

        Args:
            tags: all tags.
            known: those of them that are indexed already; the others are new, and come first.
        """
        if len(tags) <= 2 * AT_ONCE:
            return list(tags)
        there = set(tags)
        first = [tag for tag in tags if tag not in known] + [tag for tag in reversed(self._lately) if tag in there]
        place = self._place % len(tags)
        self._place = place + AT_ONCE
        others = [*tags[place : place + AT_ONCE], *tags[: max(0, place + AT_ONCE - len(tags))]]
        return list(dict.fromkeys([*first[:AT_ONCE], *others]))

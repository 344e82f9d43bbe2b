"""Callers: who asks, what they may do, and how long they wait. Pure.

A caller has scopes: `ask` to ask and to look, `add` to change collections, `admin` for what is about the server itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeqa.serving.errors import NotAllowed

MAX_QUESTION_CHARACTERS, MAX_NAME_CHARACTERS = 4096, 8192
DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S = 10.0, 60.0  # how long a caller waits for an answer
Reader = Literal["fast", "careful", "auto"]
"""The reader that decides, as for `edgeqa.open`."""
ASK, ADD, ADMIN = SCOPES = ("ask", "add", "admin")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks."""

    name: str
    """The name of the token, or the address; callers of one name share one turn."""
    scopes: frozenset[str] = frozenset((ASK,))
    way: str = "http"
    """The protocol: "http", "redis", "mcp" or "wyoming"; questions are counted by it."""

    def require(self, scope: str) -> None:
        """Does nothing.

        Raises:
            NotAllowed: if the caller does not have the scope.
        """
        if scope not in self.scopes:
            raise NotAllowed(scope, self.name)


def scopes_up_to(scope: str) -> frozenset[str]:
    """Returns a scope with those that it includes: `add` includes `ask`, and `admin` includes both."""
    return frozenset(SCOPES[: SCOPES.index(scope) + 1])

"""Errors of the server: each says why a request was refused, and what to do. Other faults have edgeqa's own errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgeqa.errors import EXIT_USAGE, EdgeQAError

if TYPE_CHECKING:
    from collections.abc import Iterable


class ServingError(EdgeQAError):
    """The server refused a request, though nothing is wrong with the texts or the device."""

    exit_code = EXIT_USAGE


class Refused(ServingError):
    """Too much work is waiting: the request could not be answered in time, and was not begun."""

    def __init__(self, retry_after_s: float, reason: str = "too many questions are waiting to be read") -> None:
        self.retry_after_s = max(1, math.ceil(retry_after_s))
        """The number of whole seconds after which the caller may try again."""
        super().__init__(reason, f"ask again in {self.retry_after_s} s")


class Draining(Refused):
    """The server is being stopped."""

    def __init__(self) -> None:
        super().__init__(5, "the server is being stopped")


class DeadlinePassed(ServingError):
    """The answer was not there in time. The reading goes on to its end, so that a later request may find the answer."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"no answer within {timeout_s:g} s", "ask again, or allow more: timeout_s, up to 60")


class NotAllowed(ServingError):
    """The caller may not do this."""

    def __init__(self, scope: str, caller: str) -> None:
        self.scope = scope
        super().__init__(
            f"{caller} may not do this: it needs the scope {scope}",
            f"give a token of that scope (edgeqa serve token add NAME --scope {scope})"
            + (", or start the server with --allow-add" if scope == "add" else ""),
        )


class TokenUnknown(ServingError):
    """The server does not know the token that was given."""

    def __init__(self) -> None:
        super().__init__("this token is not known here", "give one that `edgeqa serve token add` has printed")


class TokenMissing(TokenUnknown):
    """No token was given where one is needed."""

    def __init__(self) -> None:
        ServingError.__init__(
            self, "a token is needed here", "give one that `edgeqa serve token add` has printed: Authorization: Bearer"
        )


class CollectionNotServed(ServingError, LookupError):
    """The server does not serve a collection of this name."""

    def __init__(self, name: object, known: Iterable[str]) -> None:
        super().__init__(f"no collection called {name} is served here", f"there are: {', '.join(known)}")


class NameInSeveral(ServingError):
    """More than one collection has an answer of this name."""

    def __init__(self, name: str, collections: Iterable[str]) -> None:
        super().__init__(f"in more than one collection: {name}", f"name one of them: {', '.join(collections)}")


class RequestInvalid(ServingError, ValueError):
    """A request, or a setting of the server, cannot be understood."""


class ValueOutOfRange(RequestInvalid):
    """The value of a field in a request is impossible."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(f"{name} cannot be {value!r}", f"{name} is {expected}")


class HostRefused(ServingError):
    """A request was made to a name that this server does not answer to: a page elsewhere may be trying to use it."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"this server does not answer to the name {host}",
            f"use its address, or start it with --allow-host {host or 'NAME'}",
        )


class OriginRefused(ServingError):
    """A page of another site made the request."""

    def __init__(self, origin: str) -> None:
        super().__init__(f"a page of {origin} may not do this", "open this server's own page")


class TooLarge(ServingError):
    """A body is larger than it may be."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"the body is larger than {most_bytes} bytes", "send less, in several requests")


class TooSlow(ServingError):
    """A body did not come within the time that it may take."""

    def __init__(self, most_s: float) -> None:
        super().__init__(f"the body was not there within {most_s:g} s", "send it without a pause")


class TooManyTries(Refused):
    """Too many wrong tokens came from one address."""

    def __init__(self) -> None:
        super().__init__(1, "too many wrong tokens came from this address")


class DocumentNameInvalid(RequestInvalid):
    """No document can have this name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"not a name for a document: {name!r}: {reason}",
            "use a name as manuals/pump.md: no .., no hidden parts, not from the root",
        )


class NotSafe(ServingError):
    """The server would be open to other machines, without a rule for who may ask."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} can be reached from other machines, and nothing says who may ask",
            "make a token: edgeqa serve token add NAME --scope ask; or let anybody ask: --no-auth",
        )


class VoiceNotSafe(ServingError):
    """Other machines could ask by voice, and could not show a token."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} can be reached from other machines, and the Wyoming protocol has no tokens",
            "let anybody ask who can connect, and nobody add: --no-auth; or listen at 127.0.0.1",
        )


class AddressInvalid(ServingError, ValueError):
    """A server cannot listen at this address."""

    def __init__(self, value: str, reason: str) -> None:
        hint = "give an address of this machine (--host) and a free port: --port 0 takes any, --redis has its own"
        super().__init__(f"cannot listen at {value}: {reason}", hint)


class ExtraMissing(ServingError):
    """A library that the server needs is not installed."""

    def __init__(self, module: str) -> None:
        super().__init__(f"serving needs {module}, which is not installed", "pip install 'edgeqa[serve]'")

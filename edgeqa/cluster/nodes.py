"""Nodes: requests between workers, and from clients to workers: to search an index, and to read a passage.

In: a question; or an address, with the digest of the passage that is meant. Out: the terms that passages share with the
question; or spans and scores. The question is the only text that is sent: a client takes texts from Valkey, and a
worker reads its own. Requests are signed with a secret that lies in Valkey, so that whoever may read in Valkey may ask
a worker; the secret itself is never sent. A request is valid for a minute by the clock of the worker that is asked,
whose entry says what time it is there: the clocks of a cluster may differ. A worker whose entry says that it speaks TLS
is asked so alone, and only if its certificate is for the host that the entry names.
"""

from __future__ import annotations

import hmac
import http.client
import secrets
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from edgeqa import forking
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeqa.cluster.documents import Documents
    from edgeqa.cluster.membership import Member

PREFIX = "/v1/cluster/"
SIGNATURE = "x-edgeqa-signature"
_VALID_S = 60
CONNECT_S, SEARCH_S, READ_S = 1.0, 5.0, 10.0
MAX_BODY_BYTES = 1 << 20
T = TypeVar("T")


class Search(msgspec.Struct, frozen=True):
    """A question to search for."""

    question: str
    terms: tuple[str, ...]
    most: int
    within: tuple[str, ...] = ()
    """Names of files, folders and documents, and nothing else is looked at; () to look at all."""


class Found(msgspec.Struct, frozen=True):
    """A passage that was found."""

    document: str
    tag: str
    number: int
    digest: str
    in_text: dict[str, int]
    in_heading: dict[str, int]
    text_terms: int
    heading_terms: int


class SearchReply(msgspec.Struct, frozen=True):
    """The result of a search."""

    content: str
    """The digest of the index that was searched, as in `Member.content`."""
    found: tuple[Found, ...]
    contexts: int = 0
    """The number of passages that were looked at, if not all were."""
    known: tuple[str, ...] = ()
    """The names of `Search.within` under which something is here."""
    slots: tuple[tuple[int, int], ...] | None = None
    """Ranges of the slots that it served all the while; None from a worker that does not say."""


class Read(msgspec.Struct, frozen=True):
    """A passage to read."""

    question: str
    """The question as it is read, with misspelt words mended."""
    document: str
    tag: str
    number: int
    digest: str
    top: int


class ReadReply(msgspec.Struct, frozen=True):
    """The places of its answers; None if there is no such passage."""

    places: tuple[tuple[int, int, float], ...] | None


class NodeSilent(ClusterError):
    """A worker did not answer."""

    def __init__(self, node: str, reason: str, hint: str = "its slots are taken over within 10 s; ask again") -> None:
        super().__init__(f"the worker {node} did not answer: {reason}", hint)


class NodeNotTrusted(NodeSilent):
    """A worker's certificate is not one that is trusted, or is for another host."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(
            node,
            reason,
            "name the file of the certificate that vouches for it: valkeys://HOST:PORT?ca=FILE; it has to be for the "
            "host of edgeqa worker --advertise",
        )


class Node(Protocol):
    """A worker that is asked."""

    def search(self, message: Search) -> SearchReply:
        """Searches."""

    def read(self, message: Read) -> ReadReply:
        """Reads."""


class Secrets:
    """The secrets that sign requests."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._known: tuple[bytes, ...] = ()
        self.said_s: int | None = None
        """In a worker: the time in its entry in Valkey, which gets old where a server is full."""

    def known(self, *, anew: bool = False) -> tuple[bytes, ...]:
        """Returns the secrets in Valkey; makes one if there is none.

        Raises:
            ClusterError: if Valkey does not answer.
        """
        if not self._known or anew:
            found = [one for one in self._documents.anywhere("secret", "GET") if one]
            if not found:
                self._documents.everywhere(("secret", "SET", secrets.token_hex(32), "NX"))
                found = [one for one in self._documents.anywhere("secret", "GET") if one]
            self._known = tuple(dict.fromkeys(found))
        return self._known

    def sign(self, path: str, body: bytes, now_s: int) -> str:
        """Returns the signature of a request, made at a time by the clock of the worker that is asked."""
        now = str(now_s)
        return f"{now}:{_signed(self.known()[0], now, path, body)}"

    def is_good(self, signature: str, path: str, body: bytes) -> bool:
        """Tells whether the sender of a request knows a secret, and the request is not old."""
        now, _, given = signature.partition(":")
        here_s = time.time()
        if not now.isdecimal() or not min(here_s, self.said_s or here_s) - _VALID_S <= int(now) <= here_s + _VALID_S:
            return False
        for anew in (False, True):
            if any(hmac.compare_digest(_signed(one, now, path, body), given) for one in self.known(anew=anew)):
                return True
        return False


def _signed(secret: bytes, now: str, path: str, body: bytes) -> str:
    return hmac.new(secret, b"\0".join((now.encode(), path.encode(), body)), "sha256").hexdigest()


class RemoteNode:
    """Another worker, asked over HTTP; its connections are kept open."""

    def __init__(self, member: Member, secrets: Secrets, trusted: Callable[[], ssl.SSLContext]) -> None:
        """Prepares to connect.

        Args:
            member: the worker.
            secrets: the secrets that sign requests.
            trusted: a function that returns the settings of TLS, for a worker that speaks it.
        """
        self._secrets, self._trusted = secrets, trusted
        self.meet(member)
        self._free: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        forking.tell(self)

    def forked(self) -> None:
        """Leaves the connections to the parent: a forked child would read what is replied to that."""
        self._lock, self._free = threading.Lock(), []

    def meet(self, member: Member) -> None:
        """Takes note of the worker's newest entry, and so of its clock, which may differ from that of this machine."""
        self._member, self._met = member, time.monotonic()

    def search(self, message: Search) -> SearchReply:
        """Searches; raises NodeSilent."""
        return self._asked("search", message, SearchReply, SEARCH_S)

    def read(self, message: Read) -> ReadReply:
        """Reads; raises NodeSilent."""
        return self._asked("read", message, ReadReply, READ_S)

    def _asked(self, what: str, message: Any, kind: type[T], reply_s: float) -> T:  # noqa: ANN401 - one of the above
        body = msgspec.json.encode(message)
        path = PREFIX + what
        now_s = int(self._member.now_s + time.monotonic() - self._met)
        headers = {"Content-Type": "application/json", SIGNATURE: self._secrets.sign(path, body, now_s)}
        with self._lock:
            connection = self._free.pop() if self._free else None
        for _ in range(2):
            is_kept = connection is not None
            if connection is None:
                connection = self._new_connection()
            try:
                if connection.sock is None:
                    connection.connect()
                connection.sock.settimeout(reply_s)
                connection.request("POST", path, body, headers)
                response = connection.getresponse()
                said = response.read()
            except ssl.SSLCertVerificationError as error:
                connection.close()
                raise NodeNotTrusted(self._member.shown, error.verify_message or str(error)) from error
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = None
                if is_kept:  # a kept connection may have been closed meanwhile
                    continue
                raise NodeSilent(self._member.shown, str(error) or type(error).__name__) from error
            if response.status != http.HTTPStatus.OK:
                connection.close()
                raise NodeSilent(self._member.shown, f"{response.status} {said[:200].decode(errors='replace')}")
            with self._lock:
                self._free.append(connection)
            try:
                return msgspec.json.decode(said, type=kind)
            except msgspec.DecodeError as error:
                raise NodeSilent(self._member.shown, f"not what a worker says: {error}") from error
        raise NodeSilent(self._member.shown, "it hangs up")

    def _new_connection(self) -> http.client.HTTPConnection:
        if self._member.tls:
            return http.client.HTTPSConnection(*self._member.http, timeout=CONNECT_S, context=self._trusted())
        return http.client.HTTPConnection(*self._member.http, timeout=CONNECT_S)

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            for connection in self._free:
                connection.close()
            self._free.clear()

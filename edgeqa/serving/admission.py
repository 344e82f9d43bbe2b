"""Admission: it decides who may come in, for all protocols.

In: the address of a client, and the token that it shows. Out: a `Caller`. Without a token, a client may ask if only
this machine can connect, or with `--no-auth`; it may change something only with `--allow-add`. A wrong token is an
error, and is never treated as no token.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from edgeqa.serving.callers import ADD, ASK, Caller, scopes_up_to
from edgeqa.serving.errors import NotSafe, TokenMissing, TokenUnknown, TooManyTries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeqa.serving.tokens import Tokens

MAX_WRONG, WRONG_WITHIN_S = 5, 1.0  # after so many wrong tokens, an address must wait
MAX_PEERS = 1024  # the wrong tokens of so many addresses are counted


class Admission:
    """The server's rules for who may come in."""

    def __init__(self, tokens: Tokens | None = None, *, no_auth: bool = False, allow_add: bool = False) -> None:
        """Makes the rules.

        Args:
            tokens: the known tokens; None for none.
            no_auth: whether anybody may ask, from anywhere.
            allow_add: whether a caller who may ask may also add.
        """
        self.tokens, self._no_auth, self._allow_add = tokens, no_auth, allow_add
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check_addresses(self, hosts: Iterable[str]) -> None:
        """Checks the rules against the address.

        Raises:
            NotSafe: if other machines could connect, and no rule says who they may be.
        """
        for host in hosts:
            if not self._no_auth and self.tokens is None and not is_loopback(host):
                raise NotSafe(host)

    def caller(self, way: str, peer: str, token: str | None, *, is_local: bool) -> Caller:
        """Returns the caller behind a connection.

        Args:
            way: the protocol, as in `Caller.way`.
            peer: the client's address; "unix" for a Unix socket.
            token: the token that it shows; None for none.
            is_local: whether only this machine can connect to the socket: a loopback address or a Unix socket.

        Raises:
            TooManyTries: if too many wrong tokens came from there a moment ago.
            TokenUnknown: for a wrong token, or none where one is needed.
        """
        if token is not None:
            known = self.tokens.find(token) if self.tokens is not None else None
            if known is None:
                self._note_wrong(peer)
                raise TokenUnknown
            return Caller(known.name, self._scopes(known.scope), way)
        if is_local or self._no_auth:
            return Caller(peer, self._scopes(ASK), way)
        raise TokenMissing

    def _scopes(self, scope: str) -> frozenset[str]:
        scopes = scopes_up_to(scope)
        return scopes | {ADD} if self._allow_add else scopes

    def _note_wrong(self, peer: str) -> None:
        """Counts a wrong token.

        Raises:
            TooManyTries: if there were too many a moment ago.
        """
        since_s, wrong = self._wrong.pop(peer, (0.0, 0))
        now_s = time.monotonic()
        since_s, wrong = (since_s, wrong + 1) if now_s < since_s + WRONG_WITHIN_S else (now_s, 1)
        self._wrong[peer] = since_s, wrong
        if len(self._wrong) > MAX_PEERS:
            self._wrong.popitem(last=False)
        if wrong > MAX_WRONG:
            raise TooManyTries


def is_loopback(host: str) -> bool:
    """Tells whether only this machine can connect to an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

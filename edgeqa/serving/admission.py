"""Who is let in, by which protocol ever: where somebody comes from and what token is shown in, a `Caller` out.

Without a token one may ask where this machine alone can connect, or where `--no-auth` says so, and do nothing else but
where `--allow-add` says so. A token that is wrong is never taken for none.
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

MAX_WRONG, WRONG_WITHIN_S = 5, 1.0  # wrong tokens from one address; then it is told to wait
MAX_PEERS = 1024  # whose wrong tokens are counted


class Admission:
    """What the server was told about who may come in."""

    def __init__(self, tokens: Tokens | None = None, *, no_auth: bool = False, allow_add: bool = False) -> None:
        """Lets in who shows a token of `tokens`.

        Args:
            tokens: that are known; None for none.
            no_auth: whether anybody may ask, from wherever.
            allow_add: whether who may ask may add, too.
        """
        self.tokens, self._no_auth, self._allow_add = tokens, no_auth, allow_add
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def check_addresses(self, hosts: Iterable[str]) -> None:
        """Does nothing.

        Raises:
            NotSafe: if others than this machine could connect, and nothing was said of who they may be.
        """
        for host in hosts:
            if not self._no_auth and self.tokens is None and not is_loopback(host):
                raise NotSafe(host)

    def caller(self, way: str, peer: str, token: str | None, *, is_local: bool) -> Caller:
        """Returns who somebody is.

        Args:
            way: the protocol, as in `Caller.way`.
            peer: the address that it comes from; "unix" for one of a Unix socket.
            token: what was shown; None for nothing.
            is_local: whether only this machine can connect to where it came in: a loopback address, a Unix socket.

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

"""Tokens: a client shows one to say who it is.

In: a file of names, scopes and hashes. Out: a name and its scope. A token is 32 random bytes, and is shown once. Only
its SHA-256 is kept (a token that nobody can guess needs no slower hash), in a file that only its owner may read.
`admission` decides who may do what.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeqa import files
from edgeqa.serving.callers import SCOPES
from edgeqa.serving.errors import RequestInvalid, ServingError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FORMAT = 1
PREFIX = "edgeqa_"  # so that scanners recognise a token that somebody has written into a repository
# A name can never be an address, so that callers with a token and callers by address stay apart.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token, known only by its hash."""

    name: str
    scope: str
    sha256: str
    """The hash of the token, in hex."""
    added_at: str
    """The time when it was made, in UTC."""


class TokenFileInvalid(ServingError):
    """A token file cannot be read, or others may read it."""

    def __init__(self, path: Path, reason: str, hint: str = "") -> None:
        super().__init__(
            f"cannot use the token file {path}: {reason}",
            hint or "make it with: edgeqa serve token add NAME --scope ask",
        )


class TokenNameInvalid(RequestInvalid):
    """No token can have this name, or there is no token of this name, or there is one already."""


class Tokens:
    """The tokens of a file, as they were when it was last read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._by_hash: dict[str, Token] = {}
        self.reads = 0
        """How often the file was read; a caller found before the last time may be wrong now."""

    def read(self) -> Tokens:
        """Reads the file anew; if it cannot be read, all tokens stay as they were.

        Raises:
            TokenFileInvalid: if it cannot be read, is none, or may be read by others.
        """
        self._by_hash = {token.sha256: token for token in load(self.path)}
        self.reads += 1
        return self

    def __len__(self) -> int:
        return len(self._by_hash)

    def find(self, token: str) -> Token | None:
        """Returns the entry of a token; None if it is not known."""
        digest = _hash(token)
        found = self._by_hash.get(digest)
        # The search is by hash, so that its time tells nothing about a token.
        return found if found is not None and hmac.compare_digest(found.sha256, digest) else None


def load(path: Path) -> list[Token]:
    """Returns the tokens in a file.

    Raises:
        TokenFileInvalid: as `Tokens.read` does.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would block, and a device would never end
            raise TokenFileInvalid(path, "it is not a plain file", f"move it away, or use another one than {path}")
        with files.reading(path) as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise TokenFileInvalid(path, "others than its owner may use it", f"chmod 600 {path}")
            stored = json.load(file)
        if stored["format"] != FORMAT:
            raise TokenFileInvalid(path, f"format {stored['format']!r}, this edgeqa reads format {FORMAT}")
        return [_checked(Token(**fields)) for fields in stored["tokens"]]
    except OSError as error:
        raise TokenFileInvalid(path, error.strerror or str(error)) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise TokenFileInvalid(path, "it is none that edgeqa has written") from error


def add(path: Path, name: str, scope: str) -> str:
    """Makes a token, and keeps its hash; returns the token, which nobody can see again.

    Args:
        path: the file, which is made if there is none.
        name: the name of the token.
        scope: ask, add or admin.

    Raises:
        TokenNameInvalid: if no token can have this name, or another one has it.
        TokenFileInvalid: if the file cannot be read or written.
    """
    if not _NAME.fullmatch(name):
        reason = f"not a name for a token: {name!r}"
        raise TokenNameInvalid(reason, "begin with a letter; then letters, digits, _ and -, at most 64 in all")
    known = load(path) if path.exists() else []
    if any(token.name == name for token in known):
        reason = f"there is a token called {name} already"
        raise TokenNameInvalid(reason, f"remove it first: edgeqa serve token remove {name}")
    token = PREFIX + secrets.token_urlsafe(32)
    added_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    _store(path, [*known, Token(name, scope, _hash(token), added_at)])
    return token


def remove(path: Path, name: str) -> None:
    """Forgets a token.

    Raises:
        TokenNameInvalid: if there is none of this name.
        TokenFileInvalid: if the file cannot be read or written.
    """
    known = load(path)
    kept = [token for token in known if token.name != name]
    if len(kept) == len(known):
        names = ", ".join(token.name for token in known) or "none"
        reason = f"there is no token called {name}"
        raise TokenNameInvalid(reason, f"there are: {names}")
    _store(path, kept)


def _checked(token: Token) -> Token:
    if token.scope not in SCOPES or not _NAME.fullmatch(token.name) or not re.fullmatch("[0-9a-f]{64}", token.sha256):
        raise ValueError(token)
    return token


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _store(path: Path, tokens: Iterable[Token]) -> None:
    stored: dict[str, Any] = {"format": FORMAT, "tokens": [_fields(token) for token in tokens]}
    try:
        files.make_folders(path.parent)
        files.replace_file(path, json.dumps(stored, indent=1).encode(), alone=False, synced=False)
    except OSError as error:
        raise TokenFileInvalid(path, error.strerror or str(error), "see to the permissions of its folder") from error


def _fields(token: Token) -> dict[str, str]:
    return {name: getattr(token, name) for name in Token.__slots__}

"""BLAKE2b, the same as in `hashlib`: `hashlib` loads OpenSSL, which takes 3 ms, and a remembered answer takes 1 ms."""

from __future__ import annotations

try:
    from _blake2 import blake2b as blake2b
except ImportError:
    from hashlib import blake2b as blake2b

"""One decision of a plan: a value and the reason for it, for a person to read. A value type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """One decision."""

    value: T
    reason: str

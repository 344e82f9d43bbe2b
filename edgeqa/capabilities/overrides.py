"""What a user wants of a plan, checked as far as that needs no device. A value type."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from edgeqa.errors import OptionError

Persist = Literal["disk", "memory", "off"]
LEAST_WINDOW_TOKENS = 128  # four times what two windows share: below it, most of a text would be read twice


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user wants instead of the plan's own choice; None leaves it to the plan."""

    threads: int | None = None
    batch_contexts: int | None = None
    window_tokens: int | None = None
    budget_bytes: int | None = None
    answer_cache_bytes: int | None = None
    encoding_store_bytes: int | None = None
    persist: Persist | None = None

    def __post_init__(self) -> None:
        least = {"window_tokens": LEAST_WINDOW_TOKENS, "answer_cache_bytes": 0, "encoding_store_bytes": 0}
        for name, value in self.given().items():
            if name == "persist":
                if value not in get_args(Persist):
                    raise OptionError(name, value, f"one of {', '.join(get_args(Persist))}")
            elif not isinstance(value, int) or isinstance(value, bool) or value < least.get(name, 1):
                raise OptionError(name, value, f"a whole number from {least.get(name, 1)} on")

    def given(self) -> dict[str, object]:
        """Returns the overrides that are there, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

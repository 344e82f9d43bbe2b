"""What a user wants of a plan, checked as far as that needs no device. A value type."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, get_args

from edgeqa.errors import OptionError

Persist = Literal["disk", "memory", "off"]
LEAST_WINDOW_TOKENS = 128  # four times what two windows share: below it, most of a text would be read twice
MOST_BYTES = (1 << 63) - 1  # no device addresses more
THREADS_LIMIT = 256  # more cores than a device has; and where the system refuses a thread, onnxruntime hangs
_LEAST = {"window_tokens": LEAST_WINDOW_TOKENS, "answer_cache_bytes": 0, "encoding_store_bytes": 0}
_MOST = {"threads": THREADS_LIMIT}


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
        for name, value in self.given().items():
            if name == "persist":
                if value not in get_args(Persist):
                    raise OptionError(name, value, f"one of {', '.join(get_args(Persist))}")
                continue
            least, most = _LEAST.get(name, 1), _MOST.get(name, MOST_BYTES)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise OptionError(name, value, f"a whole number from {least} to {most}")

    def given(self) -> dict[str, object]:
        """Returns the overrides that are there, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

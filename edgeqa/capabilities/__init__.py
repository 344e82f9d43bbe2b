"""The device: `probe` reads it, `plan` decides what edgeqa does with it, and `report` shows both.

This module has the user's own settings of a plan (`Overrides`), checked as far as that needs no device, and numbers of
bytes as people write and read them ("256M"). Pure.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, get_args

from edgeqa.errors import OptionError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": 1 << 40}
_SIZE = r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?"
Persist = Literal["disk", "memory", "off"]
Reader = Literal["fast", "careful", "auto"]
NAMED = {"persist": get_args(Persist), "reader": get_args(Reader)}
"""Overrides that are one of several words, and no number."""
MIN_WINDOW_TOKENS = 128  # four times what two windows share: below it, most of a text would be read twice
MAX_BYTES = (1 << 63) - 1  # no device addresses more
MAX_THREADS = 256  # more cores than a device has; and where the system refuses a thread, onnxruntime hangs
_MIN = {"window_tokens": MIN_WINDOW_TOKENS, "answer_cache_bytes": 0, "encoding_store_bytes": 0}
_MAX = {"threads": MAX_THREADS}

_SETTINGS = (
    *("threads", "batch_contexts", "window_tokens", "budget_bytes", "answer_cache_bytes", "encoding_store_bytes"),
    *("persist", "reader", "provider", "mmap"),
)  # in the order in which they are named


class Overrides:
    """The user's settings, which replace the plan's own choices; None leaves a choice to the plan.

    It is no dataclass: to make one takes 0.6 ms more, and every start makes this class.
    """

    __slots__ = _SETTINGS

    def __init__(
        self,
        *,
        threads: int | None = None,
        batch_contexts: int | None = None,
        window_tokens: int | None = None,
        budget_bytes: int | None = None,
        answer_cache_bytes: int | None = None,
        encoding_store_bytes: int | None = None,
        persist: Persist | None = None,
        reader: Reader | None = None,
        provider: str | None = None,
        mmap: bool | None = None,
    ) -> None:
        """Takes the settings.

        Raises:
            OptionError: for one that makes no sense.
        """
        self.threads: Final = threads
        self.batch_contexts: Final = batch_contexts
        self.window_tokens: Final = window_tokens
        self.budget_bytes: Final = budget_bytes
        self.answer_cache_bytes: Final = answer_cache_bytes
        self.encoding_store_bytes: Final = encoding_store_bytes
        self.persist: Final = persist
        self.reader: Final = reader
        self.provider: Final = provider
        """An execution provider of onnxruntime, as people call it; whether there is one is known where it is tried."""
        self.mmap: Final = mmap
        for name, value in self.given().items():
            _check(name, value)

    def given(self) -> dict[str, Any]:
        """Returns the overrides that are there, by name."""
        return {name: value for name in _SETTINGS if (value := getattr(self, name)) is not None}

    def but(self, **others: Any) -> Overrides:  # noqa: ANN401 - as above
        """Returns the same with some that are others."""
        return Overrides(**{**self.given(), **others})


def _check(name: str, value: object) -> None:
    if name == "mmap":
        if not isinstance(value, bool):
            raise OptionError(name, value, "true or false")
    elif name == "provider":
        if not isinstance(value, str) or not value.isidentifier():
            raise OptionError(name, value, "an execution provider's name, as cpu, cuda, openvino")
    elif (words := NAMED.get(name)) is not None:
        if value not in words:
            raise OptionError(name, value, f"one of {', '.join(words)}")
    else:
        least, most = _MIN.get(name, 1), _MAX.get(name, MAX_BYTES)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise OptionError(name, value, f"a whole number from {least} to {most}")


def parse_bytes(text: str, name: str = "size") -> int:
    """Returns the number of bytes that `text` stands for: 1048576, 256M, 1.5G, 64MiB; M and MiB are both 1024 * 1024.

    Raises:
        OptionError: if it stands for none, for no byte at all, or for more than there can be; `name` says in the
            message what it was given for.
    """
    matched = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE | re.ASCII)
    value_bytes = float(matched[1]) * _UNITS[matched[2].lower()] if matched else 0.0
    if not 1 <= value_bytes < MAX_BYTES:
        raise OptionError(name, text, "a number of bytes, as in 256M or 1.5G")
    return int(value_bytes)


def show_bytes(value_bytes: int) -> str:
    """Returns `value_bytes` in the largest unit that keeps it at 1 or above, with at most one decimal."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if value_bytes >= unit:
            return f"{value_bytes / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{value_bytes} B"

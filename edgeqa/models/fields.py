"""A bundle's JSON, taken apart with its types and ranges checked: a text or a JSON object in, plain values out.

Pure. Whatever is not as it is asked for is a `BundleManifestInvalid` that names the file, the field and the value. What
a field means is known to `manifest` and `golden`.
"""

from __future__ import annotations

import json
from reprlib import repr as shortened  # a wrong value may be a megabyte long
from typing import TYPE_CHECKING, Any

from edgeqa.errors import BundleManifestInvalid

if TYPE_CHECKING:
    from collections.abc import Collection
    from os import PathLike

    AnyPath = str | PathLike[str]

MOST = (1 << 31) - 1


def parsed(text: str | bytes, where: AnyPath) -> Any:  # noqa: ANN401 - any JSON value
    """Returns the JSON value in `text`; `where` names it in errors.

    Raises:
        BundleManifestInvalid: if it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleManifestInvalid(where, f"not JSON ({error})") from error


class Fields:
    """A JSON object whose members are taken with their type; each method raises BundleManifestInvalid."""

    def __init__(self, raw: dict[str, Any], where: AnyPath) -> None:
        self.raw, self.where = raw, where

    def text(self, key: str) -> str:
        """Returns a string that can be encoded: JSON may spell half a surrogate pair."""
        value: str = self._take(key, (str,), "a string")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise self._wrong(key, "text that can be encoded")
        return value

    def one_of(self, key: str, known: Collection[str]) -> str:
        """Returns one of the strings in `known`."""
        value = self.text(key)
        if value not in known:
            raise self._wrong(key, f"one of {', '.join(known)}")
        return value

    def flag(self, key: str) -> bool:
        """Returns true or false."""
        value: bool = self._take(key, (bool,), "true or false")
        return value

    def count(self, key: str, *, least: int = 0, most: int = MOST) -> int:
        """Returns a whole number in this range."""
        value: int = self._take(key, (int,), "a whole number")
        if not least <= value <= most:
            raise self._wrong(key, f"from {least} to {most}")
        return value

    def number(self, key: str, *, least: float, most: float) -> float:
        """Returns a number in this range, so neither infinite nor NaN."""
        value: float = self._take(key, (int, float), "a number")
        if not least <= value <= most:
            raise self._wrong(key, f"from {least:g} to {most:g}")
        return float(value)

    def counts(self, key: str) -> tuple[int, ...]:
        """Returns a list of whole numbers from 0 to `MOST`."""
        items = self._items(key)
        return tuple(items.count(number) for number in items.raw)

    def numbers(self, key: str, *, least: float, most: float) -> tuple[float, ...]:
        """Returns a list of numbers in this range."""
        items = self._items(key)
        return tuple(items.number(number, least=least, most=most) for number in items.raw)

    def texts(self, key: str) -> tuple[str, ...]:
        """Returns a list of strings."""
        items = self._items(key)
        return tuple(items.text(number) for number in items.raw)

    def part(self, key: str) -> Fields:
        """Returns the members of the object under `key`."""
        return Fields(self._take(key, (dict,), "an object"), f"{self.where}: {key}")

    def _items(self, key: str) -> Fields:
        found: list[Any] = self._take(key, (list,), "a list")
        return Fields({str(number): item for number, item in enumerate(found)}, f"{self.where}: {key}")

    def _take(self, key: str, kinds: tuple[type, ...], called: str) -> Any:  # noqa: ANN401 - checked here
        value = self.raw.get(key)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self._wrong(key, called)
        return value

    def _wrong(self, key: str, called: str) -> BundleManifestInvalid:
        return BundleManifestInvalid(self.where, f"{key} is {shortened(self.raw.get(key))}, not {called}")

"""Recorded boards, kept as data in `devices/`: a name in, a `Source` to probe out."""

from __future__ import annotations

import json
from importlib.resources import files

from edgeqa.capabilities.recorded import RecordedSource
from edgeqa.errors import DeviceUnknown

_FOLDER = files("edgeqa.capabilities") / "devices"


def device_names() -> list[str]:
    """Returns the names of all recorded boards."""
    return sorted(entry.name.removesuffix(".json") for entry in _FOLDER.iterdir() if entry.name.endswith(".json"))


def recorded_device(name: str) -> RecordedSource:
    """Returns the board called `name`.

    Raises:
        DeviceUnknown: if none is.
    """
    known = device_names()
    if name not in known:
        raise DeviceUnknown(name, known)
    return RecordedSource(json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))

"""Tests a runtime's equipment: it is opened once, closed for good, and has the same key where the processor hides."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeqa import errors, runtime
from edgeqa.asking.equipment import Equipment
from edgeqa.capabilities import Overrides, hardware
from edgeqa.models.bundle import Bundle

if TYPE_CHECKING:
    from edgeqa.capabilities.device import Device, Reading


@pytest.fixture
def equipment() -> Equipment:
    return Equipment(Bundle.load(), Overrides(persist="off"))


def test_each_part_is_opened_once_by_however_many_threads(equipment: Equipment) -> None:
    found: list[tuple[object, ...]] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        found.append((equipment.device, equipment.plan, equipment.cache, equipment.reading, equipment.scope))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(one is other for each in found for one, other in zip(each, found[0], strict=True))
    equipment.close()


def test_as_long_as_no_self_test_is_known_no_other_provider_may_compute(equipment: Equipment) -> None:
    assert not equipment.may_compute_otherwise
    assert not equipment.has_fingerprint
    assert not equipment.may_compute_otherwise


def test_after_close_nothing_is_opened_again(equipment: Equipment) -> None:
    equipment.check_open()
    equipment.close()
    equipment.close()
    for opening in (lambda: equipment.cache, lambda: equipment.reading, equipment.check_open):
        with pytest.raises(errors.Closed):
            opening()


def test_a_processor_that_hides_is_asked_for_otherwise_and_the_key_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with runtime.open(persist="off") as qa:
        expected = qa.key("Who?", "Ada was.")
    opened = Path.open

    def hidden(self: Path, *arguments: object, **options: object) -> object:
        if str(self) == "/proc/cpuinfo":
            raise FileNotFoundError(str(self))
        return opened(self, *arguments, **options)  # type: ignore[call-overload]

    asked: list[str | None] = []
    monkeypatch.setattr(Path, "open", hidden)
    real = hardware.cpu_flags

    def watched(device: Device, system: str | None) -> Reading[tuple[str, ...]]:
        monkeypatch.setattr(Path, "open", opened)
        asked.append(system)
        return real(device, system)

    monkeypatch.setattr(hardware, "cpu_flags", watched)
    with runtime.open(persist="off") as qa:
        assert qa.key("Who?", "Ada was.") == expected
    assert len(asked) == 1

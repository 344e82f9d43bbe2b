"""Tests that recorded boards are read in full, and that their plans stay as they are written down here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from machines import MIB, MINI

from edgeqa.capabilities.device import Device, RecordedDevice, device_names, recorded_device
from edgeqa.capabilities.plan import Careful, make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.errors import DeviceUnknown

# name: threads, precision, window, batch, answer cache MiB, encoding store MiB, persist
BOARDS = {
    "android-phone": (4, "int8", 320, 16, 221, 256, "disk"),
    "jetson-nano": (4, "int8", 320, 16, 158, 256, "disk"),
    "laptop": (4, "int8", 320, 16, 256, 256, "disk"),
    "pi-4": (4, "int8", 320, 16, 151, 256, "disk"),
    "pi-5": (4, "int8", 320, 16, 256, 256, "disk"),
    "pi-zero-2w": (4, "int8", 320, 16, 17, 34, "disk"),
}


def test_every_recorded_board_is_pinned() -> None:
    assert device_names() == sorted(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_the_plan_of_a_recorded_board(name: str) -> None:
    plan = make_plan(probe(recorded_device(name)), MINI)
    found = (
        plan.threads.value,
        plan.precision.value,
        plan.window_tokens.value,
        plan.batch_contexts.value,
        plan.answer_cache_bytes.value // MIB,
        plan.encoding_store_bytes.value // MIB,
        plan.persist.value,
    )
    assert found == BOARDS[name]


# Before it was timed there: where it cannot be in time, or there is no room, it is not even loaded.
CAREFUL = {
    "android-phone": ("careful", "timed when it is first loaded"),
    "jetson-nano": ("fast", "asimddp"),
    "laptop": ("careful", "timed when it is first loaded"),
    "pi-4": ("fast", "asimddp"),
    "pi-5": ("careful", "timed when it is first loaded"),
    "pi-zero-2w": ("fast", "missing for the careful one"),
}


@pytest.mark.parametrize("name", BOARDS)
def test_who_decides_on_a_recorded_board(name: str) -> None:
    needs = replace(
        MINI, file_bytes=111_098_570, width=768, kind="joint", heads=12, max_context_tokens=447, question_tokens=66
    )
    plan = make_plan(probe(recorded_device(name)), MINI, careful=Careful(needs))
    reader, why = CAREFUL[name]
    assert plan.reader.value == reader
    assert why in plan.reader.reason


@pytest.mark.parametrize("name", BOARDS)
def test_every_recorded_board_is_read_in_full(name: str) -> None:
    found = probe(recorded_device(name))
    unknown = {"address_space_bytes"}  # none of them limits it
    if name == "android-phone":
        unknown |= {"temperature_c", "ram_disk_free_bytes"}
    for field in found.__dataclass_fields__:
        assert (getattr(found, field).value is None) == (field in unknown), field


def test_the_boards_differ_where_they_should() -> None:
    pi_5, phone, laptop = (probe(recorded_device(name)) for name in ("pi-5", "android-phone", "laptop"))
    assert pi_5.page_size_bytes.value == 16384
    assert pi_5.cpu_flags.value == ("asimddp",)
    assert "fast cores among 8" in phone.cores.reason
    assert laptop.cpu_flags.value == ("avx2", "avx_vnni")
    assert laptop.home_file_system.value == "btrfs"


def test_an_unknown_board_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DeviceUnknown) as caught:
        recorded_device("../pi-4")
    assert "pi-zero-2w" in caught.value.hint


def test_nothing_of_this_device_is_seen_through_a_recorded_one() -> None:
    looks = [name for name in vars(Device) if not name.startswith("_")]
    assert len(looks) > 10
    for name in looks:
        assert name in vars(RecordedDevice) or name in vars(RecordedDevice({})), name

"""Tests the plan's choices, each by the facts of the device that it follows from."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from machines import GIB, MIB, MINI, ROOT_MOUNT, machine, with_memory

from edgeqa import runtime
from edgeqa.cache import front
from edgeqa.capabilities import Overrides, footprint
from edgeqa.capabilities.device import Reading, RecordedDevice
from edgeqa.capabilities.plan import CACHE_ADDRESS_BYTES, MIN_ANSWER_CACHE_BYTES, Careful, make_plan
from edgeqa.capabilities.probe import probe
from edgeqa.errors import NotEnoughMemory, OptionError

if TYPE_CHECKING:
    from edgeqa.capabilities.device import Capabilities
    from edgeqa.capabilities.footprint import ModelNeeds

ROOMY = probe(machine())


@pytest.mark.parametrize(
    ("arch", "cpuinfo", "bundle", "expected"),
    [
        ("x86_64", "flags : avx2 avx512f avx512_vnni\n", "int8", "int8"),
        ("AMD64", "flags : avx2 avx_vnni\n", "int8", "int8"),
        ("x86_64", "flags : avx2 avx512f\n", "int8", "int8-u8u8"),
        ("i686", "flags : sse2\n", "int8", "int8-u8u8"),
        ("x86_64", None, "int8", "int8-u8u8"),
        ("aarch64", "Features : asimd\n", "int8", "int8"),
        ("aarch64", None, "int8", "int8"),
        ({"failed": "?"}, "Features : asimd\n", "int8", "int8-u8u8"),
        ("x86_64", "flags : avx2\n", "float32", "float32"),
    ],
)
def test_precision_is_exact_on_every_processor(arch: object, cpuinfo: str | None, bundle: str, expected: str) -> None:
    device = probe(machine({"/proc/cpuinfo": cpuinfo}, machine=arch))
    assert make_plan(device, replace(MINI, precision=bundle)).precision.value == expected


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (4, 4), (12, 4), (None, 1)])
def test_threads_follow_the_cores_up_to_four(cores: int | None, threads: int) -> None:
    device = replace(ROOMY, cores=Reading(cores, "unreadable"))
    plan = make_plan(device, MINI)
    assert plan.threads.value == threads
    assert plan.spinning.value == (threads > 1)  # one thread has none to wait for


def disks(*, free_bytes: int, writable: bool, ram_bytes: int) -> dict[str, Any]:
    ram = {"/dev/shm": {"free_bytes": ram_bytes, "writable": True}}  # noqa: S108 - the machine's, not ours
    return {"disk": {"/": {"free_bytes": free_bytes, "writable": writable}, **ram}}


DISK_FULL = disks(free_bytes=MIB, writable=True, ram_bytes=GIB)
READ_ONLY = disks(free_bytes=GIB, writable=False, ram_bytes=GIB)
NOWHERE = disks(free_bytes=MIB, writable=True, ram_bytes=MIB)


@pytest.mark.parametrize(
    ("calls", "persist", "why"),
    [
        ({}, "disk", "50 GiB free"),
        (DISK_FULL, "memory", "only 1 MiB free on disk"),
        (READ_ONLY, "memory", "cannot be written to"),
        (NOWHERE, "off", "only 1 MiB free in /dev/shm"),
    ],
)
def test_answers_are_kept_where_there_is_room(calls: dict[str, Any], persist: str, why: str) -> None:
    plan = make_plan(probe(machine(**calls)), MINI)
    assert plan.persist.value == persist
    assert why in plan.persist.reason
    assert (plan.answer_cache_bytes.value == 0) == (persist == "off")


@pytest.mark.parametrize("file_system", ["nfs", "nfs4", "cifs", "9p", "fuse.sshfs"])
def test_answers_are_not_kept_on_a_remote_disk(file_system: str) -> None:
    mounted = ROOT_MOUNT.replace("ext4", file_system)
    plan = make_plan(probe(machine({"/proc/self/mountinfo": mounted})), MINI)
    assert plan.persist.value == "off"
    assert file_system in plan.persist.reason


def test_a_small_disk_gets_a_small_cache() -> None:
    small = disks(free_bytes=4 * MIB, writable=True, ram_bytes=GIB)
    plan = make_plan(probe(machine(**small)), MINI)
    assert (plan.persist.value, plan.answer_cache_bytes.value) == ("disk", 2 * MIB)
    assert plan.answer_cache_bytes.reason == "half of 4 MiB free on disk"
    asked_for = make_plan(probe(machine(**small)), MINI, Overrides(answer_cache_bytes=8 * MIB))
    assert (asked_for.persist.value, asked_for.answer_cache_bytes.value) == ("memory", 8 * MIB)
    mounted = ROOT_MOUNT.replace("ext4", "nfs")
    remote = make_plan(probe(machine({"/proc/self/mountinfo": mounted}, **small)), MINI)
    assert (remote.persist.value, remote.answer_cache_bytes.value) == ("off", 0)


def test_a_cache_of_no_bytes_is_off() -> None:
    plan = make_plan(ROOMY, MINI, Overrides(answer_cache_bytes=0))
    assert (plan.persist.value, plan.answer_cache_bytes.value) == ("off", 0)


def test_overrides_are_followed_and_said() -> None:
    wanted = Overrides(
        threads=7,
        batch_contexts=3,
        window_tokens=200,
        budget_bytes=GIB,
        answer_cache_bytes=5 * MIB,
        encoding_store_bytes=MIB,
        persist="memory",
    )
    plan = make_plan(ROOMY, MINI, wanted)
    for name in ("threads", "batch_contexts", "window_tokens", "answer_cache_bytes", "encoding_store_bytes", "persist"):
        assert getattr(plan, name).value == getattr(wanted, name)
        assert getattr(plan, name).reason == "you asked for it"
    assert (plan.available_bytes.value, plan.available_bytes.reason) == (GIB, "your budget")


def test_without_mapping_there_is_more_memory_in_the_plan_and_nothing_on_disk() -> None:
    mapped, read = make_plan(ROOMY, MINI), make_plan(ROOMY, MINI, Overrides(mmap=False, persist="disk"))
    assert read.needed_bytes == mapped.needed_bytes + MINI.file_bytes
    assert (mapped.mapped.value, read.mapped.value, read.persist.value) == (True, False, "memory")
    assert make_plan(ROOMY, MINI, Overrides(mmap=False, persist="off")).persist.value == "off"
    with_index = make_plan(ROOMY, replace(MINI, unmapped_bytes=1000), Overrides(mmap=False))
    assert with_index.needed_bytes == read.needed_bytes + 1000


@pytest.mark.parametrize(
    "wrong",
    [
        {"threads": 0},
        {"threads": -1},
        {"threads": 257},
        {"threads": 5000},
        {"batch_contexts": 0},
        {"window_tokens": 31},
        {"budget_bytes": 0},
        {"answer_cache_bytes": -1},
        {"encoding_store_bytes": -1},
        {"persist": "tape"},
        *(
            {name: value}
            for name in Overrides.__slots__
            for value in (True, False, 200.0, "200", [200], 10**400)
            if name != "mmap" or not isinstance(value, bool)
        ),
    ],
)
def test_senseless_overrides_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        Overrides(**wrong)


def test_the_limits_of_overrides_are_themselves_allowed() -> None:
    allowed = Overrides(threads=256, window_tokens=128, budget_bytes=(1 << 63) - 1, answer_cache_bytes=0)
    assert len(allowed.given()) == 4


def test_a_window_beyond_the_model_is_refused() -> None:
    with pytest.raises(OptionError) as caught:
        make_plan(ROOMY, MINI, Overrides(window_tokens=449))
    assert "at most 448" in caught.value.hint


def test_32_bits_have_a_ceiling_for_the_cache() -> None:
    narrow = probe(machine(machine="armv7l", pointer_bits=32))
    assert make_plan(narrow, MINI, Overrides(answer_cache_bytes=256 * MIB)).answer_cache_bytes.value == 256 * MIB
    with pytest.raises(OptionError, match="answer_cache_bytes"):
        make_plan(narrow, MINI, Overrides(answer_cache_bytes=256 * MIB + 1))
    assert make_plan(ROOMY, MINI, Overrides(answer_cache_bytes=300 * MIB)).answer_cache_bytes.value == 300 * MIB


def test_a_model_of_short_contexts_gets_short_windows() -> None:
    plan = make_plan(ROOMY, replace(MINI, max_context_tokens=100))
    assert (plan.window_tokens.value, plan.window_tokens.reason) == (100, "the model's limit")


def test_unknown_memory_is_taken_for_the_smallest_board() -> None:
    plan = make_plan(probe(RecordedDevice({})), MINI)
    assert plan.available_bytes.value == 512 * MIB
    assert "assumed" in plan.available_bytes.reason
    assert plan.threads.value == 1


def test_of_a_known_total_half_is_taken_for_available() -> None:
    device = replace(ROOMY, memory_available_bytes=Reading(None, "unreadable"))
    assert make_plan(device, MINI).available_bytes.value == 4 * GIB


def test_callers_are_as_many_as_cores_and_memory_allow() -> None:
    for cores, callers in ((1, 3), (4, 6), (64, 66)):
        plan = make_plan(replace(ROOMY, cores=Reading(cores, "")), MINI)
        assert plan.callers.value == callers
        assert re.fullmatch(
            r"where several ask at once, one thread each; takes [\d.]+ [MG]iB more", plan.callers.reason
        )
    plans = [make_plan(with_memory(available * MIB, total_bytes=GIB), MINI) for available in range(260, 460, 2)]
    assert [p.callers.value for p in plans] == sorted(p.callers.value for p in plans)
    assert {p.callers.value for p in plans} == {1, 2, 3, 4, 5, 6}
    assert plans[0].callers.reason == "no memory for more"
    assert all(p.window_tokens.value == 320 for p in plans)  # nothing is taken from others


def test_memory_is_given_up_in_order() -> None:
    """From roomy to tight: the batch goes, then the encodings, the answers, the windows."""
    seen: list[tuple[bool, ...]] = []
    for available_mib in range(1000, 110, -1):
        try:
            plan = make_plan(with_memory(available_mib * MIB, total_bytes=8 * GIB), MINI)
        except NotEnoughMemory:
            break
        state = (
            plan.batch_contexts.value == 16,
            plan.encoding_store_bytes.value == 256 * MIB,
            plan.answer_cache_bytes.value == 256 * MIB,
            plan.window_tokens.value == 320,
        )
        if not seen or seen[-1] != state:
            seen.append(state)
    assert seen == [
        (True, True, True, True),
        (False, True, True, True),
        (False, False, True, True),
        (False, False, False, True),
        (False, False, False, False),
    ]


def test_the_batch_is_halved_until_it_fits() -> None:
    wanted = Overrides(answer_cache_bytes=0, encoding_store_bytes=0)
    plans = [make_plan(with_memory(available * MIB // 8), MINI, wanted) for available in range(120 * 8, 140 * 8)]
    full = [p.batch_contexts.value for p in plans if p.window_tokens.value == 320]
    assert sorted(set(full)) == [1, 2, 4, 8, 16]


def test_caches_are_shares_of_the_budget_where_one_is_given() -> None:
    plan = make_plan(ROOMY, MINI, Overrides(budget_bytes=GIB))
    assert plan.answer_cache_bytes.value == GIB * 4 // 100
    assert plan.encoding_store_bytes.value == GIB * 8 // 100
    assert make_plan(ROOMY, MINI).answer_cache_bytes.value == 256 * MIB


def test_what_was_shrunk_says_so() -> None:
    plan = make_plan(with_memory(232 * MIB, total_bytes=8 * GIB), MINI)
    assert plan.answer_cache_bytes.reason == "shrunk to fit 232 MiB"
    assert plan.window_tokens.reason == "default"


def test_a_limited_address_space_takes_threads_first() -> None:
    limited = replace(ROOMY, address_space_bytes=Reading(400 * MIB, "RLIMIT_AS"))
    plan = make_plan(limited, MINI)
    assert plan.threads.value == 1
    assert plan.threads.reason == "shrunk to fit 6 GiB of memory and 400 MiB of address space"
    assert not plan.spinning.value
    assert plan.window_tokens.value == 320


def test_too_little_address_space_is_refused_as_such() -> None:
    limited = replace(ROOMY, address_space_bytes=Reading(200 * MIB, "RLIMIT_AS"))
    with pytest.raises(NotEnoughMemory, match="not enough address space: ") as caught:
        make_plan(limited, MINI)
    assert "ulimit -v" in caught.value.hint
    enough = replace(ROOMY, address_space_bytes=Reading(caught.value.needed_bytes, "RLIMIT_AS"))
    assert make_plan(enough, MINI).window_tokens.value == 128


def test_address_space_that_the_answer_cache_has_already_is_not_asked_for_again() -> None:
    with pytest.raises(NotEnoughMemory) as caught:
        make_plan(replace(ROOMY, address_space_bytes=Reading(200 * MIB, "RLIMIT_AS")), MINI)
    least_bytes = caught.value.needed_bytes - MIN_ANSWER_CACHE_BYTES - CACHE_ADDRESS_BYTES
    enough = replace(ROOMY, address_space_bytes=Reading(least_bytes, "RLIMIT_AS"))
    assert make_plan(enough, MINI, holds_cache=True).window_tokens.value == 128
    with pytest.raises(NotEnoughMemory):
        make_plan(enough, MINI)
    less = replace(ROOMY, address_space_bytes=Reading(least_bytes - 1, "RLIMIT_AS"))
    with pytest.raises(NotEnoughMemory) as caught:
        make_plan(less, MINI, holds_cache=True)
    assert (caught.value.needed_bytes, caught.value.missing_bytes) == (least_bytes, 1)


def test_a_refusal_names_the_override() -> None:
    with pytest.raises(NotEnoughMemory) as caught:
        make_plan(ROOMY, MINI, Overrides(budget_bytes=100 * MIB, window_tokens=448))
    refused = caught.value
    assert "window_tokens=448, budget_bytes=104857600" in str(refused)
    assert f"{refused.missing_bytes} bytes missing" in str(refused)
    assert refused.exit_code == 3
    assert isinstance(refused, MemoryError)


def test_threads_that_were_asked_for_are_not_taken_away() -> None:
    limited = replace(ROOMY, address_space_bytes=Reading(400 * MIB, "RLIMIT_AS"))
    with pytest.raises(NotEnoughMemory, match="not enough address space with threads=4"):
        make_plan(limited, MINI, Overrides(threads=4))


def joint(file_bytes: int, width: int, heads: int, precision: str) -> ModelNeeds:
    """Returns a joint bundle's needs, as those of a BERT of 512 tokens are."""
    return replace(
        MINI, kind="joint", file_bytes=file_bytes, width=width, heads=heads, precision=precision, question_tokens=65
    )


BASE = joint(435_602_306, 768, 12, "float32")
BASE_INT8 = joint(111_062_792, 768, 12, "int8")
BASE_FLOAT16 = joint(217_815_899, 768, 12, "float16")
LARGE = joint(1_336_000_000, 1024, 16, "float32")


@pytest.mark.parametrize(
    ("needs", "measured_mib"), [(BASE, 701), (BASE_INT8, 363), (BASE_FLOAT16, 666)], ids=["float32", "int8", "float16"]
)
def test_a_joint_bundle_is_planned_as_it_was_measured(needs: ModelNeeds, measured_mib: int) -> None:
    """Peaks of a process that loads a BERT of 12 layers and reads 512 tokens; see footprint.py."""
    plan = make_plan(ROOMY, needs, Overrides(answer_cache_bytes=0))
    assert measured_mib * MIB < plan.needed_bytes < 1.25 * measured_mib * MIB
    assert plan.encoding_store_bytes.value == 0


def test_a_large_model_is_refused_on_a_board_of_1_gb_with_the_missing_bytes() -> None:
    board = with_memory(900 * MIB, total_bytes=GIB)
    with pytest.raises(NotEnoughMemory, match=r"\d+ bytes missing") as caught:
        make_plan(board, LARGE)
    assert caught.value.missing_bytes > GIB
    assert make_plan(board, BASE_INT8).window_tokens.value == 320


def test_short_windows_make_a_joint_bundle_smaller() -> None:
    needed = [make_plan(ROOMY, BASE_INT8, Overrides(window_tokens=w)).needed_bytes for w in (128, 320)]
    assert needed[0] < needed[1] - 50 * MIB


# The facts of edgeqa-base.
SECOND = replace(
    joint(111_098_570, 768, 12, "int8"), max_context_tokens=447, question_tokens=66, tokenizer_bytes=465_855
)
SLOW_BOARD = probe(machine(machine="aarch64"))


@pytest.mark.parametrize(
    ("device", "careful", "reader", "why"),
    [
        (ROOMY, None, "fast", "not asked for"),
        (ROOMY, Careful(why_not="not installed: pip"), "fast", "not installed: pip"),
        (ROOMY, Careful(SECOND), "careful", "the memory is there; takes 132.4 MiB more; timed when it is first loaded"),
        (ROOMY, Careful(SECOND, passage_ms=250.0), "careful", "takes 132.4 MiB more, and 250 ms for a passage of 160"),
        (ROOMY, Careful(SECOND, passage_ms=251.0), "fast", "251 ms for a passage of 160 tokens here: more than 250"),
        (
            with_memory(256 * MIB),
            Careful(SECOND, passage_ms=9.0),
            "fast",
            "MiB missing for the careful one, which takes",
        ),
        (SLOW_BOARD, Careful(SECOND), "fast", "without int8 dot products (asimddp)"),
        (SLOW_BOARD, Careful(SECOND, passage_ms=99.0), "careful", "99 ms"),
    ],
)
def test_who_decides_and_why(device: Capabilities, careful: Careful | None, reader: str, why: str) -> None:
    plan = make_plan(device, MINI, careful=careful)
    assert plan.reader.value == reader
    assert why in plan.reader.reason
    alone = make_plan(device, MINI)
    assert plan.needed_bytes - alone.needed_bytes == (plan.careful_bytes if reader == "careful" else 0)
    assert (plan.encoding_store_bytes, plan.window_tokens) == (alone.encoding_store_bytes, alone.window_tokens)


def test_the_careful_reader_is_planned_as_it_was_measured() -> None:
    """98 to 117 MiB more were measured, on passages of up to 1660 characters; see footprint.py."""
    assert 117 * MIB < footprint.second_reader_bytes(SECOND) < 180 * MIB


def test_the_careful_reader_takes_room_from_callers_before_it_is_taken_room_from() -> None:
    tight = with_memory(920 * MIB, total_bytes=8 * GIB)
    fast, both = (make_plan(tight, MINI, careful=careful) for careful in (None, Careful(SECOND, passage_ms=9.0)))
    assert both.reader.value == "careful"
    assert both.callers.value < fast.callers.value
    assert both.needed_bytes + both.margin_bytes <= 920 * MIB


@pytest.mark.parametrize("passage_ms", [None, 9.0, 9000.0])
def test_the_careful_reader_is_refused_on_a_board_of_256_mb_with_the_missing_bytes(passage_ms: float | None) -> None:
    board = with_memory(256 * MIB, total_bytes=GIB)
    with pytest.raises(NotEnoughMemory, match=r"with reader=careful: \d+ bytes needed, .* \d+ bytes missing") as caught:
        make_plan(board, MINI, Overrides(reader="careful"), Careful(SECOND, passage_ms=passage_ms))
    enough = with_memory(caught.value.needed_bytes + 1024, total_bytes=GIB)
    plan = make_plan(enough, MINI, Overrides(reader="careful"), Careful(SECOND, passage_ms=passage_ms))
    assert plan.reader.value == "careful"
    assert plan.reader.reason.startswith("you asked for it; takes 132.4 MiB more")
    assert plan.window_tokens.value == 128
    for reader in ("fast", "auto"):
        with pytest.raises(NotEnoughMemory) as alone:
            make_plan(with_memory(100 * MIB), MINI, Overrides(reader=reader), Careful(SECOND))
        assert "reader" not in str(alone.value)


def test_a_limited_address_space_is_kept_free_of_the_careful_reader() -> None:
    for limit, reader in ((900, "fast"), (2000, "careful")):
        limited = replace(ROOMY, address_space_bytes=Reading(limit * MIB, "RLIMIT_AS"))
        assert make_plan(limited, MINI, careful=Careful(SECOND, passage_ms=9.0)).reader.value == reader


def test_what_is_at_hand_is_in_the_plan() -> None:
    texts_bytes = runtime.AT_HAND_TEXTS * runtime.AT_HAND_CHARACTERS * 4
    assert front.DEFAULT_BYTES + texts_bytes <= footprint.AT_HAND_BYTES
    sizes = footprint.Sizes(1, 64, 0, 0)
    for needs in (MINI, replace(MINI, kind="joint", heads=6, question_tokens=64)):
        assert footprint.memory_bytes(needs, sizes) > footprint.AT_HAND_BYTES + needs.file_bytes

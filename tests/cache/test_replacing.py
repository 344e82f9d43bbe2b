"""Tests that what was replaced or forgotten does not come back, by a reader on its way or in another process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from edgeqa.cache import Cache, records, values
from edgeqa.cache.front import Entry, Front
from edgeqa.cache.ledger import Ledger, mark_of
from edgeqa.cache.records import name_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Run

OLD, NEW = "old", "new"
CHANGES: dict[str, tuple[Callable[[Cache], object], Any]] = {
    "put": (lambda cache: cache.put("k", NEW), NEW),
    "forget": (lambda cache: cache.forget("k"), None),
    "clear": (lambda cache: cache.clear(), None),
    "compute": (lambda cache: cache.compute("k", lambda: NEW, refresh=True), NEW),
}


def stored(cache: Cache, *, ttl_s: float | None = None) -> Cache:
    """Has the old value in the file, and nothing at hand."""
    cache.put("k", OLD, ttl_s=ttl_s)
    cache.flush()
    cache.front.clear()
    return cache


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("look", ["get", "peek", "compute", "bind"])
def test_who_has_read_what_is_replaced_meanwhile_does_not_bring_it_back(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, change: str, look: str
) -> None:
    stored(cache, ttl_s=60)
    replace, expected = CHANGES[change]
    decode = records.decode

    def replaced_then(*arguments: Any) -> Any:  # noqa: ANN401 - what it is given
        found = decode(*arguments)
        monkeypatch.setattr(records, "decode", decode)
        replace(cache)
        return found

    monkeypatch.setattr(records, "decode", replaced_then)
    looks: dict[str, Callable[[], object]] = {
        "get": lambda: cache.get("k"),
        "peek": lambda: cache.peek("k"),
        "compute": lambda: cache.compute("k", lambda: "not called"),
        "bind": lambda: cache.bind("alias", name_key("k"), "made of the old", of=OLD),
    }
    assert looks[look]() in (OLD, None)
    assert cache.front.get("alias") is None
    assert cache.get("k") == expected
    cache.flush()
    assert cache.get("k") == expected


@pytest.mark.parametrize("change", CHANGES)
def test_the_quick_way_does_not_bring_it_back_either(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    replace, expected = CHANGES[change]
    decode = values._decoder(None)
    for times in range(1, 40):  # now and then what is read is put at hand
        stored(cache)
        turn = [times]

        def replaced_then(payload: bytes, turn: list[int] = turn) -> object:
            found = decode(payload)
            turn[0] -= 1
            if not turn[0]:
                replace(cache)
            return found

        with monkeypatch.context() as patch:
            patch.setitem(values.decoders, None, replaced_then)
            for _ in range(times):
                cache.get("k")
                if turn[0] > 0:
                    cache.front.clear()
        assert cache.get("k") == expected


@pytest.mark.parametrize("change", ["put", "forget"])
def test_who_reads_just_before_a_change_is_queued_does_not_keep_the_old(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    stored(cache)
    write = cache._backend.write
    replace, expected = CHANGES[change]

    def read_then_written(*arguments: Any) -> None:  # noqa: ANN401 - what it is given
        monkeypatch.setattr(cache._backend, "write", write)
        assert cache.get("k") == OLD
        cache._find(name_key("k"))  # puts it at hand
        write(*arguments)

    monkeypatch.setattr(cache._backend, "write", read_then_written)
    replace(cache)
    assert cache.get("k") == expected


@pytest.mark.parametrize("last", ["outer", "inner"])
def test_of_two_puts_at_once_the_one_that_is_stored_is_seen(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    write = cache._backend.write

    def both(digest: bytes, record: bytes | None, _done: object) -> None:
        monkeypatch.setattr(cache._backend, "write", write)
        if last == "inner":
            write(digest, record)
        cache.put("k", "inner")
        if last == "outer":
            write(digest, record)

    monkeypatch.setattr(cache._backend, "write", both)
    cache.put("k", "outer")
    assert cache.get("k") == last
    cache.flush()
    assert cache.get("k") == last


def test_what_is_made_of_an_older_record_is_not_put_at_hand(cache: Cache) -> None:
    cache.put("k", [NEW])
    cache.bind("alias", name_key("k"), "made of the old", of=[OLD])
    assert cache.front.get("alias") is None
    cache.bind("alias", name_key("k"), "made of the new", of=[NEW])
    assert cache.front.get("alias") is not None


def test_one_record_has_a_value_of_its_own_under_each_alias(cache: Cache) -> None:
    cache.put("k", [NEW])
    for alias in ("a", "b"):
        cache.bind(alias, name_key("k"), f"shown as {alias}")
    assert [getattr(cache.front.get(alias), "value", None) for alias in ("a", "b")] == ["shown as a", "shown as b"]
    assert cache.get("k") == [NEW]


def test_a_value_that_is_too_large_to_be_stored_ends_the_one_before(directory: Path) -> None:
    with Cache.open(directory, map_bytes=1 << 20) as cache:
        cache.put("k", OLD)
        cache.put("k", "x" * 1_000_000)
        cache.flush()
        cache.front.clear()
        assert cache.get("k") is None
        assert cache.stats().faults == {"too_large": 1}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_another_process_is_seen_at_the_next_hit(
    cache: Cache, directory: Path, run: Run, change: str
) -> None:
    stored(cache)
    for name in ("k", "other"):
        cache.put(name, OLD)
        cache.bind(("alias", name), name_key(name), "shown")
    cache.flush()
    code = """
import sys
from edgeqa.cache import Cache
with Cache.open(sys.argv[1]) as cache:
    {"put": lambda: cache.put("k", "new"), "forget": lambda: cache.forget("k"), "clear": lambda: cache.clear(),
     "compute": lambda: cache.compute("k", lambda: "new", refresh=True)}[sys.argv[2]]()
    cache.flush()
    input()
"""
    other = run(code, directory, change)
    _, expected = CHANGES[change]
    while cache.get("k") != expected:  # the suite's limit of time ends it
        assert other.poll() is None
    assert cache.front.get(("alias", "k")) is None
    assert cache.get("k") == expected
    if change != "clear":
        assert mark_of(name_key("k").digest) != mark_of(name_key("other").digest)
        assert cache.front.get(("alias", "other")) is not None
    other.communicate("\n")


def test_a_record_that_was_evicted_is_at_hand_nowhere(directory: Path) -> None:
    with Cache.open(directory, map_bytes=1 << 20) as cache:
        cache.put("k", OLD)
        cache.flush()
        for number in range(4000):
            cache.put(f"n{number}", "x" * 300)
        cache.flush()
        assert cache.stats().evictions > 0
        assert cache._look(name_key("k")) is None
        assert cache.get("k") is None


def test_a_forked_child_sees_what_its_parent_changes(directory: Path, run: Run) -> None:
    code = """
import os, sys
from edgeqa.cache import Cache
cache = Cache.open(sys.argv[1])
cache.put("k", "old"); cache.flush()
(ready, tell), (go, let) = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    seen = [cache.get("k") if sys.argv[2] == "looks" else None]
    os.write(tell, b"."); os.read(go, 1)
    seen.append(cache.get("k"))
    print(seen, flush=True)
    os._exit(0)
os.read(ready, 1)
cache.put("k", "new"); cache.flush()
os.write(let, b"."); os.waitpid(child, 0)
"""
    assert run(code, directory, "looks").communicate() == ("['old', 'new']\n", "")
    assert run(code, directory, "does not").communicate() == ("[None, 'new']\n", "")


# --- the table and the ledger, without a store -----------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Front, Ledger, Ledger]:
    """A table with three entries, its ledger, and the same ledger as another process has it."""
    ledger, elsewhere = Ledger(tmp_path / "ledger"), Ledger(tmp_path / "ledger")
    front = Front(10)
    front.watch(ledger)
    for name in "abc":
        digest = digest_of(name)
        front.put(name, Entry(digest, b"", None), as_of=front.change(digest))
    return front, ledger, elsewhere


def digest_of(name: str) -> bytes:
    return name_key(name).digest


def at_hand(front: Front) -> str:
    return "".join(name for name in "abc" if front.peek(name) is not None)


def test_what_is_marked_elsewhere_is_dropped_and_nothing_else(watched: tuple[Front, Ledger, Ledger]) -> None:
    front, _, elsewhere = watched
    elsewhere.mark([digest_of("a")])
    assert at_hand(front) == "bc"
    elsewhere.mark([digest_of("b")])
    elsewhere.mark([digest_of("d")])
    assert at_hand(front) == "c"


def test_ones_own_mark_is_no_news(watched: tuple[Front, Ledger, Ledger]) -> None:
    front, ledger, elsewhere = watched
    for _ in range(2):
        mark = ledger.mark([digest_of("a")])
        assert mark is not None
        front.take_moved(mark)
        assert at_hand(front) == "abc"
    elsewhere.mark([digest_of("b")])
    mark = ledger.mark([digest_of("c")])
    assert mark is not None
    front.take_moved(mark)
    assert at_hand(front) == "a"


@pytest.mark.parametrize("first", [True, False])
def test_an_epoch_that_moves_without_a_mark_drops_everything(
    watched: tuple[Front, Ledger, Ledger], *, first: bool
) -> None:
    front, _, elsewhere = watched
    if first:
        elsewhere.mark([digest_of("a")])
    elsewhere.add({"epoch": 1})
    if not first:
        elsewhere.mark([digest_of("a")])
    assert at_hand(front) == ""


def test_a_ledger_that_is_reset_drops_everything(watched: tuple[Front, Ledger, Ledger]) -> None:
    front, _, elsewhere = watched
    elsewhere.reset()
    assert at_hand(front) == ""


def test_what_is_read_before_a_mark_is_seen_is_not_taken_in(watched: tuple[Front, Ledger, Ledger]) -> None:
    front, _, elsewhere = watched
    digest = digest_of("a")
    as_of = front.changes[digest[-1]]
    elsewhere.mark([digest])
    front.peek("b")  # another thread catches up
    front.add("a", Entry(digest, b"", None), as_of=as_of)
    assert at_hand(front) == "bc"


def test_two_threads_lose_no_count(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")

    def add() -> None:
        for _ in range(2000):
            ledger.add({"puts": 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.get("puts") == 8000

"""Tests that each fault is a counted miss or a quarantine, and never an exception of `get` or `put`."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import sys
import time
import uuid
from typing import TYPE_CHECKING

import lmdb
import pytest
from test_records import colliding_keys
from xxhash import xxh3_64_hexdigest

from edgeqa.cache import Cache, premises, records
from edgeqa.cache.guard import Guard
from edgeqa.cache.premises import Header, Seal
from edgeqa.cache.records import name_key
from edgeqa.cache.store import Store, StoreFault, _open_environment, faults

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

MIB = 1 << 20
needs_verifier = pytest.mark.skipif(
    importlib.util.find_spec("lmdb.verify") is None,
    reason="lmdb has a verifier from 3.0 on; without one a file is lost",
)
_RACES = "races"


@pytest.fixture
def files(directory: Path) -> Path:
    """Returns the files of a cache of a hundred values that was closed cleanly."""
    with Cache.open(directory, map_bytes=MIB) as cache:
        for number in range(100):
            cache.put(f"n{number}", [number] * 20)
    return directory / "format-1"


def found_after(directory: Path) -> tuple[int, dict[str, int]]:
    """Returns how many of the hundred values are found, all of them right, and the faults; the cache works after."""
    with Cache.open(directory, map_bytes=MIB) as cache:
        values = [cache.get(f"n{number}") for number in range(100)]
        assert all(value in (None, [number] * 20) for number, value in enumerate(values))
        cache.put("after", 1)
        cache.flush()
        cache.front.clear()
        assert cache.get("after") == 1
        assert cache.check() == []
        return sum(value is not None for value in values), cache.stats().faults


def overwrite(cache: Cache, digest: bytes, record: bytes) -> None:
    """Puts other bytes at an address, behind the cache's back."""
    with cache._backend.store.environment() as env, env.begin(write=True) as txn:
        sequence = txn.get(digest)
        assert sequence is not None
        txn.put(sequence, record)
    cache.front.clear()


def test_a_torn_record_is_a_counted_miss_and_is_mended_by_the_next_put(cache: Cache) -> None:
    key = name_key("a")
    cache.put(key, "right")
    cache.flush()
    record = cache._backend.read(key.digest)
    assert record is not None
    overwrite(cache, key.digest, record[:-1] + b"X")
    assert cache.get("a") is None
    assert cache.explain("a").why == "checksum"
    assert cache.stats().faults == {"checksum": 1}
    assert cache.check() != []
    cache.put("a", "right")
    cache.flush()
    assert cache.check() == []


def test_a_forced_collision_is_a_counted_miss(cache: Cache) -> None:
    first, second = colliding_keys()
    cache.put(first, "of the first")
    cache.flush()
    assert cache.get(second) is None
    assert cache.stats().faults == {"collision": 1}
    cache.put(second, "of the second")
    cache.flush()
    cache.front.clear()
    assert cache.get(second) == "of the second"
    assert cache.get(first) is None
    assert cache.check() == []


def test_a_record_of_another_format_is_a_counted_miss(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAGIC", b"eqr\x02")
    cache.put("a", 1)
    cache.flush()
    monkeypatch.undo()
    cache.front.clear()
    assert cache.get("a") is None
    assert cache.stats().faults == {"format": 1}


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5])
def test_a_truncated_file_is_put_aside(directory: Path, files: Path, keep: float) -> None:
    data_file = files / "data.mdb"
    size_bytes = int(data_file.stat().st_size * keep)
    with data_file.open("r+b") as stream:
        stream.truncate(size_bytes)
    found, faults = found_after(directory)
    assert found == 0
    if size_bytes:
        assert sum(faults.values()) == 1
        assert faults.keys() <= {"damaged", "foreign"}
        assert [path.name for path in files.glob("quarantine-*/data.mdb")] == ["data.mdb"]


def test_random_bytes_are_put_aside(directory: Path, files: Path) -> None:
    (files / "data.mdb").write_bytes(random.Random(1).randbytes(50_000))  # noqa: S311 - no secret
    assert found_after(directory) == (0, {"foreign": 1})


@needs_verifier
def test_a_copied_file_is_verified_and_kept(directory: Path, files: Path, tmp_path: Path) -> None:
    shutil.copy(files / "data.mdb", tmp_path / "copy")
    (files / "data.mdb").unlink()
    shutil.copy(tmp_path / "copy", files / "data.mdb")
    assert found_after(directory) == (100, {})


@pytest.mark.parametrize("seed", range(40))
def test_a_mutated_file_works_or_is_put_aside(directory: Path, files: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    data = bytearray((files / "data.mdb").read_bytes())
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= chance.randint(1, 255)
    (files / "data.mdb").write_bytes(data)
    found, faults = found_after(directory)
    assert found in (0, 100)
    assert (found == 0) == bool(faults)


def damage_at_rest(file: Path, *places: int) -> None:
    """Flips bits of a file, and leaves its size and time as they were."""
    status, data = file.stat(), bytearray(file.read_bytes())
    for at in places:
        data[at] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_damage_at_rest_is_found_before_lmdb_is_given_the_file(directory: Path, files: Path) -> None:
    file = files / "data.mdb"
    damage_at_rest(file, *range(2 * 4096 + 10, file.stat().st_size, 4096))  # the kind of each page
    assert found_after(directory) == (0, {"damaged": 1})


@needs_verifier
def test_harmless_damage_at_rest_is_verified_once_and_sealed_anew(
    directory: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage_at_rest(files / "data.mdb", (files / "data.mdb").read_bytes().rindex(bytes(64)))  # where nothing is stored
    with Cache.open(directory) as cache:
        assert cache.get("n7") == [7] * 20
    assert (files / "seal").exists()
    monkeypatch.setattr(premises, "find_damage", lambda file: pytest.fail(f"{file} is sealed"))
    with Cache.open(directory) as cache:
        assert cache.get("n7") == [7] * 20


def test_a_large_file_is_hashed_at_the_first_start_of_a_day_and_of_a_boot(
    directory: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    real = premises._hash

    def noting(path: Path) -> str:
        hashed.append(path)
        return real(path)

    def starts() -> int:
        """Returns how many of two starts have hashed the file."""
        hashed.clear()
        for _ in range(2):
            with Cache.open(directory) as cache:
                assert cache.get("n7") == [7] * 20
        return len(hashed)

    monkeypatch.setattr(premises, "_hash", noting)
    assert starts() == 2
    monkeypatch.setattr(premises, "HASHED_EACH_TIME_BYTES", 4096)
    assert starts() == 1
    assert starts() == 0
    now_s = time.time()
    monkeypatch.setattr("time.time", lambda: now_s + 86400)
    assert starts() == 1
    monkeypatch.setattr(premises, "_BOOT_ID", files / "header")
    assert starts() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, a boot is not told from another")
def test_a_boot_is_known_by_its_id() -> None:
    assert uuid.UUID(premises._read(premises._BOOT_ID).decode().strip())


def test_only_one_quarantine_is_kept(directory: Path, files: Path) -> None:
    for _ in range(3):
        (files / "data.mdb").write_bytes(b"x" * 5000)
        (files / "quarantine-1").mkdir(exist_ok=True)
        found_after(directory)
    assert len(list(files.glob("quarantine-*"))) == 1


@pytest.mark.parametrize(
    "header",
    [
        Header(MIB, page_bytes=16384 if Header(1).page_bytes != 16384 else 4096).encode(),
        Header(MIB, word_bits=32).encode(),
        Header(MIB, byte_order="big" if sys.byteorder == "little" else "little").encode(),
        b"",
        b"edgeqa cache 1\n",
        b"\xff\xff",
    ],
)
def test_a_file_of_another_machine_is_put_aside(directory: Path, files: Path, header: bytes) -> None:
    (files / "header").write_bytes(header)
    assert found_after(directory) == (0, {"foreign": 1})


def test_a_file_whose_pages_are_of_another_size_than_its_header_says(directory: Path, files: Path) -> None:
    with (files / "data.mdb").open("r+b") as stream:
        for page in (0, 1):
            stream.seek(page * 4096 + 40)
            stream.write((16384).to_bytes(4, sys.byteorder))
    assert found_after(directory)[0] == 0


def test_without_a_verifier_an_unsealed_file_is_put_aside_unseen(
    directory: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lmdb.verify", None)
    monkeypatch.delattr(lmdb, "verify", raising=False)
    assert found_after(directory) == (100, {})  # sealed: nothing to verify
    assert Guard(files).repair() == []
    assert found_after(directory) == (100, {})
    (files / "seal").unlink()
    assert found_after(directory) == (0, {"damaged": 1})


def test_the_golden_bytes_of_header_and_seal(files: Path) -> None:
    status = (files / "data.mdb").stat()
    assert Header(MIB, 4096, 64, "little").encode() == (
        b"edgeqa cache 1\nword_bits 64\nbyte_order little\npage_bytes 4096\nmap_bytes 1048576\n"
    )
    assert Header.decode((files / "header").read_bytes()) == Header(MIB)
    content = xxh3_64_hexdigest((files / "data.mdb").read_bytes())
    expected = f"edgeqa seal 2\nsize_bytes {status.st_size}\nmtime_ns {status.st_mtime_ns}\nxxh3_64 {content}\n"
    assert (files / "seal").read_text(encoding="ascii") == expected
    assert Seal.decode(expected.encode()) == Seal(status.st_size, status.st_mtime_ns, content)


@pytest.mark.parametrize("seal", [b"", b"edgeqa seal 1\nsize_bytes 1\nmtime_ns 2\n", b"\xff", b"a 1\nb 2\nc 3\nd 4\n"])
def test_what_is_no_seal_is_none(seal: bytes) -> None:
    assert Seal.decode(seal) is None


def test_a_reader_that_does_not_end_fills_the_map_and_its_end_frees_it(directory: Path) -> None:
    with Cache.open(directory, map_bytes=MIB) as cache:
        cache.put("a", 1)
        cache.flush()
        with cache._backend.store.begin():
            for number in range(10_000):
                cache.put(f"n{number}", "x" * 300)
            cache.flush()
            assert cache.stats().faults["map_full"] > 0
            assert cache.check() == []
        for number in range(10_000):
            cache.put(f"m{number}", "x" * 300)
        cache.flush()
        before = cache.stats().faults["map_full"]
        cache.put("last", 2)
        cache.flush()
        cache.front.clear()
        assert cache.get("last") == 2
        assert (cache.check(), cache.stats().faults["map_full"]) == ([], before)


def test_a_batch_waits_for_a_reader_that_is_about_to_end(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[lmdb.Transaction[bytes]] = []

    def pause(time_s: float) -> None:  # in the place of time: the second pause ends the reader
        if len(pauses) == 1:
            readers.pop().abort()
        pauses.append(time_s)

    pauses: list[float] = []
    with Cache.open(directory, map_bytes=MIB) as cache:
        cache.put("a", 1)
        cache.flush()
        monkeypatch.setattr("edgeqa.cache.writer.time.sleep", pause)
        readers.append(cache._backend.store.begin())
        for number in range(10_000):
            cache.put(f"n{number}", "x" * 300)
            if not readers:
                break
        cache.flush()
        assert cache.stats().faults == {"map_busy": 1}
        assert cache.check() == []


def test_errors_of_any_type_inside_the_store_are_faults() -> None:
    for error in (SystemError("x"), OverflowError("x"), lmdb.BadValsizeError("x"), ValueError("x")):
        with pytest.raises(StoreFault, match=type(error).__name__), faults():
            raise error


@pytest.fixture
def opened(tmp_path: Path) -> Store:
    store = Store()
    store.open(tmp_path, MIB, durable=False)
    return store


def test_closing_waits_for_the_readers_and_then_for_nobody(
    opened: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = [opened.environment()]
    env = readers[0].__enter__()
    pauses: list[float] = []

    def pause(time_s: float) -> None:
        env.stat()  # it is not closed yet
        readers.pop().__exit__(None, None, None)
        pauses.append(time_s)

    monkeypatch.setattr("edgeqa.cache.store.time.sleep", pause)
    opened.close()
    assert len(pauses) == 1
    opened.close()
    with pytest.raises(StoreFault, match="closed"):
        opened.read(b"a" * 16)
    opened.open(tmp_path, MIB, durable=False)
    assert opened.read(b"a" * 16) is None
    opened.close()


def test_closing_does_not_wait_for_ever_for_who_does_not_come_out(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeqa.cache.store._WAIT_S", -1.0)
    with opened.environment() as env:
        opened.close()
        with pytest.raises(lmdb.Error, match="closed"):
            env.stat()


def test_closing_that_is_interrupted_closes_nothing_under_a_reader_and_is_done_by_the_next(
    opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgeqa.cache.store.time.sleep", interrupt)
    with opened.environment() as env:
        with pytest.raises(KeyboardInterrupt):
            opened.close()
        env.stat()
    assert opened.is_open
    opened.close()
    assert not opened.is_open


IN_A_CHILD = """
import os, sys
from edgeqa.cache import Cache
import edgeqa.cache.stats, edgeqa.cache.flight
{setting}
cache = Cache.open(sys.argv[1])
for number in range(2000):
    cache.put(f"n{{number}}", "x" * 400)
    assert cache.get(f"n{{number}}") == "x" * 400
cache.flush()
assert cache.compute("computed", lambda: 5) == 5
stats = cache.stats()
assert cache.check() == [], cache.check()
cache.close()
print(stats.state, stats.faults)
"""


def run_in_a_child(run: Run, directory: Path, setting: str) -> str:
    output, errors = run(IN_A_CHILD.format(setting=setting), directory).communicate()
    assert errors == ""
    return output


@pytest.mark.usefixtures("unmeasured")
def test_a_full_disk_is_counted(directory: Path, run: Run) -> None:
    setting = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))"
    output = run_in_a_child(run, directory, setting)
    assert output.startswith("open {'disk_full': ")
    with Cache.open(directory) as cache:
        assert cache.check() == []


@pytest.mark.usefixtures("unmeasured")
def test_a_disk_that_is_full_at_the_start_leaves_the_table_in_front(directory: Path, run: Run) -> None:
    setting = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    assert run_in_a_child(run, directory, setting) == "this process only {'disk_full': 1}\n"


@pytest.mark.usefixtures("unmeasured")
def test_a_read_only_directory_leaves_the_table_in_front(directory: Path, run: Run) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o555)
    # Root may write anywhere: the child gives that up, and reaches the directory from inside.
    setting = "import msgspec; os.chdir(sys.argv[1]); sys.argv[1] = 'cache'; os.getuid() or os.setuid(65534)"
    assert run_in_a_child(run, directory, setting) == "this process only {'read_only': 1}\n"


def test_a_file_in_place_of_the_directory_leaves_the_table_in_front(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with Cache.open(tmp_path / "file") as cache:
        cache.put("a", 1)
        assert cache.get("a") == 1
        assert (cache.stats().state, sum(cache.stats().faults.values())) == ("this process only", 1)


def test_less_address_space_than_planned_makes_a_smaller_map(directory: Path, run: Run) -> None:
    code = """
import resource, sys
from edgeqa.cache import Cache
import edgeqa.cache.stats
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
cache = Cache.open(sys.argv[1], map_bytes=16 << 30)
cache.put("a", 1)
print(cache.stats().state, cache.stats().budget_bytes < 1 << 30)
cache.close()
"""
    assert run(code, directory).communicate() == ("open True\n", "")
    with Cache.open(directory) as cache:
        assert cache.get("a") == 1


def test_an_open_that_races_another_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def flaky(*arguments: object, **options: object) -> lmdb.Environment:
        attempts.append(1)
        if len(attempts) < 3:
            raise lmdb.InvalidParameterError(_RACES)
        return real(*arguments, **options)  # type: ignore[arg-type]  # passed on as they come

    real = lmdb.Environment
    monkeypatch.setattr(lmdb, "Environment", flaky)
    _open_environment(tmp_path, MIB, durable=False).close()
    assert len(attempts) == 3


def test_an_open_that_never_works_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise lmdb.LockError(_RACES)

    monkeypatch.setattr(lmdb, "Environment", broken)
    with pytest.raises(StoreFault, match="races"):
        _open_environment(tmp_path, MIB, durable=False)


@pytest.mark.usefixtures("files")
def test_a_store_that_breaks_while_open_is_left_alone_and_verified_at_the_next_start(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cache.open(directory) as cache:
        assert cache.get("n1") == [1] * 20
        store = cache._backend.store

        def broken(*asked: object) -> None:
            raise StoreFault(kind="damaged", reason=asked)

        monkeypatch.setattr(store, "begin", broken)
        monkeypatch.setattr(store, "read", broken)
        assert cache.get("n2") is None
        cache.put("a", 1)
        assert cache.get("a") == 1
        assert cache.stats().state == "this process only"
    verified = []
    monkeypatch.setattr("edgeqa.cache.premises.find_damage", lambda file: verified.append(file))
    assert found_after(directory) == (100, {"damaged": 1})
    assert len(verified) == 1

"""Tests answers that a cluster remembers: they are read once, believed only as written, and Valkey may be gone."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from local_cluster import free_ports

from edgeqa import runtime
from edgeqa.cache import records, values
from edgeqa.cache.records import Key
from edgeqa.cluster import keys
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.answers import LIVES_MS, MAX_BYTES, Shelf
from edgeqa.cluster.documents import Documents
from edgeqa.cluster.valkey import Valkey

if TYPE_CHECKING:
    from local_cluster import LocalCluster

    from edgeqa.cluster.runtime import ClusterQA

KEY = Key.of("answers", b"a question of a test")


def patient(qa: ClusterQA) -> Shelf:
    """Has the shelf of a runtime wait longer than 20 ms: the machine that tests may be busy."""
    qa.shelf._quick.close()
    qa.shelf._quick = Valkey(qa.valkey.address, timeout_s=5.0, patience_s=0.0)
    return qa.shelf


class Readings:
    """Counts how often an answer is read that is asked for again and again."""

    def __init__(self, qa: ClusterQA) -> None:
        self.made_by = [next(one.fingerprint for one in qa.membership.members())]
        self.read = 0
        self.asked: list[str] = []

    def ask(self, shelf: Shelf) -> None:
        self.asked.append(shelf.compute(KEY, self._read, lambda: self.made_by, refresh=False))

    def _read(self) -> str:
        self.read += 1
        return "there"


def test_a_missing_answer_is_read_once_by_all(servers: LocalCluster, qa: ClusterQA) -> None:
    question = "Who wrote the program of the engine?"
    clients = [runtime.open(cluster=servers.url, persist="off") for _ in range(4)]
    answers = []

    def ask(client: runtime.EdgeQA) -> None:
        patient(client)  # type: ignore[arg-type]  # a ClusterQA
        answers.append(client.ask(question))

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    assert {answer.text for answer in answers} == {qa.ask(question).text}
    assert [answer.cached for answer in answers].count(False) == 1


def test_an_answer_that_is_stored_between_a_look_and_a_lease_is_not_read_again(qa: ClusterQA) -> None:
    shelf = patient(qa)
    place, readings, leased = keys.of_answer(KEY.digest.hex()), Readings(qa), shelf._leased

    def late(digest: str, mine: str) -> bool | None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shelf, "_leased", leased)
            readings.ask(shelf)
        return leased(digest, mine)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "_leased", late)
        readings.ask(shelf)
    assert (readings.asked, readings.read) == (["there", "there"], 1)
    qa.valkey.do(place, "DEL", place)


def test_where_a_reader_dies_one_of_those_who_wait_reads(qa: ClusterQA) -> None:
    shelf, readings = patient(qa), Readings(qa)
    place, lease = keys.of_answer(KEY.digest.hex()), keys.of_lease(KEY.digest.hex())
    qa.valkey.do(lease, "SET", lease, "of one that died", "PX", 300)
    threads = [threading.Thread(target=readings.ask, args=(shelf,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (readings.asked, readings.read) == (["there"] * 3, 1)
    qa.valkey.do(place, "DEL", place)


def test_only_what_a_tested_device_has_read_is_believed(qa: ClusterQA) -> None:
    shelf = patient(qa)
    place = keys.of_answer(KEY.digest.hex())
    (fingerprint, *_) = (one.fingerprint for one in qa.membership.members())
    for made_by, expected in ((fingerprint, "there"), ("another", "here"), (f"{fingerprint}+another", "here")):
        payload = values.encode("there")
        now_ms = time.time_ns() // 10**6
        stored = records.encode(KEY, payload, now_ms=now_ms, ttl_ms=LIVES_MS, provenance=made_by.encode())
        qa.valkey.do(place, "SET", place, stored)
        assert shelf.compute(KEY, lambda: "here", lambda: [fingerprint], refresh=False) == expected
    other = Key.of("answers", b"another question")
    qa.valkey.do(place, "SET", place, records.encode(other, payload, now_ms=now_ms, provenance=fingerprint.encode()))
    assert shelf.compute(KEY, lambda: "here", lambda: [fingerprint], refresh=False) == "here"
    qa.valkey.do(place, "DEL", place)


def test_what_is_no_record_is_replaced_and_no_more_than_a_record_is_read(qa: ClusterQA) -> None:
    shelf, readings = patient(qa), Readings(qa)
    place = keys.of_answer(KEY.digest.hex())
    qa.valkey.do(place, "HSET", place, "a", "b")
    readings.ask(shelf)
    readings.ask(shelf)
    assert (readings.asked, readings.read) == (["there", "there"], 1)
    made_by = readings.made_by[0].encode()
    long = values.encode("x" * MAX_BYTES)
    qa.valkey.do(place, "SET", place, records.encode(KEY, long, now_ms=time.time_ns() // 10**6, provenance=made_by))
    readings.ask(shelf)
    assert (readings.asked[-1], readings.read) == ("there", 2)
    assert shelf.compute(KEY, lambda: "y" * MAX_BYTES, lambda: readings.made_by, refresh=True) == "y" * MAX_BYTES
    assert qa.valkey.do(place, "STRLEN", place) < MAX_BYTES
    qa.valkey.do(place, "DEL", place)


def test_a_server_that_does_not_answer_is_left_alone() -> None:
    (port,) = free_ports(1)
    valkey = Valkey(ClusterAddress.parse(f"valkey://127.0.0.1:{port}"))
    shelf = Shelf(valkey, Documents(valkey))
    for _ in range(3):
        assert shelf.compute(KEY, lambda: 7, lambda: ["f"], refresh=False) == 7
    assert shelf.faults == 1
    shelf.close()

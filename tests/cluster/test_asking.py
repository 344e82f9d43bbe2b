"""Tests questions asked of a cluster of real servers and workers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from local_cluster import until
from msgspec import structs

import edgeqa
from cluster.conftest import QUESTIONS, TEXTS
from edgeqa import runtime
from edgeqa.capabilities import Overrides
from edgeqa.cluster import keys
from edgeqa.cluster.address import ClusterAddress
from edgeqa.cluster.runtime import ClusterQA
from edgeqa.cluster.worker import GROUP, LEFT_MS
from edgeqa.models.shelf import base_bundle

if TYPE_CHECKING:
    from local_cluster import LocalCluster, LocalWorker


def test_answers_are_those_of_one_machine(qa: ClusterQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with runtime.open(persist="off") as alone:
        alone.add(["bridges", "animals", "machines"], encodings_bytes=0)
        for question, expected in QUESTIONS.items():
            here, there = alone.ask(question), qa.ask(question, refresh=True)
            assert (there.text, there.document) == (expected, here.document)
            assert there.text == here.text
            assert there.score == pytest.approx(here.score, abs=0.02)  # encodings are rounded, or not
            assert there.probability == pytest.approx(here.probability, abs=0.02)
            assert there.nodes_asked
            assert not there.nodes_silent


def test_a_misspelt_word_is_mended_by_what_all_have(qa: ClusterQA) -> None:
    answer = qa.ask("Who designed the analytcal engine?")
    assert answer.text == "Charles Babbage"
    assert answer.question_mended == "Who designed the analytical engine?"


def test_an_answer_is_remembered_by_all(qa: ClusterQA, servers: LocalCluster) -> None:
    question = "What was opened in 1937?"
    first = qa.ask(question)
    until(lambda: qa.ask(question).cached, "what was asked before is remembered")

    def asked_elsewhere() -> bool:  # Valkey is waited for 20 ms, which a busy machine may take
        with runtime.open(cluster=servers.url, persist="off") as other:  # which remembers nothing by itself
            again = other.ask(question)
        assert again.text == first.text
        return again.cached and again.nodes_asked == ()

    until(asked_elsewhere, "another client is given it")


def test_a_poisoned_answer_is_a_miss(qa: ClusterQA, servers: LocalCluster) -> None:
    question = "How heavy may the blue whale be?"
    first = qa.ask(question)
    found = [key for master in qa.valkey.masters for key in qa.valkey.client(master).scan_iter("edgeqa:*:answer:*")]
    assert found
    for key in found:
        name = key.decode()
        stored = qa.valkey.do(name, "GET", name)
        qa.valkey.do(name, "SET", name, stored[:-1] + bytes([stored[-1] ^ 1]))
    with runtime.open(cluster=servers.url, persist="off") as other:
        again = other.ask(question)
    assert (again.text, again.cached) == (first.text, False)


def test_a_name_is_answered_and_left_as_a_plain_key(qa: ClusterQA) -> None:
    answer = qa.ask("What does the barn owl hunt?")
    name = f"bertqa{{{answer.address.rpartition('{')[2].partition('}')[0]}}}_{answer.address}_Where is its nest?"  # type: ignore[union-attr]
    assert qa.get(name).text == "church towers"
    assert qa.valkey.do(name, "GET", name) == b"church towers"
    assert 0 < qa.valkey.do(name, "TTL", name) <= 3600
    with pytest.raises(edgeqa.ContextGone):
        qa.get(name.replace("owls", "bats"))


def test_the_command_line_asks_the_cluster(servers: LocalCluster, qa: ClusterQA) -> None:
    def said(*arguments: str) -> str:
        command = [sys.executable, "-m", "edgeqa", *arguments, "--cluster", servers.url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert said("ask", "--quiet", "Who built the harbour bridge?") == "Dorman Long\n"
    assert "animals/owls.txt" in said("list")
    assert "animals/owls.txt" in said("closest", "nest of the barn owl")
    assert json.loads(said("verify", "--json"))["sound"] is True
    assert qa.list()


def test_a_passage_of_the_cluster_is_shown_and_chat_asks_it(
    servers: LocalCluster, qa: ClusterQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def said(*arguments: str, stdin: str = "") -> str:
        command = [sys.executable, "-m", "edgeqa", *arguments]
        environment = {**os.environ, "EDGEQA_CLUSTER": servers.url}
        done = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (closest,) = qa.closest("nest of the barn owl", 1)
    assert "church towers" in said("show", str(closest.address))
    assert "[barn owl]" in said("show", "animals/owls.txt", "4-12")
    Path("mine.txt").write_text("My owl is small.", encoding="utf-8")
    assert "[owl]" in said("show", "mine.txt", "3-6")
    assert "Dorman Long" in said("chat", stdin="Who built the harbour bridge?\n")
    assert "small" in said("show", "mine.txt", "--text")


def test_any_worker_answers_over_http(workers: list[LocalWorker]) -> None:
    for worker in workers:
        body = json.dumps({"question": "Who built the harbour bridge?"}).encode()
        request = urllib.request.Request(f"http://{worker.name}/v1/ask", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            assert json.load(response)["answer"] == "Dorman Long"


def test_who_knows_no_secret_is_told_nothing(workers: list[LocalWorker]) -> None:
    request = urllib.request.Request(f"http://{workers[0].name}/v1/cluster/search", b"{}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)  # noqa: S310
    assert refused.value.code == 403
    refused.value.close()


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="no redis-cli")
def test_the_command_of_the_origin(workers: list[LocalWorker], qa: ClusterQA) -> None:
    address = qa.ask("Who was the chief engineer of the golden bridge?").address
    tag = str(address).rpartition("{")[2].partition("}")[0]
    name = f"bertqa{{{tag}}}_{address}_Who was the chief engineer of the golden bridge"

    def cli(worker: LocalWorker, *arguments: str) -> str:
        command = ["redis-cli", "-p", str(worker.redis_port), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    slot = keys.slot_of_tag(tag)
    until(lambda: all("Joseph" in cli(worker, "-c", "GET", name) for worker in workers), "all workers know all")
    said = [cli(worker, "GET", name).strip() for worker in workers]
    assert said.count("Joseph Strauss") == 1
    elsewhere = [one for one in said if one != "Joseph Strauss"]
    assert all(one.startswith(f"MOVED {slot} 127.0.0.1:") for one in elsewhere), said
    assert cli(workers[0], "CLUSTER", "KEYSLOT", name).strip() == str(slot)
    assert len({line.split()[0] for line in cli(workers[0], "CLUSTER", "NODES").splitlines()}) == 3
    assert "cluster_state:ok" in cli(workers[0], "CLUSTER", "INFO")


def test_a_cluster_client_of_another_library(workers: list[LocalWorker], qa: ClusterQA) -> None:
    import redis

    address = str(qa.ask("What does the blue whale feed on?").address)
    tag = address.rpartition("{")[2].partition("}")[0]
    with redis.RedisCluster(host="127.0.0.1", port=workers[0].redis_port) as client:
        assert client.get(f"bertqa{{{tag}}}_{address}_What does the blue whale feed on?") == b"krill"


def test_what_arrives_raw_is_tokenised_and_answered(qa: ClusterQA) -> None:
    tag = qa.documents.tags()[0]
    stream = keys.of_tag(tag, "arrivals")
    qa.valkey.do(
        stream, "XADD", stream, "*", "name", "arrived/moon.txt", "text", "The moon base was founded by Ann Lee."
    )
    until(lambda: qa.ask("Who founded the moon base?").text == "Ann Lee", "what arrived is answered")
    qa.remove(["arrived/moon.txt"])
    until(lambda: qa.ask("Who founded the moon base?").text != "Ann Lee", "what was removed is not")


def test_what_a_worker_left_is_taken_by_another(qa: ClusterQA) -> None:
    tag = qa.documents.tags()[0]
    stream = keys.of_tag(tag, "arrivals")
    entry = f"{int(time.time() * 1000) + 1000}-0"
    text = "The Mars base was founded by Bo Berg."

    read_and_left: list[tuple[Any, ...]] = [  # in one transaction, so that no worker is quicker
        ("XADD", stream, entry, "name", "arrived/mars.txt", "text", text),
        ("XREADGROUP", "GROUP", GROUP, "gone", "COUNT", 100, "STREAMS", stream, ">"),
        ("XCLAIM", stream, GROUP, "gone", 0, entry, "IDLE", LEFT_MS + 1000),
    ]
    qa.valkey.transact(stream, (stream,), (), lambda _: (None, read_and_left))
    assert qa.valkey.do(stream, "XPENDING", stream, GROUP)
    until(lambda: qa.ask("Who founded the Mars base?").text == "Bo Berg", "what was left is answered")
    qa.remove(["arrived/mars.txt"])


def test_as_many_changes_that_are_others_are_seen(qa: ClusterQA, tmp_path: Path) -> None:
    # As after a failover: a worker has seen a change that its master took to no replica.
    file = tmp_path / "hill.txt"
    file.write_text("The hill of the lost change is called Lost.", encoding="utf-8")
    qa.add(file, name="hills/lost.txt", copied=True)
    until(lambda: qa.ask("What is the hill of the lost change called?").text == "Lost", "it is indexed")
    tag = next(one.tag for one in qa.list() if one.document == "hills/lost.txt")
    changes = keys.of_tag(tag, "changes")
    count = int(qa.valkey.do(changes, "GET", changes))
    file.write_text("The hill of the kept change is called Kept.", encoding="utf-8")
    qa.valkey.do(changes, "SET", changes, count - 1)
    qa.add(file, name="hills/kept.txt", copied=True)
    assert int(qa.valkey.do(changes, "GET", changes)) == count
    until(lambda: qa.ask("What is the hill of the kept change called?").text == "Kept", "it is indexed, too")
    qa.remove(["hills/lost.txt", "hills/kept.txt"])


def test_a_part_alone_is_asked(qa: ClusterQA) -> None:
    question = "Who built the harbour bridge?"
    for name in ("bridges", "bridges/", "./bridges", "bridges/harbour.txt"):
        for _ in range(2):  # read, and remembered
            answer = qa.ask(question, within=name)
            assert (answer.text, answer.document) == ("Dorman Long", "bridges/harbour.txt"), name
    assert qa.ask(question, within=["animals", "machines"]).text is None
    assert {one.document.partition("/")[0] for one in qa.closest(question, within=["animals", "machines"])} <= {
        "animals",
        "machines",
    }
    assert [one.document for one in qa.closest("Who designed the bridge?", within="bridges/golden.txt")] == [
        "bridges/golden.txt"
    ]
    assert qa.ask(question).text == "Dorman Long"
    with pytest.raises(edgeqa.ContextGone, match=r"not in the collection: bridge$"):
        qa.ask(question, within=["bridges", "bridge"])
    for wrong in ("", [], [""]):
        with pytest.raises(edgeqa.OptionError):
            qa.ask(question, within=wrong)


@pytest.mark.skipif(base_bundle() is None, reason="the careful reader is not installed")
def test_the_careful_reader_decides_as_on_one_machine(
    servers: LocalCluster, qa: ClusterQA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    question = "Who was the chief engineer of the golden bridge?"
    fast = qa.ask(question, refresh=True)
    with runtime.open(reader="careful", persist="off") as alone:
        alone.add(["bridges", "animals", "machines"], encodings_bytes=0)
        here = alone.ask(question)
    careful = qa.with_reader("careful")
    there = careful.ask(question)
    assert (there.text, there.document, there.reader, there.model) == (here.text, here.document, "careful", here.model)
    assert there.score == pytest.approx(here.score, abs=0.02)
    assert there.probability == pytest.approx(here.probability, abs=0.02)
    assert there.nodes_asked
    assert careful.ask(question).cached
    again = qa.ask(question)
    assert (again.reader, again.score) == ("fast", fast.score)
    name = f"bertqa{{{str(there.address).rpartition('{')[2].partition('}')[0]}}}_{there.address}_Who was the engineer"
    assert (careful.get(name).text, careful.get(name).reader) == ("Joseph Strauss", "careful")
    assert qa.get(name).reader == "fast"
    careful.close()
    assert qa.ask("What does the blue whale feed on?").text == "krill", "what both share is open"

    def asked_elsewhere() -> bool:  # Valkey is waited for 20 ms, which a busy machine may take
        with runtime.open(cluster=servers.url, reader="careful", persist="off") as other:
            found = other.ask(question)
        assert (found.text, found.reader) == (there.text, "careful")
        return found.cached and found.nodes_asked == ()

    until(asked_elsewhere, "another client is given what the careful reader has decided", 120)


def test_a_changed_document_takes_its_plain_answers_along(qa: ClusterQA, tmp_path: Path) -> None:
    (tmp_path / "cat.txt").write_text("The cat of the harbour is called Tom.", encoding="utf-8")
    qa.add(tmp_path / "cat.txt", name="pets/cat.txt", copied=True)
    until(lambda: qa.ask("What is the cat of the harbour called?").text == "Tom", "it is indexed")
    address = str(qa.ask("What is the cat of the harbour called?").address)
    tag = address.rpartition("{")[2].partition("}")[0]
    name = f"bertqa{{{tag}}}_{address}_What is the cat called?"
    assert qa.get(name).text == "Tom"
    (tmp_path / "cat.txt").write_text("The cat of the harbour is called Felix.", encoding="utf-8")
    qa.add(tmp_path / "cat.txt", name="pets/cat.txt", copied=True)
    assert qa.valkey.do(name, "GET", name) is None
    with pytest.raises(edgeqa.ContextGone):  # a number is never given twice
        qa.get(name)
    until(lambda: qa.ask("What is the cat of the harbour called?").text == "Felix", "it is indexed anew")
    qa.remove(["pets/cat.txt"])


def test_workers_that_serve_what_nobody_served_a_moment_ago_are_asked(qa: ClusterQA, servers: LocalCluster) -> None:
    question, expected = next(iter(QUESTIONS.items()))
    client = ClusterQA(qa.bundle, Overrides(persist="off"), ClusterAddress.parse(servers.url), members_s=600.0)
    with contextlib.closing(client):
        for seen in ((), tuple(structs.replace(one, slots=()) for one in client.membership.members())):
            client.membership._seen, client.membership._as_of = seen, time.monotonic()
            assert client.ask(question, refresh=True).text == expected

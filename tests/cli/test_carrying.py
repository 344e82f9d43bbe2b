"""Tests a collection exported into one file and imported in another home, by real processes killed at each step."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from program import DEADLINE_S, edgeqa

import edgeqa as library
from edgeqa import files
from edgeqa.collection.carrying import FIRST

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
QUESTION = "To what depth may the pump be submerged?"


@pytest.fixture
def exported(home: Path, tmp_path: Path) -> Path:
    """The file that carries a collection of the examples, with one removed and one named by its full path."""
    shutil.copytree(EXAMPLES, tmp_path / "manuals")
    (tmp_path / "manuals" / "secret.txt").write_text("The password of the vault is swordfish.")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "valve.txt").write_text("The valve opens at 4 bar.")
    assert edgeqa("add", "manuals", tmp_path / "elsewhere" / "valve.txt", cwd=tmp_path).returncode == 0
    assert edgeqa("remove", "manuals/secret.txt", cwd=tmp_path).returncode == 0
    done = edgeqa("collections", "export", "default", tmp_path / "file.zip")
    assert (done.returncode, done.stderr) == (0, "")
    assert (home / "collections" / "default").is_dir()
    return tmp_path / "file.zip"


def elsewhere(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "EDGEQA_HOME": str(tmp_path / "other-home")}


def test_what_is_carried_answers_as_before_and_names_no_path(exported: Path, tmp_path: Path) -> None:
    other = elsewhere(tmp_path)
    raw = exported.read_bytes()
    assert os.fsencode(tmp_path) not in raw
    assert os.fsencode(tmp_path).hex().encode() not in raw
    assert b"swordfish" not in raw
    assert zipfile.ZipFile(exported).testzip() is None
    done = edgeqa("collections", "import", exported, env=other)
    assert (done.returncode, done.stderr) == (0, "")
    here, there = (json.loads(edgeqa("ask", QUESTION, "--json", env=env).stdout) for env in (None, other))
    same = ("answer", "probability", "address", "document", "source_start", "source_end", "context_start")
    assert here["answer"]
    assert {name: here.get(name) for name in same} == {name: there.get(name) for name in same}
    assert edgeqa("verify", env=other).returncode == 0
    again = edgeqa("add", "manuals", "--json", cwd=tmp_path, env=other)
    report = json.loads(again.stdout)
    assert (report["files_added"], report["files_unchanged"]) == (1, len(list(EXAMPLES.iterdir())))
    (tmp_path / "manuals" / "pump-manual.txt").write_text("The pump is not to be submerged.")
    assert edgeqa("add", "manuals", cwd=tmp_path, env=other).returncode == 0
    listed = [json.loads(line)["document"] for line in edgeqa("list", "--json", env=other).stdout.splitlines()]
    assert listed.count("manuals/pump-manual.txt") == 1
    assert "elsewhere/valve.txt" in listed
    # What was carried is carried on, over what was exported before; a file of the user's is not written over.
    assert edgeqa("collections", "export", "default", exported, env=other).returncode == 0
    (tmp_path / "thesis.zip").write_text("mine")
    assert edgeqa("collections", "export", "default", tmp_path / "thesis.zip").returncode == 3
    assert (tmp_path / "thesis.zip").read_text() == "mine"
    assert not list(tmp_path.glob(".edgeqa-*"))


def test_without_encodings_it_is_smaller_and_answers_the_same(exported: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.zip"
    assert edgeqa("collections", "export", "default", small, "--no-encodings").returncode == 0
    assert small.stat().st_size * 4 < exported.stat().st_size
    info = library.import_collection(small, name="small")
    assert (info.name, info.encodings_bytes) == ("small", 0)
    answers = [edgeqa("ask", QUESTION, "--quiet", "--collection", name).stdout for name in ("default", "small")]
    assert answers[0] == answers[1] != ""
    with pytest.raises(library.CollectionError, match="already"):
        library.import_collection(small, name="small")
    (Path(os.environ["EDGEQA_HOME"]) / "collections" / "folder").mkdir()
    with pytest.raises(library.CollectionError, match="already"):
        library.import_collection(small, name="folder")


def test_a_damaged_file_is_refused_whatever_is_damaged(exported: Path, home: Path, tmp_path: Path) -> None:
    raw = exported.read_bytes()
    damaged = tmp_path / "damaged.zip"
    before = sorted((home / "collections").iterdir())
    places = [*range(40, len(raw), len(raw) // 24), len(raw) - 30]
    for content in (*(raw[:n] + bytes([raw[n] ^ 0x10]) + raw[n + 1 :] for n in places), raw[: len(raw) // 2], b""):
        damaged.write_bytes(content)
        try:
            library.import_collection(damaged, name="damaged")
        except library.CollectionError as error:
            said = str(error), error.hint
        else:  # the bit meant nothing: all that is read is as it was
            said = str(damaged), "none needed"
            library.delete_collection("damaged")
        assert str(damaged) in said[0]
        assert said[1]
        assert sorted((home / "collections").iterdir()) == before


def forged(exported: Path, change: str) -> None:
    """Writes the file again, hostile in one way."""
    with zipfile.ZipFile(exported) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    facts = files.unpack_checked(members[FIRST])
    facts.pop("check", None)
    method = zipfile.ZIP_STORED
    shard = next(name for name in members if name.endswith("records.bin"))
    if change == "format":
        facts["format"] = 99
    elif change == "name":
        facts["name"] = "../escaped"
    elif change == "bomb":
        method = zipfile.ZIP_DEFLATED
    elif change == "lacking":
        del members[shard], facts["members"][shard]
    with zipfile.ZipFile(exported, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            if change == "link" and name == shard:
                info.external_attr = 0o120777 << 16
            archive.writestr(info, files.pack_checked(facts) if name == FIRST else content)
        if change in ("../../escaped", "/escaped", "shards/../escaped"):
            archive.writestr(change, b"escaped")


@pytest.mark.parametrize(
    "change", ["format", "name", "bomb", "lacking", "link", "../../escaped", "/escaped", "shards/../escaped"]
)
def test_a_hostile_file_is_refused(exported: Path, home: Path, change: str) -> None:
    forged(exported, change)
    done = edgeqa("collections", "import", exported, *(() if change == "name" else ("--as", "hostile")))
    assert done.returncode in (2, 3)
    assert "internal error" not in done.stderr
    assert done.stderr.count("hint:") == 1
    assert [found.name for found in (home / "collections").iterdir()] == ["default"]


_KILLED = """
import os, sys
step, number, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
from edgeqa.collection import carrying
seen = [0]
def watch(event, arguments):
    if event == "os." + step or event == step:
        seen[0] += 1
        if seen[0] == number:
            os.kill(os.getpid(), 9)
original = carrying.sync
def synced(descriptor):
    watch("fsync", ())
    original(descriptor)
carrying.sync = synced
sys.addaudithook(watch)
carrying.import_collection(file, name="carried")
"""


@pytest.mark.parametrize("step", ["os.rename", "os.mkdir", "fsync", "os.rmdir", "os.remove"])
def test_killed_at_any_step_there_is_all_of_it_or_nothing(exported: Path, home: Path, step: str) -> None:
    killed = 0
    for number in (1, 2, 3, 5):
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, step.removeprefix("os."), str(number), str(exported)],
            timeout=DEADLINE_S,
            check=False,
        )
        killed += done.returncode == -9
        there = {info.name: info for info in library.collections()}
        if "carried" in there:
            assert (there["carried"].documents, there["carried"].problem) == (there["default"].documents, "")
            assert edgeqa("verify", "--collection", "carried").returncode == 0
            library.delete_collection("carried")
    assert killed
    info = library.import_collection(exported, name="carried")
    assert info.documents == library.collections()[1].documents
    assert sorted(found.name for found in (home / "collections").iterdir()) == ["carried", "default"]

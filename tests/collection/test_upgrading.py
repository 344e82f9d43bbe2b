"""Tests a collection that edgeqa 0.3.0 made: it is read as it is, and upgraded whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import former
import pytest
from click.testing import CliRunner
from filling import ENCODER, groups, open_writer, passages_of, put

from edgeqa.cli import commands
from edgeqa.collection import verifying
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import CatalogueLost, CollectionUnwritable
from edgeqa.collection.index import Index
from edgeqa.collection.shard import MANIFEST, Shard
from edgeqa.collection.snapshot import CATALOGUE, SHARDS
from edgeqa.collection.writer import Writer

SCRIPT = Path(__file__).parents[2] / "stress" / "format_kill.py"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return former.unpack(tmp_path)


def upgraded(place: Path) -> None:
    with Writer(place):
        pass


def test_it_is_read_as_it_is_and_nothing_of_it_is_changed(place: Path) -> None:
    before = {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}
    assert former.held(place) == former.TEXTS
    snapshot = load_snapshot(place)
    assert snapshot.digest == "404facf9994d1d26cb0894b2ced7e9c3-1ec77f8098a2975837c241d7ba722935"
    assert (snapshot.format, snapshot.documents, snapshot.contexts) == (1, 6, 7)
    (hit,) = Index(place / "route").search("How deep may the pump be submerged?", 1).best
    context = Collection(place).context(hit.number)
    assert context.document == "manuals/pump.md"
    assert (context.kind, context.heading, context.pieces) == ("paragraph", (), ())
    (place / "snapshot.json").unlink()
    assert load_snapshot(place) == snapshot
    for file, raw in before.items():
        assert file.name == "snapshot.json" or file.read_bytes() == raw


def test_it_is_said_to_have_no_checksums(place: Path, home: Path) -> None:
    assert (verifying.verify(place), verifying.verify_route(place)) == ([], None)
    shutil.copytree(place, home / "collections" / "c03")
    done = CliRunner().invoke(commands, ["verify", "--collection", "c03"])
    assert done.exit_code == 0
    assert "made by 0.3, without checksums" in done.output
    facts = json.loads(CliRunner().invoke(commands, ["verify", "--collection", "c03", "--json"]).output)
    assert facts["sound"]
    assert facts["note"].startswith("made by 0.3, without checksums")


def test_the_next_writer_makes_it_one_of_this_format(place: Path) -> None:
    before = load_snapshot(place)
    contexts = {n.context_id: n for n in Collection(place).contexts_from(0)}
    upgraded(place)
    after = load_snapshot(place)
    assert after.format == 2
    assert (after.documents, after.contexts, after.encoder) == (before.documents, before.contexts, before.encoder)
    assert after.digest != before.digest
    assert former.held(place) == former.TEXTS
    for context in Collection(place).contexts_from(0):
        was = contexts.pop(context.context_id)
        assert (context.address, context.digest, context.start) == (was.address, was.digest, was.start)
        assert (context.encoding is None) == (was.encoding is None)
        if context.encoding is not None and was.encoding is not None:
            assert (context.encoding.hidden == was.encoding.hidden).all()
            assert (context.encoding.scale == was.encoding.scale).all()
    assert not contexts
    assert all(Shard(shard).manifest.format == 2 for shard in (place / SHARDS).iterdir())
    assert (verifying.verify(place), verifying.verify_route(place)) == ([], None)
    assert not verifying.is_former(place)


def test_encodings_are_linked_where_the_file_system_can(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {(shard / "encodings.bin").stat().st_ino for shard in (place / SHARDS).iterdir()}
    copy = shutil.copytree(place, place.parent / "copy")
    upgraded(place)
    assert {(shard / "encodings.bin").stat().st_ino for shard in (place / SHARDS).iterdir()} == before

    def no_links(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    upgraded(copy)
    assert former.held(copy) == former.TEXTS
    assert verifying.verify(copy) == []


def test_what_was_added_is_not_read_again_and_what_is_added_is_kept(place: Path) -> None:
    with open_writer(place, ENCODER) as writer:
        sources = {source.name: source for source in writer.catalogue.sources()}
        assert all(source.digest and source.splitter == 1 for source in sources.values())
        put(writer, "new.txt", [("", "The crane lifts 9 tons.")])
        writer.commit()
    assert former.held(place) == former.TEXTS | {"new.txt": "The crane lifts 9 tons."}


def test_a_full_disk_leaves_it_as_it_was(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CollectionUnwritable, match="No space left"):
            upgraded(place)
    assert load_snapshot(place).format == 1
    assert former.held(place) == former.TEXTS
    upgraded(place)
    assert former.held(place) == former.TEXTS


def test_a_damaged_shard_stays_until_it_is_mended(place: Path) -> None:
    shard = next(s for s in (place / SHARDS).iterdir() if Shard(s).manifest.contexts > 1)
    raw = bytearray((shard / "records.bin").read_bytes())
    raw[-1] ^= 1
    (shard / "records.bin").write_bytes(raw)
    with open_writer(place) as writer:
        (damage,) = writer.damages
        lost = {document.name for document in damage.documents}
        assert writer.catalogue.format == 2
        assert Shard(shard).manifest.format == 1
        assert lost
        for name in lost:
            source = name.partition("#")[0]
            (row,) = writer.catalogue.sources_named(source)
            assert row.digest == b""
            writer.begin_source(row.path, row.name, b"new", 128)
            for other, text in former.TEXTS.items():
                if other.partition("#")[0] == source:
                    writer.begin_document(other[len(source) :], "")
                    for passage in passages_of(text):
                        writer.add(passage, groups(passage), None)
                    writer.end_document()
            writer.end_source()
        writer.commit()
    assert former.held(place) == former.TEXTS
    assert verifying.verify(place) == []
    assert all(Shard(s).manifest.format == 2 for s in (place / SHARDS).iterdir())


def test_a_damaged_catalogue_of_it_cannot_be_made_again_and_that_is_said(place: Path) -> None:
    (place / CATALOGUE).write_bytes(b"SQLite format 3\0" + bytes(4080))
    with pytest.raises(CatalogueLost, match=r"made by 0\.3"):
        upgraded(place)
    assert all((shard / MANIFEST).exists() for shard in (place / SHARDS).iterdir())


@pytest.mark.parametrize("work", ["upgrade", "repair"])
def test_killed_at_any_step_it_is_whole(place: Path, work: str) -> None:
    """The stress script, at one of eleven steps."""
    if not SCRIPT.exists():
        pytest.skip("the stress scripts are not here")
    if work == "repair":
        upgraded(place)
    command = [sys.executable, str(SCRIPT), work, str(place), "--every", "11"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" 0 wrong\n")

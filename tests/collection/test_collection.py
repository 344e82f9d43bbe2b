"""Tests collections as readers see them: what was put in comes out, what is damaged is named and left out."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from filling import ENCODER, fill, groups, long_text, open_writer, passages_of, put

from edgeqa import collection
from edgeqa.collection.collection import Collection, load_snapshot
from edgeqa.collection.errors import (
    CollectionFormatUnsupported,
    CollectionNameInvalid,
    CollectionNotFound,
    CollectionOtherBundle,
    ContextGone,
    ShardDamaged,
)
from edgeqa.collection.shard import Manifest, Shard, _Open
from edgeqa.collection.snapshot import FILE, SHARDS, EncoderIdentity
from edgeqa.contexts import Piece
from edgeqa.contexts.windows import Window
from edgeqa.models.readers import SplitReader
from edgeqa.models.session import SessionOptions

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

    from edgeqa.models.bundle import Bundle

TEXTS = {"pump.txt": long_text(120), "valve.txt": long_text(60, "valve"), "short.txt": "One line."}


@pytest.fixture(scope="module")
def reader(bundle: Bundle) -> SplitReader:
    return SplitReader(bundle, SessionOptions())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "default"


def test_contexts_come_out_as_the_texts_were_cut(place: Path) -> None:
    fill(place, TEXTS)
    opened = Collection(place, ENCODER)
    expected = [(name, n, p) for name, text in TEXTS.items() for n, p in enumerate(passages_of(text), 1)]
    assert opened.contexts == len(expected) > 10
    for context_id, (name, number, passage) in enumerate(expected):
        found = opened.context(context_id)
        assert (found.context_id, found.document, found.title) == (context_id, name, "")
        assert (found.text, found.start) == (passage.text, passage.start)
        assert found.address == f"{name}:{{{opened.snapshot.shards[0].tag}}}:{number}"
        assert found.encoding is None
        for mine, its in (
            (found.tokens.ids, passage.tokens.ids),
            (found.ids, passage.tokens.ids),
            (found.tokens.offsets, passage.tokens.offsets),
            (found.tokens.words, passage.tokens.words),
            (found.paragraphs, passage.paragraphs),
            (found.meaningful, groups(passage).meaningful),
        ):
            assert np.array_equal(mine, its)


def test_heading_kind_and_pieces_are_given_out(place: Path) -> None:
    plain = passages_of("Type: rotor; Price: 120")[0]
    pieces = (Piece(0, 4, 10), Piece(6, 11, 30))
    with open_writer(place) as writer:
        writer.begin_source(b"/parts.csv", "parts.csv", b"1", 128)
        writer.begin_document("", "Parts")
        writer.add(Window(plain.text, 30, plain.tokens, ("Parts", "Pump"), "row", pieces), groups(plain), None)
        writer.add(plain, groups(plain), None)
        writer.end_document()
        writer.end_source()
        writer.commit()
    opened = Collection(place)
    row, paragraph = opened.context(0), opened.context(1)
    assert (row.kind, row.heading, row.pieces) == ("row", ("Parts", "Pump"), pieces)
    assert (row.text, row.start, row.document, row.title) == (plain.text, 30, "parts.csv", "Parts")
    assert (paragraph.kind, paragraph.heading, paragraph.pieces) == ("paragraph", (), ())
    assert row.digest != paragraph.digest


def test_encodings_are_read_to_the_same_bits(place: Path, reader: SplitReader) -> None:
    texts = passages_of(TEXTS["pump.txt"])
    made = {p.text: reader.encode_context(p.tokens.ids) for p in texts}
    with open_writer(place) as writer:
        put(writer, "pump.txt", [("", TEXTS["pump.txt"])], lambda p: made[p.text])
        writer.commit()
    opened = Collection(place)
    question = reader.encode_question(texts[0].tokens.ids[:5])
    for context_id, passage in enumerate(texts):
        stored = opened.context(context_id).encoding
        assert stored is not None
        assert np.array_equal(stored.hidden, made[passage.text].hidden)
        assert np.array_equal(stored.scale, made[passage.text].scale)
        assert not stored.hidden.flags.owndata
        assert not stored.hidden.flags.writeable
        fresh, kept = reader.read(question, made[passage.text]), reader.read(question, stored)
        assert np.array_equal(fresh.start, kept.start)
        assert np.array_equal(fresh.end, kept.end)
        assert fresh.no_answer == kept.no_answer


def test_a_context_that_is_not_there_is_gone(place: Path) -> None:
    fill(place, {"short.txt": "One line."})
    opened = Collection(place)
    for context_id in (1, 99, 1 << 40):
        with pytest.raises(ContextGone):
            opened.context(context_id)


def test_many_threads_read_one_collection(place: Path) -> None:
    fill(place, TEXTS)
    opened = Collection(place)
    expected = [opened.context(n).text for n in range(opened.contexts)]
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append([opened.context(n).text for n in range(opened.contexts)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


@pytest.mark.parametrize("file", ["table.bin", "records.bin", "encodings.bin", "manifest.json"])
def test_a_flipped_byte_anywhere_is_found_named_and_left_out(place: Path, reader: SplitReader, file: str) -> None:
    passages = passages_of(TEXTS["short.txt"] + " " + TEXTS["valve.txt"])
    with open_writer(place) as writer:
        text = TEXTS["short.txt"] + " " + TEXTS["valve.txt"]
        put(writer, "valve.txt", [("", text)], lambda p: reader.encode_context(p.tokens.ids))
        writer.commit()
    (shard,) = (place / SHARDS).iterdir()
    sound = (shard / file).read_bytes()
    expected = [p.text for p in passages]
    for at in np.linspace(0, len(sound) - 1, 25).astype(int):
        raw = bytearray(sound)
        raw[at] ^= 0x10
        (shard / file).write_bytes(raw)
        found = [text_or_damage(place, context_id) for context_id in range(len(expected))]
        damages = [one for one in found if isinstance(one, ShardDamaged)]
        assert all(isinstance(f, ShardDamaged) or f == text for f, text in zip(found, expected, strict=True))
        assert all(error.tag == shard.name in str(error) and error.file == shard / file for error in damages)
        # Bytes between two encodings are nothing's: `verify` sees them, a reader need not.
        assert damages or (file == "encodings.bin" and raw[at] == 0x10)
    (shard / file).write_bytes(sound)
    opened = Collection(place)
    assert [opened.context(n).text for n in range(len(expected))] == expected


def text_or_damage(place: Path, context_id: int) -> str | ShardDamaged:
    try:
        return Collection(place).context(context_id).text
    except ShardDamaged as error:
        return error


@pytest.mark.parametrize("file", ["table.bin", "records.bin"])
@pytest.mark.parametrize("change", ["cut", "longer", "gone"])
def test_a_file_of_another_length_is_damaged(place: Path, file: str, change: str) -> None:
    fill(place, {"short.txt": "One line."})
    (shard,) = (place / SHARDS).iterdir()
    raw = (shard / file).read_bytes()
    if change == "gone":
        (shard / file).unlink()
    else:
        (shard / file).write_bytes(raw[:-1] if change == "cut" else raw + b"\0")
    opened = Collection(place)
    with pytest.raises(ShardDamaged, match=shard.name):
        opened.context(0)
    assert list(opened.damaged) == [shard.name]


@pytest.mark.parametrize("file", ["table.bin", "records.bin"])
def test_a_file_that_is_cut_short_while_it_is_read_is_damaged_and_one_moved_is_not(
    place: Path, file: str, tmp_path: Path
) -> None:
    fill(place, {"short.txt": "One line.", "other.txt": "Another line."})
    (shard,) = (place / SHARDS).iterdir()
    opened = Collection(place)
    assert opened.context(1).text == "Another line."
    (shard / file).rename(tmp_path / "moved")
    assert opened.context(0).text == "One line."
    os.truncate(tmp_path / "moved", (tmp_path / "moved").stat().st_size - 1)
    with pytest.raises(ShardDamaged, match=rf"{file}.*it ends before"):
        opened.context(1)
    os.truncate(tmp_path / "moved", 0)
    with pytest.raises(ShardDamaged, match=rf"{file}.*it ends before"):
        opened.context(0)


def test_a_file_that_cannot_be_read_is_named(place: Path, tmp_path: Path) -> None:
    fill(place, {"short.txt": "One line."})
    (directory,) = (place / SHARDS).iterdir()
    shard = Shard(directory)
    shard._table = _Open(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY))  # which no file is read from
    with pytest.raises(ShardDamaged, match=r"table\.bin.*Is a directory"):
        shard.row(0)


def test_a_shard_of_a_later_format_is_not_read(place: Path) -> None:
    fill(place, {"short.txt": "One line."})
    (shard,) = (place / SHARDS).iterdir()
    manifest = shard / "manifest.json"
    manifest.write_bytes(Manifest.parse(manifest.read_bytes(), manifest)._replace(format=3).pack())
    with pytest.raises(CollectionFormatUnsupported, match="format 3"):
        Collection(place)


def test_the_digest_changes_with_what_is_held_and_comes_back(place: Path) -> None:
    fill(place, {"a.txt": "One line."})
    before = load_snapshot(place).digest
    with open_writer(place) as writer:
        put(writer, "b.txt", [("", "Another.")])
        writer.commit()
    between = load_snapshot(place)
    assert between.digest != before
    with open_writer(place) as writer:
        (source,) = writer.catalogue.sources_named("b.txt")
        writer.remove_source(source)
        writer.commit()
    assert load_snapshot(place).digest == before


def test_without_its_file_the_snapshot_comes_from_the_catalogue(place: Path) -> None:
    fill(place, TEXTS)
    stored = load_snapshot(place)
    (place / FILE).unlink()
    assert load_snapshot(place) == stored
    (place / FILE).write_text("{")
    assert load_snapshot(place) == stored


def test_another_bundle_is_refused(place: Path) -> None:
    fill(place, {"short.txt": "One line."})
    other = EncoderIdentity("0" * 32, "other 2", ENCODER.width)
    with pytest.raises(CollectionOtherBundle, match=r"made with another bundle \(edgeqa-mini") as caught:
        Collection(place, other)
    assert "--re-encode" in caught.value.hint


def test_no_collection_and_no_name(place: Path) -> None:
    with pytest.raises(CollectionNotFound) as caught:
        Collection(place)
    assert "edgeqa add PATH" in caught.value.hint
    for name in ("", ".", "..", "a/b", "-x", "a" * 65, "é"):
        with pytest.raises(CollectionNameInvalid):
            collection.directory(name)
    assert collection.directory("manuals").parts[-2:] == ("collections", "manuals")


@pytest.mark.usefixtures("unmeasured")
def test_reading_text_imports_neither_numpy_nor_sqlite(place: Path, run: Run) -> None:
    fill(place, {"short.txt": "One line."})
    code = """
import sys
from pathlib import Path
from edgeqa.collection.collection import Collection
assert Collection(Path(sys.argv[1])).context(0).text == "One line."
assert not {"numpy", "sqlite3", "onnxruntime", "tokenizers"} & sys.modules.keys()
"""
    assert run(code, place).communicate() == ("", "")

"""Tests the route index on its own, on real files, with real processes really killed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from functools import partial
from typing import TYPE_CHECKING

import pytest
import tantivy
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeqa.collection.errors import RouteDamaged, RouteUnwritable
from edgeqa.collection.index import META_LOCK, WRITER_LOCK, Index, IndexWriter, _check_limits
from edgeqa.contexts.search import MAX_MENDED, weight
from edgeqa.contexts.terms import terms
from edgeqa.errors import FilesLimited, ThreadsLimited
from edgeqa.files import try_lock

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

    from edgeqa.contexts.search import Hits

TEXTS = {
    1: ("The pump may be submerged to a depth of 1,250 centimetres.", "Pump manual"),
    2: ("The machine was designed by Charles Babbage.", "Analytical Engine"),
    3: ("Gardens are open from nine to five.", "Visiting"),
    4: ("Pumps, pumps and more pumps: a history of the submersible pump.", ""),
    7: ("Nothing here has to do with water.", "Pump"),
}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "route"
    with IndexWriter(directory) as writer:
        for context_id, (text, title) in TEXTS.items():
            writer.add(context_id, text, title)
        writer.commit()
    return directory


def ids(hits: Hits) -> list[int]:
    return [hit.number for hit in hits.best]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("Who designed the machine?", 2),
        ("When are the gardens open?", 3),
        ("What is 1250 cm deep?", 1),
        ("a history of pumping", 4),
        ("the analytical engines", 2),  # in the title alone
        ("Who desinged it?", 2),
        ("gardns", 3),
    ],
)
def test_the_best_context_comes_first(made: Path, question: str, first: int) -> None:
    assert ids(Index(made).search(question, 3))[0] == first


def test_hits_are_as_many_as_wanted_best_first(made: Path) -> None:
    hits = Index(made).search("pump", 10)
    assert set(ids(hits)) == {1, 4, 7}
    assert [hit.score for hit in hits.best] == sorted((hit.score for hit in hits.best), reverse=True)
    assert Index(made).search("pump", 2).best == hits.best[:2]


@pytest.mark.parametrize("question", ["", "what is it", "?!", "xylophonist"])
def test_what_nothing_matches_has_no_hit(made: Path, question: str) -> None:
    assert Index(made).search(question, 10).best == []


def test_a_part_alone_is_looked_at_with_the_weights_of_all(made: Path) -> None:
    index = Index(made)
    every, part = index.search("pump depth", 5), index.search("pump depth", 5, ((1, 2), (4, 7)))
    assert [hit for hit in every.best if hit.number in (1, 4)] == part.best
    assert (every.passages, part.passages) == (5, 4)
    assert part.weights == every.weights
    assert index.search("pump", 5, ((0, 1 << 40),)).passages == 5


def test_a_word_that_a_title_alone_has_is_no_slip(tmp_path: Path) -> None:
    with IndexWriter(tmp_path) as writer:
        for number, (text, title) in enumerate([("It turns.", "Gear"), ("A bear.", ""), ("Bears.", "")]):
            writer.add(number, text, title)
        writer.commit()
    found = Index(tmp_path).search("gear", 5)
    assert (ids(found), found.mended) == ([0], {})
    assert found.weights == {"gear": weight(3, 1)}


def test_what_is_unknown_and_a_swapped_word_of_the_question_alone_are_told(made: Path) -> None:
    found = Index(made).search("Waht machine was sold?", 5)
    assert found.unknown == frozenset({"sold"})
    assert found.mended == {"waht": "what"}


def test_only_so_many_words_are_mended(tmp_path: Path) -> None:
    meant = ["pump", "depth", "valve", "filter", "machine", "garden", "water", "history", "manual", "engine"]
    with IndexWriter(tmp_path) as writer:
        writer.add(1, " ".join(meant), "")
        writer.commit()
    slips = [f"{word}x" for word in meant]
    found = Index(tmp_path).search(" ".join(slips), 5)
    assert list(found.mended) == slips[:MAX_MENDED]


def test_a_large_id_comes_back_whole(tmp_path: Path) -> None:
    with IndexWriter(tmp_path) as writer:
        writer.add(2**63 - 2, "pump", "")
        writer.commit()
    assert ids(Index(tmp_path).search("pump", 1)) == [2**63 - 2]


def test_an_open_index_stays_as_it_was(made: Path) -> None:
    before = Index(made)
    with IndexWriter(made) as writer:
        for context_id in range(100, 140):
            writer.add(context_id, "pump", "")
            writer.commit()  # a segment each, so that they are merged
        writer.delete(0, 5)
        writer.commit()
    assert set(ids(before.search("pump", 100))) == {1, 4, 7}
    assert set(ids(Index(made).search("pump", 100))) == {7, *range(100, 140)}


def test_what_is_not_committed_is_lost(made: Path) -> None:
    with IndexWriter(made) as writer:
        writer.add(8, "pump", "")
        writer.delete(0, 100)
    assert set(ids(Index(made).search("pump", 10))) == {1, 4, 7}


Change = tuple[str, int, str]
WORDS = ("pump", "garden", "machine", "12", "babbage")


@settings(max_examples=25)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 20), st.sampled_from(WORDS)),
            st.tuples(st.just("delete"), st.integers(0, 20), st.just("")),
            st.tuples(st.just("commit"), st.just(0), st.just("")),
            st.tuples(st.just("reopen"), st.just(0), st.just("")),
        ),
        max_size=20,
    )
)
def test_it_holds_what_was_added_and_not_deleted(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Change]
) -> None:
    directory = tmp_path_factory.mktemp("route")
    pending: dict[int, str] = {}
    committed: dict[int, str] = {}
    writer = IndexWriter(directory)
    for change, context_id, word in changes:
        if change == "add" and context_id not in pending:
            writer.add(context_id, word, "")
            pending[context_id] = word
        elif change == "delete":
            writer.delete(context_id, context_id + 5)
            pending = {i: w for i, w in pending.items() if not context_id <= i < context_id + 5}
        elif change == "commit":
            writer.commit()
            committed = dict(pending)
        elif change == "reopen":
            writer.close()
            writer, pending = IndexWriter(directory), dict(committed)
    writer.close()
    index = Index(directory)
    for word in WORDS:
        assert sorted(ids(index.search(word, 100))) == sorted(i for i, w in committed.items() if w == word)


KILLED = """
import os, sys
from pathlib import Path
from edgeqa.collection.index import IndexWriter
writer = IndexWriter(Path(sys.argv[1]))
writer.delete(0, 3)
for number in range(1000, 3000):
    writer.add(number, f"pump number{number}", "")
    if number % 500 == 0:
        writer.commit()
print("ready", flush=True)
while True:
    writer.delete(number, number + 1)
    writer.add(number, "pump again", "")
    writer.commit()
    number -= 1
"""


def test_a_killed_writer_stands_in_nobodys_way(made: Path, run: Run) -> None:
    for _ in range(3):
        process = run(KILLED, made)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.wait()
        assert ids(Index(made).search("Who designed gardens?", 5)) == [3]
        with IndexWriter(made) as writer:
            writer.delete(0, 10_000)
            writer.commit()
            for context_id, (text, title) in TEXTS.items():
                writer.add(context_id, text, title)
            writer.commit()
        assert set(ids(Index(made).search("pump", 100))) == {1, 4, 7}


def test_what_a_killed_writer_left_is_swept(made: Path) -> None:
    kept = {file.name for file in made.iterdir()}
    names = ["0" * 32 + ".idx", "0" * 32 + ".17.del", next(n for n in kept if n.endswith(".idx"))[:32] + ".17.del"]
    for name in names:
        (made / name).write_bytes(b"left")
    (made / "notes.txt").write_text("the user's", encoding="utf-8")
    IndexWriter(made).close()
    assert {file.name for file in made.iterdir()} == kept | {"notes.txt"}


READ_AS_ANOTHER = """
import os, sys
from pathlib import Path
from edgeqa.collection.index import Index
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print([hit.number for hit in Index(Path(sys.argv[1])).search("gardens", 5).best])
"""


def show_to_all(made: Path) -> None:
    for parent in made.parents:
        if parent.stat().st_mode & 0o005 == 0o005:  # as of the system's own
            break
        parent.chmod(0o755)
    for file in made.iterdir():
        file.chmod(0o644)
    made.chmod(0o555)


@pytest.mark.usefixtures("unmeasured")
def test_an_index_is_read_where_nothing_can_be_written(made: Path, run: Run) -> None:
    """On a read-only medium, or by another user."""
    show_to_all(made)
    done = run(READ_AS_ANOTHER, made).communicate(timeout=60)
    made.chmod(0o755)
    assert done == ("[3]\n", "")


NOWHERE_TO_WRITE = """
import tempfile
from edgeqa import state
def nowhere(prefix, dir):
    if dir is None or str(dir) != allowed:
        raise FileNotFoundError(2, "No usable temporary directory found")
    return made(prefix=prefix, dir=dir)
allowed, made, tempfile.TemporaryDirectory = sys.argv[2], tempfile.TemporaryDirectory, nowhere
"""


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_without_a_temporary_directory_another_is_found_or_named(
    made: Path, run: Run, tmp_path: Path, *, is_elsewhere: bool
) -> None:
    show_to_all(made)
    other = tmp_path / "runtime"
    other.mkdir()
    other.chmod(0o777)
    lines = READ_AS_ANOTHER.splitlines()
    code = "\n".join([*lines[:-1], NOWHERE_TO_WRITE, "os.environ['XDG_RUNTIME_DIR'] = sys.argv[2]", lines[-1]])
    out, err = run(code, made, other if is_elsewhere else "nowhere").communicate(timeout=60)
    made.chmod(0o755)
    if is_elsewhere:
        assert (out, err) == ("[3]\n", "")
        assert list(other.iterdir()) == []
    else:
        assert out == ""
        assert "RouteUnreadable: cannot read the route index" in err


def test_a_missing_and_a_damaged_index_are_named_with_the_remedy(made: Path, tmp_path: Path) -> None:
    with pytest.raises(RouteDamaged, match=r"the route index is damaged: .*nowhere") as caught:
        Index(tmp_path / "nowhere")
    assert "edgeqa add" in caught.value.hint
    for file in made.glob("*.idx"):
        cut = file.read_bytes()[:-10]
        file.unlink()  # it may be mapped
        file.write_bytes(cut)
    with pytest.raises(RouteDamaged):
        Index(made)
    (made / "meta.json").write_text("{", encoding="utf-8")
    with pytest.raises(RouteDamaged):
        Index(made)
    with pytest.raises(RouteDamaged):
        IndexWriter(made)


def test_an_index_that_is_not_mapped_is_a_copy_that_nothing_reaches(made: Path, tmp_path: Path) -> None:
    index = Index(made, mapped=False)
    found = index.search("gardens", 5)
    beside = shutil.copytree(made, tmp_path / "mapped")  # the library's threads may still read what was just let go
    assert found == Index(beside).search("gardens", 5)
    for file in made.iterdir():
        os.truncate(file, 0)
    assert index.search("gardens", 5) == found


def test_an_index_that_is_cut_short_is_not_searched(made: Path) -> None:
    """To touch what is missing of a mapped file ends the process."""
    index = Index(made)
    assert ids(index.search("gardens", 5)) == [3]
    file = next(made.glob("*.term"))
    whole = file.read_bytes()
    os.truncate(file, len(whole) - 1)
    with pytest.raises(RouteDamaged, match=rf"{file.name} was cut short"):
        index.search("gardens", 5)
    file.write_bytes(whole)  # the same file, as it was
    assert ids(index.search("gardens", 5)) == [3]


def test_a_file_that_another_took_the_place_of_is_searched_as_it_was(made: Path, tmp_path: Path) -> None:
    index = Index(made)
    for file in list(made.glob("*.term")):
        (tmp_path / "shorter").touch()
        (tmp_path / "shorter").replace(file)
    assert ids(index.search("gardens", 5)) == [3]
    for file in list(made.iterdir()):
        file.rename(tmp_path / file.name)
    assert ids(index.search("gardens", 5)) == [3]


def test_what_is_no_plain_file_is_no_index(made: Path) -> None:
    (made / "meta.json").unlink()
    os.mkfifo(made / "meta.json")
    with pytest.raises(RouteDamaged, match=r"meta\.json"):
        Index(made)


def test_a_limit_on_open_files_is_no_damage_of_the_index(made: Path) -> None:
    """The library says it in words of its own."""
    for said in ("Too many open files (os error 24)", "an IO error occurred: 'Too many open files'"):
        with pytest.raises(FilesLimited):
            _check_limits(ValueError(said))
    with pytest.raises(ThreadsLimited):
        _check_limits(ValueError("Failed to spawn a thread"))
    _check_limits(ValueError("damaged"))
    assert Index(made).contexts == len(TEXTS)


def test_arenas_are_shared_before_a_thread_has_one_of_its_own(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("_share_arenas", "_check_thread"):
        monkeypatch.setattr(f"edgeqa.collection.index.{name}", partial(done.append, name))
    Index(made)
    IndexWriter(made).close()
    assert done == ["_share_arenas", "_check_thread"] * 2


def test_an_index_may_be_in_a_directory_whose_name_is_no_utf8(tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(b"pla\xff")
    with IndexWriter(place) as writer:
        writer.add(7, "The gardens are open.", "")
        writer.commit()
    assert ids(Index(place).search("gardens", 5)) == [7]


def test_a_second_writer_is_refused(made: Path) -> None:
    with IndexWriter(made), pytest.raises(RouteUnwritable):
        IndexWriter(made)


def test_every_term_of_a_context_finds_it(made: Path) -> None:
    index = Index(made)
    for context_id, (text, title) in TEXTS.items():
        for term in terms(f"{text} {title}"):
            assert context_id in ids(index.search(term, 10))


def test_no_operation_has_the_number_of_an_earlier_commit(tmp_path: Path) -> None:
    # A merge would take it for done: about one deletion in a thousand was lost after a kill.
    for _ in range(3):
        with IndexWriter(tmp_path / "route") as writer:
            committed = json.loads((tmp_path / "route" / "meta.json").read_bytes())["opstamp"]
            assert writer._writer.delete_documents_by_query(tantivy.Query.empty_query()) > committed
            writer.commit()


def test_a_forked_child_keeps_no_lock_of_the_library(made: Path) -> None:
    of_child, of_parent = os.pipe()
    there, is_there = os.pipe()
    # As the library has it for a moment: to open an index takes this lock, and closing a handle gives it back.
    below = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]  # numbers for what the child opens to find them
    held = [os.open(made / name, os.O_RDWR | os.O_CREAT) for name in (META_LOCK, WRITER_LOCK)]
    for handle in held:
        fcntl.flock(handle, fcntl.LOCK_EX)
    for handle in below:
        os.close(handle)
    child = os.fork()
    if not child:
        os.close(of_parent)
        os.write(is_there, b"!")
        os.read(of_child, 1)
        for handle in held:
            os.close(handle)  # as the library would, some day
        os._exit(0)
    assert os.read(there, 1) == b"!"
    for handle in (*held, of_child, there, is_there):
        os.close(handle)
    try:
        for name in (META_LOCK, WRITER_LOCK):
            with (made / name).open() as stream:
                assert try_lock(stream.fileno(), fcntl.LOCK_EX)
        assert ids(Index(made).search("Who designed the machine?", 1)) == [2]
    finally:
        os.close(of_parent)
        assert os.waitpid(child, 0)[1] == 0

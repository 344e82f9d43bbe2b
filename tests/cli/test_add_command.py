"""Tests `edgeqa add`, `sync`, `list`, `remove` and `verify` as a person uses them, as real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from program import DEADLINE_S, EDGEQA, edgeqa

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def manuals(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "manuals")
    (tmp_path / "manuals" / "more").mkdir()
    (tmp_path / "manuals" / "more" / "valve.md").write_text("# Valve\n\nThe valve opens at 4 bar.\n")
    return tmp_path / "manuals"


@pytest.fixture
def shards(home: Path) -> Path:
    return home / "collections" / "default" / "shards"


def listed(*arguments: str) -> dict[str, dict[str, object]]:
    done = edgeqa("list", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["document"]: row for row in rows}


def test_add_list_sync_remove(manuals: Path) -> None:
    done = edgeqa("add", "manuals", cwd=manuals.parent)
    assert done.returncode == 0
    names = sorted(str(p.relative_to(manuals.parent)) for p in manuals.rglob("*.*"))
    assert done.stdout.splitlines()[0] == f"default: {len(names)} added"
    assert sorted(listed()) == names
    assert {name: row["path"] for name, row in listed().items()} == {n: str(manuals.parent / n) for n in names}
    plain = edgeqa("list").stdout.splitlines()
    assert [line.split()[2] for line in plain] == list(listed())
    assert {len(str(row["tag"])) for row in listed().values()} == {3}

    (manuals / "more" / "valve.md").unlink()
    done = edgeqa("sync", "manuals", "--json", cwd=manuals.parent)
    report = json.loads(done.stdout)
    assert (report["files_unchanged"], report["files_removed"], report["failed"]) == (len(names) - 1, 1, [])
    (manuals / "more").rmdir()
    manuals.rename(manuals.parent / "elsewhere")
    done = edgeqa("sync", "manuals", cwd=manuals.parent)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines() == [
        f"edgeqa: all that was added from manuals is gone: {len(names) - 1} files; nothing is removed",
        "  hint: if it is on a disk or a share, see that this is mounted, and run this again; to remove it: "
        "edgeqa sync --drop-all manuals",
    ]
    assert len(listed()) == len(names) - 1
    done = edgeqa("remove", "manuals/pump-manual.txt", "--json")
    assert json.loads(done.stdout) == {"documents": 1, "contexts": 4}
    assert "manuals/pump-manual.txt" not in listed()
    assert edgeqa("sync", "--drop-all", "manuals", cwd=manuals.parent).stdout == "default: 1 removed\n"
    done = edgeqa("remove", "manuals/pump-manual.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "edgeqa: not in the collection: manuals/pump-manual.txt",
        "  hint: `edgeqa list` shows what is there",
    ]


def test_adding_what_has_not_changed_loads_no_model(manuals: Path) -> None:
    program = (
        "import sys, edgeqa.cli as cli\n"
        "cli.commands.main(['add', *sys.argv[1:]], standalone_mode=False)\n"
        "print(sorted({'numpy', 'onnxruntime', 'tokenizers', 'tantivy'} & set(sys.modules)))"
    )

    def add() -> list[str]:
        command = [sys.executable, "-c", program, str(manuals), "-"]
        done = subprocess.run(command, input="Piped.", capture_output=True, text=True, timeout=DEADLINE_S, check=True)
        return [done.stdout.splitlines()[0], done.stdout.splitlines()[-1]]

    assert add() == ["default: 4 added", "['numpy', 'onnxruntime', 'tantivy', 'tokenizers']"]
    assert add() == ["default: 4 unchanged", "['tantivy']"]
    (manuals / "more" / "valve.md").unlink()
    assert edgeqa("sync", manuals, "--json").stdout.startswith('{"collection": "default", "files_added": 0, ')


def test_collections_are_apart(manuals: Path) -> None:
    assert edgeqa("add", manuals / "more", "--collection", "valves").returncode == 0
    assert list(listed("--collection", "valves")) == [str(manuals / "more" / "valve.md")]
    done = edgeqa("list")
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: make it: edgeqa add PATH..." in done.stderr
    done = edgeqa("add", manuals, "--collection", "../x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a name for a collection" in done.stderr


def test_standard_input(tmp_path: Path) -> None:
    page = b"<html><title>Valve</title><p>The valve opens at 4 bar.</p></html>"
    assert edgeqa("add", "-", "--format", "html", stdin=page).returncode == 0
    assert [row["title"] for row in listed().values()] == ["Valve"]
    done = edgeqa("add", "-", stdin=b"Another text.")
    (second,) = [name for name, row in listed().items() if not row["title"]]
    assert done.stdout.splitlines()[::2] == ["default: 1 added", f"  from a pipe: {second}"]
    assert edgeqa("add", "-", stdin=b"Another text.").stdout.startswith("default: 1 unchanged\n")
    assert edgeqa("add", "/dev/stdin", stdin=b"A pipe.").returncode == 0
    assert len(listed()) == 3
    assert json.loads(edgeqa("remove", second, "--json").stdout) == {"documents": 1, "contexts": 1}
    assert len(listed()) == 2
    fields = ("--text-field", "a", "--title-field", "t", "--format", "jsonl")
    (tmp_path / "faq").write_text('{"t": "One", "a": "First."}\n{"t": "Two", "a": "Second."}\n')
    assert edgeqa("add", tmp_path / "faq", *fields).returncode == 0
    assert {row["title"] for row in listed().values()} == {"", "Valve", "One", "Two"}


@pytest.mark.parametrize("writer", ["nobody", "stopped"])
def test_what_waits_for_a_pipe_can_be_interrupted(writer: str, manuals: Path) -> None:
    pipe = manuals.parent / "pipe"
    os.mkfifo(pipe)
    adding = subprocess.Popen(
        [*EDGEQA, "add", manuals, pipe], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    stopped = None
    try:
        if writer == "stopped":
            code = f"import os, signal\nwith open({str(pipe)!r}, 'wb', 0) as pipe:\n pipe.write(b'The valve')\n"
            stopped = subprocess.Popen([sys.executable, "-c", f"{code} os.kill(os.getpid(), signal.SIGSTOP)"])
            assert os.WIFSTOPPED(os.waitpid(stopped.pid, os.WUNTRACED)[1])
        else:
            lock = manuals.parent / "home" / "collections" / "default" / "writer.lock"
            give_up_at_s = time.monotonic() + DEADLINE_S
            while not lock.exists() or not lock.stat().st_size:  # from then on it is about to wait for the pipe
                assert time.monotonic() < give_up_at_s
                os.sched_yield()
        adding.send_signal(signal.SIGINT)
        out, error = adding.communicate(timeout=DEADLINE_S)
    finally:
        for process in (adding, stopped):
            if process is not None:
                process.kill()
                process.wait()
    assert (adding.returncode, out, error.strip()) == (130, "", "edgeqa: interrupted")
    assert edgeqa("add", manuals).stdout.startswith("default: 3 added")  # nothing is locked


def test_pipes_among_other_paths_are_told_in_their_order(manuals: Path) -> None:
    gone = manuals / "gone.txt"
    done = edgeqa("add", gone, "-", manuals, "-", "/dev/null", stdin=b"The valve opens at 4 bar.")
    assert (done.returncode, done.stdout.splitlines()[0]) == (2, "default: 5 added, 2 failed")
    lines = done.stderr.splitlines()
    said = [line for line, after in pairwise(lines) if after.startswith("  hint: ")]
    assert said == [f"edgeqa: no such file: {gone}", "edgeqa: -: no text in standard input"]


def test_a_text_from_a_pipe_has_the_name_that_it_is_given(tmp_path: Path) -> None:
    for text, outcome in ((b"The valve opens at 4 bar.", "added"), (b"The valve opens at 5 bar.", "changed")):
        done = edgeqa("add", "-", "--name", "valve", stdin=text)
        assert done.stdout.startswith(f"default: 1 {outcome}\n")
    assert list(listed()) == ["valve"]
    answer = edgeqa("ask", "At how many bar does the valve open?", "--json")
    assert (json.loads(answer.stdout)["source"], "5" in json.loads(answer.stdout)["answer"]) == ("valve", True)
    (tmp_path / "a.txt").touch()
    done = edgeqa("add", tmp_path / "a.txt", "--name", "valve")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "edgeqa: nothing can be called 'valve': a name is for one text that comes through a pipe",
        "  hint: name nothing but the pipe: edgeqa add - --name NAME; a file is called by its path",
    ]


def test_what_fails_is_named_with_a_remedy_and_the_rest_is_added(manuals: Path) -> None:
    (manuals / "cut.jsonl").write_text('{"text": "Good."}\n{"text": "Cu')
    (manuals / "loop").symlink_to(manuals)
    (manuals / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    done = edgeqa("add", manuals, manuals.parent / "missing.txt")
    assert done.returncode == 2
    assert f"{manuals / 'cut.jsonl'}" in done.stderr
    assert f"no such file: {manuals.parent / 'missing.txt'}" in done.stderr
    assert "edgeqa: left out: 1 .jpg: unknown format" in done.stderr
    assert f"edgeqa: left out: {manuals / 'loop'}: " in done.stderr
    assert done.stdout.splitlines()[0].endswith(" added, 2 failed, 2 left out")
    assert str(manuals / "more" / "valve.md") in listed()
    done = edgeqa("add", manuals / "photo.jpg")
    assert (done.returncode, done.stdout) == (2, "")
    done = edgeqa("add")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing to add" in done.stderr


@pytest.mark.parametrize("value", ["-1", "much", ""])
def test_a_size_that_is_none_is_refused(manuals: Path, value: str) -> None:
    done = edgeqa("add", manuals, "--encodings", value)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--encodings" in done.stderr


def test_a_flipped_byte_is_named_by_verify_and_mended_by_add(manuals: Path, shards: Path) -> None:
    assert edgeqa("add", manuals).returncode == 0
    assert edgeqa("verify").stdout == "sound\n"
    (shard,) = shards.iterdir()
    raw = bytearray((shard / "encodings.bin").read_bytes())
    raw[100] ^= 1
    (shard / "encodings.bin").write_bytes(raw)
    done = edgeqa("verify")
    assert done.returncode == 3
    first, name = done.stdout.splitlines()
    assert first == f"damaged: shard {shard.name} is damaged: encodings.bin: wrong checksum"
    assert name.strip() in listed()
    done = edgeqa("verify", "--json")
    assert json.loads(done.stdout)["damaged"][0]["shard"] == shard.name
    assert edgeqa("add", manuals).stdout.splitlines()[0].startswith("default: 1 changed, ")
    done = edgeqa("verify", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"sound": True, "damaged": [], "route": None})


def test_a_damaged_index_is_named_by_verify_and_made_anew_by_add(manuals: Path, shards: Path) -> None:
    assert edgeqa("add", manuals).returncode == 0
    (file,) = (shards.parent / "route").glob("*.idx")
    file.write_bytes(file.read_bytes()[:-1])
    done = edgeqa("verify")
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        f"damaged: the route index is damaged: {file.parent}: {file.name}: it is cut off",
        "  `edgeqa add` on any file makes it anew",
    ]
    done = edgeqa("verify", "--json")
    assert (done.returncode, file.name in json.loads(done.stdout)["route"]) == (3, True)
    done = edgeqa("ask", "At how many bar does the valve open?")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the route index is damaged" in done.stderr
    assert edgeqa("add", manuals / "more").stdout == "default: 1 unchanged\n"
    assert edgeqa("verify").stdout == "sound\n"
    assert "4 bar" in edgeqa("ask", "At how many bar does the valve open?").stdout


def test_ctrl_c_keeps_whole_documents_and_going_on_adds_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number:03}.txt").write_text(f"Pump number {number} may be submerged to {number * 3} metres. " * 9)
    started = subprocess.Popen([*EDGEQA, "add", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    assert started.stderr.readline() == "edgeqa: adding\n"  # it is at work, for more than a second
    started.send_signal(signal.SIGINT)
    out, error = started.communicate(timeout=DEADLINE_S)
    assert (started.returncode, out, error.strip()) == (130, "", "edgeqa: interrupted")
    kept = listed()
    assert all(row["contexts"] == 1 for row in kept.values())
    done = edgeqa("add", folder, "--json")
    report = json.loads(done.stdout)
    assert report["files_unchanged"] == len(kept)
    assert report["files_added"] == 400 - len(kept)
    assert len(listed()) == 400


@pytest.mark.skipif(not os.access("/proc/self/ns/mnt", os.R_OK), reason="needs mount namespaces")
@pytest.mark.usefixtures("manuals")
def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path: Path) -> None:
    # A disk of its own, as small as that, in a namespace that nobody else sees.
    script = f"""
mount -t tmpfs -o size=1500k tmpfs {tmp_path}/home || exit 77
cd {tmp_path}
{" ".join(EDGEQA)} add manuals || exit 1
head -c 4000000 /dev/zero | tr '\\0' 'x' | fold -w 7 > long.txt
{" ".join(EDGEQA)} add long.txt --encodings 0 2> error; echo $?
{" ".join(EDGEQA)} list --json
{" ".join(EDGEQA)} verify
rm long.txt; {" ".join(EDGEQA)} remove manuals/pump-manual.txt
cat error
"""
    (tmp_path / "home").mkdir()
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    done = subprocess.run(
        [*namespace, "/bin/sh", "-c", script], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no right to mount")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    at = lines.index("3")
    documents = [json.loads(line)["document"] for line in lines[at + 1 : lines.index("sound")]]
    assert "manuals/pump-manual.txt" in documents
    assert "long.txt" not in documents
    assert any(re.fullmatch(r"removed: 1 document, \d+ passages?", line) for line in lines)
    assert "cannot write to the collection default" in done.stdout or "cannot write to the route" in done.stdout
    assert "Traceback" not in done.stdout

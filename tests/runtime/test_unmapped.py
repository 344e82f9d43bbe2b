"""Tests files that are read instead of mapped (`mmap=False`, `EDGEQA_MMAP=0`), and files cut short meanwhile.

What is the same either way: answers, passages, collections. Each process is one of its own: a mistake ends it (SIGBUS).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeqa.models.bundle import DEFAULT_BUNDLE

EXAMPLES = Path(__file__).parents[2] / "examples"
DEADLINE_S = 120

ALL = """
import gc, json, os, sys
import edgeqa

def said(found):
    facts = found.to_json()
    facts.pop("timings_ms", None)
    return facts

def mapped():
    gc.collect()  # what adding has mapped
    with open("/proc/self/maps") as table:
        lines = [line.split(None, 5)[5:] for line in table]
    below = (os.environ["EDGEQA_HOME"], sys.argv[1])
    return sorted({place[0].strip() for place in lines if place and place[0].startswith(below)})

told = []
with edgeqa.open(collection="here", bundle=edgeqa.models.__path__[0] + "/edgeqa-mini") as qa:
    report = qa.add(sys.argv[2])
    told.append([report.files_added, report.contexts, report.encoded])
with edgeqa.open(collection="here", bundle=sys.argv[1]) as qa:
    for question in ("To what depth may the pump be submerged?", "Who is the king of France?", "What was on board?"):
        told.append(said(qa.ask(question)))
        told.append([said(one) for one in qa.closest(question)])
    told.append(said(qa.ask("Who built the bridge?", "The bridge was built by Dorman Long. " * 40)))
    told.append(qa.verify().damaged)
    if os.path.exists("/proc/self/maps"):
        sys.stderr.write(json.dumps(mapped()))
print(json.dumps(told))
"""


def run(code: str, home: Path, *arguments: object, mmap: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "EDGEQA_HOME": str(home), "EDGEQA_MMAP": mmap}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundled model, so that what is mapped of it is not what Python maps of the package."""
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path_factory.mktemp("model") / "edgeqa-mini"))


def test_read_or_mapped_answers_and_collections_are_the_same(tmp_path: Path, model: Path) -> None:
    told: dict[str, Any] = {}
    mapped: dict[str, set[str]] = {}
    for mmap in ("1", "0"):
        home = tmp_path / mmap
        done = run(ALL, home, model, EXAMPLES, mmap=mmap)
        assert done.returncode == 0, done.stderr
        told[mmap] = json.loads(re.sub(r"\{[0-9A-Z]{3,16}\}", "{TAG}", done.stdout))
        mapped[mmap] = {Path(place).suffix for place in json.loads(done.stderr or "[]")}
        assert (home / "cache").exists() == (mmap == "1")  # LMDB is nothing but a map
    assert told["0"] == told["1"]
    assert told["0"][1]["answer"] == "12 metres"
    if Path("/proc/self/maps").exists():
        assert {".mdb", ".bin", ".idx"} <= mapped["1"]
        assert mapped["0"] == set()
    contents = [
        sorted(file.read_bytes() for file in (tmp_path / mmap).glob("collections/here/shards/*/encodings.bin"))
        for mmap in "01"
    ]
    assert contents[0] == contents[1] != []


CUT = """
import os, shutil, sys
from pathlib import Path
import edgeqa

made, copies, mmap = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "1"
names = sorted(str(found.relative_to(made)) for found in made.rglob("*") if found.is_file() and found.stat().st_size)
for number, name in enumerate(names):
    place = copies / str(number)
    shutil.copytree(made, place)
    with edgeqa.open(collection=place, mmap=mmap, persist="off") as qa:
        said = [qa.ask("To what depth may the pump be submerged?").text]
        file = place / name
        os.truncate(file, file.stat().st_size // 2 if number % 2 else 0)
        for question in ("How deep may the pump be submerged?", "What was the name of the ship?"):
            try:
                said.append(qa.ask(question).text)
            except edgeqa.EdgeQAError as error:
                assert error.hint, error
                said.append(type(error).__name__)
        try:
            said.append("sound" if qa.verify().sound else "damaged")
        except edgeqa.EdgeQAError as error:
            said.append(type(error).__name__)
    print(name, *said, sep="|", flush=True)
print(len(names))
"""


@pytest.mark.parametrize("mmap", ["0", "1"])
def test_whatever_of_a_collection_is_cut_short_ends_in_an_error_or_an_answer(mmap: str, tmp_path: Path) -> None:
    add = f"import edgeqa; edgeqa.open().add({str(EXAMPLES)!r})"
    assert run(add, tmp_path / "home").returncode == 0
    made = tmp_path / "home" / "collections" / "default"
    done = run(CUT, tmp_path / "home", made, tmp_path / "copies", mmap, mmap=mmap)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    *lines, count = done.stdout.splitlines()
    assert len(lines) == int(count) > 10
    seen = dict(line.split("|", 1) for line in lines)
    assert {line.split("|")[0] for line in seen.values()} == {"12 metres"}
    allowed = {"12 metres", "the Beagle", "Beagle", "None", "ShardDamaged", "RouteDamaged", "CatalogueDamaged"}
    answers = {said for line in seen.values() for said in line.split("|")[1:3]}
    assert {one for one in answers if "Beagle" not in one} <= allowed, seen
    unseen = [name for name, line in seen.items() if line.endswith("|sound")]
    assert [name for name in unseen if not name.startswith(("writer.lock", "route/."))] == [], seen


CUT_WEIGHTS = """
import os, sys
import edgeqa
text = "The bridge was built in 1932 by Dorman Long. It is of steel."
with edgeqa.open(bundle=sys.argv[1], persist="off") as qa:
    print(qa.ask("Who built the bridge?", text).text)
    os.truncate(os.path.join(sys.argv[1], sys.argv[2]), 4096)
    try:
        print(qa.ask("When was the bridge built?", text + " It is long.").text)
    except edgeqa.EdgeQAError as error:
        print(type(error).__name__, error.exit_code)
"""


@pytest.mark.parametrize("name", ["encode.bin", "read.bin"])
@pytest.mark.parametrize(("mmap", "then"), [("0", "1932"), ("1", "BundleFileDamaged 3")])
def test_weights_that_are_cut_short_in_use(name: str, mmap: str, then: str, tmp_path: Path) -> None:
    model = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "model")
    done = run(CUT_WEIGHTS, tmp_path / "home", model, name, mmap=mmap)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["Dorman Long", then]), done.stderr

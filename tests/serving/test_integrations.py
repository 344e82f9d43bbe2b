"""Tests what lies in `integrations/`, run as it stands against a real server."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import foreign
import pytest
from foreign import DEADLINE_S, PYTHON, ROOT
from running import Running, start, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INTEGRATIONS = ROOT / "integrations"
QUESTION = "To what depth may the pump be submerged?"
MAX_LINES = 100


@pytest.fixture(scope="module")
def server(with_examples: Path) -> Iterator[Running]:
    running = start(with_examples, "--redis", 0)
    yield running
    stop(running)


def run(server: Running, *command: object) -> str:
    """Returns what a program prints that finds the server where its users would say that it is."""
    redis_port = server.until_said(r"at redis://127\.0\.0\.1:(\d+)")[1]
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={
            **os.environ,
            "EDGEQA_URL": server.url,
            "EDGEQA_REDIS_PORT": redis_port,
            "HAYSTACK_TELEMETRY_ENABLED": "0",
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_python(server: Running, script: str, *arguments: str, needs: str) -> str:
    foreign.need_python(needs)
    return run(server, PYTHON, INTEGRATIONS / script, *arguments)


@pytest.mark.parametrize("path", sorted(INTEGRATIONS.iterdir()), ids=lambda path: path.name)
def test_each_can_be_read_at_a_glance(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MAX_LINES


@pytest.mark.parametrize(
    ("script", "needs"),
    [("langchain_retriever.py", "langchain_core"), ("llamaindex_retriever.py", "llama_index.core")],
)
def test_retrievers_give_the_closest_passages(server: Running, script: str, needs: str) -> None:
    shown = run_python(server, script, QUESTION, needs=needs)
    address, first_line = shown.splitlines()[:2]
    assert address.startswith("examples/pump-manual.txt:{")
    assert first_line == "2. Installation"


def test_a_component_of_haystack_gives_extracted_answers(server: Running) -> None:
    bridge = "The bridge was built in 1932 by Dorman Long."
    one = run_python(server, "haystack_reader.py", "Who built the bridge?", bridge, needs="haystack")
    assert one.splitlines()[0].endswith("  Dorman Long")
    several = run_python(
        server, "haystack_reader.py", "Who built the bridge?", "It was a fine day in May.", bridge, needs="haystack"
    )
    assert several.splitlines()[0].endswith("  Dorman Long")
    added = run_python(server, "haystack_reader.py", QUESTION, needs="haystack")
    assert added.splitlines()[0].endswith("  12 metres")
    assert run_python(server, "haystack_reader.py", "Who won the cup?", bridge, needs="haystack") == ""


IN_A_PIPELINE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from haystack import Document, Pipeline
from haystack_reader import EdgeQAReader
pipeline = Pipeline()
pipeline.add_component("reader", EdgeQAReader(top_k=2))
documents = [Document(content="It was a fine day in May."), Document(content="The bridge was built by Dorman Long.")]
found = pipeline.run({"reader": {"query": "Who built the bridge?", "documents": documents}})["reader"]["answers"]
best = found[0]
span = best.document_offset
print(json.dumps([best.data, best.document.content[span.start:span.end], best.document.id == documents[1].id]))
empty = pipeline.run({"reader": {"query": "Who built the bridge?", "documents": []}})["reader"]["answers"]
assert empty == []
"""


def test_the_component_stands_in_a_pipeline_and_says_which_document_it_was(server: Running) -> None:
    foreign.need_python("haystack")
    assert json.loads(run(server, PYTHON, "-c", IN_A_PIPELINE, INTEGRATIONS)) == ["Dorman Long", "Dorman Long", True]


def test_curl_asks(server: Running) -> None:
    foreign.program("curl")
    asked, closest, of_a_file = map(json.loads, run(server, INTEGRATIONS / "ask.sh", QUESTION).splitlines())
    assert asked["answer"] == "12 metres"
    assert len(closest["contexts"]) == 2
    assert of_a_file["answer"] == "Dorman Long"


def test_redis_cli_asks(server: Running) -> None:
    foreign.program("redis-cli")
    address, answer, asked = run(server, INTEGRATIONS / "redis.sh", QUESTION).splitlines()
    assert address.startswith("examples/pump-manual.txt:{")
    assert answer == "12 metres"
    assert json.loads(asked)["answer"] == "12 metres"

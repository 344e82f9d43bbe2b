"""Tests that Python can do what the command line can, with the same words and the same values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import edgeqa
from edgeqa import runtime
from edgeqa.cli import commands
from edgeqa.collection import directory

if TYPE_CHECKING:
    from pathlib import Path

MANUAL = "The pump may be submerged to 12 metres.\n\nIt was made in Leeds in 1931.\n"


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    file = tmp_path / "manual.txt"
    file.write_text(MANUAL)
    return file


def said(*arguments: str) -> list[Any]:
    return [json.loads(line) for line in CliRunner().invoke(commands, [*arguments, "--json"]).output.splitlines()]


def test_list_show_and_verify_are_those_of_the_command_line(manual: Path) -> None:
    with runtime.open(persist="off") as qa:
        with pytest.raises(edgeqa.CollectionError):
            qa.list()
        qa.add(manual)
        found = qa.list()
        assert [one.to_json() for one in found] == said("list")
        (one,) = found
        assert (one.document, one.path) == (str(manual), str(manual))
        assert qa.show(manual, (29, 31)).to_json() == said("show", str(manual), "29-31")[0]
        address = f"{one.document}:{{{one.tag}}}:1"
        assert qa.show(address).to_json() == said("show", address)[0]
        assert qa.show(manual).text == MANUAL
        with pytest.raises(edgeqa.ContextGone):
            qa.show(manual, (29, 3100))
        assert qa.verify().sound
        assert qa.verify().to_json() == said("verify")[0]
        (shard,) = (directory() / "shards").iterdir()
        (shard / "records.bin").write_bytes(b"x" + (shard / "records.bin").read_bytes()[1:])
        damaged = qa.verify()
        assert not damaged.sound
        assert [d.name for d in damaged.damaged[0].documents] == [one.document]
        assert damaged.to_json() == said("verify")[0]
        route = next(file for file in (directory() / "route").rglob("*") if file.is_file())
        route.write_bytes(b"")
        assert qa.verify(repair=True).route is None

"""Tests what the program does before it has to do anything."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest
from program import edgeqa

import edgeqa as package
from edgeqa.cli import COMMANDS, commands

HEAVY = {"onnxruntime", "tokenizers", "numpy"}


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["--version"], ["ask", "--help"], ["eval", "--help"], ["capabilities", "-h"]]
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\nimport edgeqa.cli as cli\n"
        f"try: cli.commands.main({arguments!r}, prog_name='edgeqa', standalone_mode=False)\n"
        f"finally: print('heavy:', sorted(set(sys.modules) & {HEAVY!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = f"import sys, edgeqa; print(sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_alone_it_shows_its_commands() -> None:
    done = edgeqa()
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert edgeqa("--version").stdout == f"edgeqa {version('edgeqa')}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name: str) -> None:
    command = commands.get_command(commands.make_context("edgeqa", ["ask"], resilient_parsing=True), name)
    assert command is not None
    assert command.help
    assert f"edgeqa {name} " in command.help
    speaks_json = "--json" in {option for p in command.params for option in p.opts} or name in {"mcp", "worker"}
    assert speaks_json or hasattr(command, "commands")


def test_the_public_names_are_these() -> None:
    assert package.__all__ == [
        "Added",
        "Answer",
        "AnswerNameInvalid",
        "AsyncEdgeQA",
        "BundleError",
        "BundleSelfTestFailed",
        "Cache",
        "CacheError",
        "CacheKeyInvalid",
        "CacheValueInvalid",
        "Candidate",
        "CapabilityError",
        "CarefulReaderMissing",
        "ClosePassage",
        "ClusterError",
        "CollectionError",
        "CollectionInfo",
        "ComputationFailed",
        "ContextError",
        "ContextGone",
        "Counters",
        "EdgeQA",
        "EdgeQAError",
        "EventLoopBlocked",
        "FunctionUnknown",
        "ListedDocument",
        "NotEnoughMemory",
        "OptionError",
        "PipelineError",
        "QuestionError",
        "Shown",
        "TaskUnknown",
        "aopen",
        "collections",
        "delete_collection",
        "export_collection",
        "import_collection",
        "memoize",
        "open",
        "pipeline",
        "probe",
    ]
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert package.__version__ == version("edgeqa")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        package.nonsense  # noqa: B018 - looking it up is the test

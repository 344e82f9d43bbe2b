"""Tests what a person is told who mistypes, mixes up or forgets."""

from __future__ import annotations

from pathlib import Path

import pytest
from program import edgeqa

PUMP = "pump-manual.txt"
EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (
            ("How", "deep", "is", "it?", PUMP),
            f'put the question in quotes: edgeqa ask "How deep is it?" {PUMP}',
        ),
        ((PUMP, "How deep is it?"), f'the question comes first: edgeqa ask "How deep is it?" {PUMP}'),
        ((PUMP,), f'{PUMP} is a file, and no question: edgeqa ask "WHAT YOU WANT TO KNOW" {PUMP}'),
        (("How deep?", "."), 'add the folder once, and ask all that is in it: edgeqa add . && edgeqa ask "How deep?"'),
        (
            ("How deep?", "https://example.org/a"),
            "edgeqa reads nothing from a network: save the page",
        ),
        (("https://example.org/a",), "edgeqa reads nothing from a network: save the page"),
        (("How deep?", "nope.txt"), "check the path, or give the text itself with --text"),
        (("How deep?", PUMP, ""), "FILE is the name of a file, or - for standard input"),
        (("--questions", "", PUMP), "FILE is the name of a file, or - for standard input"),
        (("How deep?", PUMP, "--cluster", ""), "leave out --cluster, or the files and --text"),
        (("What is $HOME?", "."), "edgeqa ask 'What is $HOME?'"),
    ],
)
def test_a_mixed_up_line_gets_the_line_that_was_meant(arguments: tuple[str, ...], hint: str) -> None:
    done = edgeqa("ask", *arguments, cwd=EXAMPLES)
    assert (done.returncode, done.stdout) == (2, "")
    _, remedy = done.stderr.splitlines()
    assert remedy.startswith("  hint: ")
    assert hint in remedy


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("aks", "Did you mean edgeqa ask?"),
        ("capabilites", "Did you mean edgeqa capabilities?"),
        ("help", "Did you mean edgeqa --help?"),
        ("version", "Did you mean edgeqa --version?"),
        ("How deep is it?", 'To ask a question: edgeqa ask "How deep is it?"'),
    ],
)
def test_a_mistyped_command_gets_the_nearest(name: str, meant: str) -> None:
    done = edgeqa(name)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"Error: No such command {name!r}. {meant}"


def test_a_command_like_no_other_gets_no_guess() -> None:
    assert edgeqa("xyzzy").stderr.splitlines()[-1] == "Error: No such command 'xyzzy'."


def test_the_list_of_commands_is_not_cut() -> None:
    listed = edgeqa("--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) > 10
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


def test_a_text_that_nobody_named_is_told_of() -> None:
    done = edgeqa("ask", "-q", "Who built the bridge?", stdin=b"The bridge was built by Dorman Long.")
    assert (done.returncode, done.stdout) == (0, "Dorman Long\n")
    assert "standard input; --questions FILE asks many questions" in done.stderr
    named = edgeqa("ask", "-q", "Who built the bridge?", "-", stdin=b"The bridge was built by Dorman Long.")
    assert (named.stdout, named.stderr) == ("Dorman Long\n", "")


@pytest.mark.parametrize("question", ["-C meaning", "--no-such-thing?"])
def test_a_question_that_begins_with_a_dash_is_told_where_it_stands(question: str) -> None:
    done = edgeqa("ask", question, PUMP, cwd=EXAMPLES)
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option" in done.stderr
    assert done.stderr.endswith(
        '  hint: a question that begins with a dash stands after --, as in: edgeqa ask -- "-z" FILE\n'
    )
    assert edgeqa("ask", "--", question, PUMP, cwd=EXAMPLES).returncode == 1
    assert "hint" not in edgeqa("add", question, cwd=EXAMPLES).stderr

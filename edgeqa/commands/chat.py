"""`edgeqa chat`: it answers one question after the other, and loads the model once.

In: lines; each is a question, or a command that begins with a colon. Out: the same as `edgeqa ask` prints. A question
that cannot be answered does not end the chat. Python's own readline edits lines, keeps a history and completes words,
if this Python has it; nothing needs to be installed. The chat keeps no conversation: each question stands alone.
"""

from __future__ import annotations

import contextlib
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeqa import streams
from edgeqa.commands import (
    bundle_option,
    cluster_of,
    cluster_option,
    collection_option,
    is_told,
    json_option,
    named,
    reader_option,
    threads_option,
)
from edgeqa.errors import CollectionError, EdgeQAError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edgeqa.answer import Answer, ClosePassage
    from edgeqa.asking.documents import Given
    from edgeqa.capabilities import Reader
    from edgeqa.runtime import EdgeQA

PROMPT = "? "
HISTORY = "chat-history"
MAX_REMEMBERED = 1000  # lines of history
MORE_PASSAGES = 10
COMMANDS = {
    ":more": "more of the passages closest to the last question",
    ":view": "open the document of the last answer, or :view N of the N-th passage",
    ":in": "ask this part of the collection, or these files, from now on: :in PATH...; all again: :in",
    ":help": "this list",
    ":quit": "the end, as Ctrl-D",
}
_ENDS = (":quit", ":q", ":exit", "quit", "exit")


@click.command("chat", short_help="Ask one question after the other.")
@click.argument("files", nargs=-1, type=click.Path(readable=False), metavar="[FILE]...")
@collection_option
@cluster_option
@bundle_option
@json_option
@reader_option
@threads_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    files: tuple[str, ...],
    collection: str | None,
    cluster: str | None,
    bundle: str | None,
    as_json: bool,
    reader: Reader | None,
    threads: int | None,
) -> None:
    """Ask one question after the other, of the collection or of FILEs; the model is loaded once.

    \b
    edgeqa chat
    edgeqa chat manuals/*.txt
    edgeqa chat --collection support

    :more shows more of the closest passages, :view opens the document of the answer, :in PATH asks a part of the
    collection alone, or another file, :help lists the commands, Ctrl-D ends it.

    If the careful reader decides, the fast reader's answer is shown at once, and the careful one's below it.

    Exit codes: 0 ended, 3 model or device, 130 interrupted.
    """
    from edgeqa import runtime

    cluster = cluster_of(ctx, cluster, collection)
    if files and not is_told(ctx):
        cluster = None
    with ExitStack() as opened:
        opener = runtime.open(
            bundle=bundle, threads=threads, collection=named(collection), cluster=cluster, reader=reader
        )
        qa = opened.enter_context(opener)
        is_fast = cluster is not None and reader != "careful"  # workers read with the fast reader
        session = _Session(qa, files, as_json=as_json, is_fast=is_fast)
        for line in _lines(opened):
            session.take(line)


class _Session:
    """The texts that are asked, and the last answer."""

    def __init__(self, qa: EdgeQA, files: Sequence[str], *, as_json: bool, is_fast: bool) -> None:
        self._qa, self._files, self._as_json, self._is_fast = qa, tuple(files), as_json, is_fast
        self._within: tuple[str, ...] | None = None
        self._last: Answer | None = None
        self._shown: tuple[ClosePassage, ...] = ()
        self._commands: dict[str, Callable[[list[str]], None]] = {
            ":more": self._more,
            ":view": self._view,
            ":in": self._in,
            ":help": self._help,
        }

    def take(self, line: str) -> None:
        """Answers a question, or obeys a command; prints an error, and goes on."""
        try:
            if line.lower() == "help":
                self._help([])
            elif not line.startswith(":"):
                self._ask(line)
            elif (act := self._commands.get(line.split()[0])) is not None:
                act(line.split()[1:])
            else:
                self._help([])
        except EdgeQAError as error:
            from edgeqa.screen import plain

            streams.say(f"edgeqa: {plain(str(error))}\n  hint: {plain(error.hint)}")

    def _ask(self, question: str) -> None:
        from edgeqa.asked import show

        first = None if self._as_json else self._first(question)
        if first is not None:
            show(first, top=1, quiet=False, as_json=False)
            streams.say("edgeqa: looking again, more carefully")
        with streams.ProgressBar() as progress:
            self._last = self._qa.ask(question, self._given(), within=self._within, progress=progress)
        self._shown = self._last.closest
        if first is None or _said(first) != _said(self._last):
            show(self._last, top=1, quiet=False, as_json=self._as_json)
        else:
            click.echo(f"  The same, looked at again: {self._last.probability:.0%} likely.")

    def _first(self, question: str) -> Answer | None:
        """Returns the fast reader's answer, if the careful reader decides and must read before it can."""
        given, qa = self._given(), self._qa
        if self._is_fast:
            return None
        if qa.plan.reader.value != "careful" or qa.remembered(question, given, within=self._within) is not None:
            return None
        fast = qa.with_reader("fast")
        return None if fast is qa else fast.ask(question, given, within=self._within)

    def _given(self) -> Given | None:
        return [Path(file) for file in self._files] if self._files else None

    def _more(self, _: list[str]) -> None:
        from edgeqa.screen import passages_shown

        if self._last is None:
            streams.say("edgeqa: nothing was asked yet")
            return
        if not self._files:
            self._shown = tuple(self._qa.closest(self._last.question, MORE_PASSAGES, within=self._within))
        click.echo("\n".join(passages_shown(self._shown)) or "No passage shares a word with the question.")

    def _view(self, arguments: list[str]) -> None:
        from edgeqa.commands.ask import view

        number = int(arguments[0]) if arguments and arguments[0].isdecimal() else 0
        if number and number <= len(self._shown):
            view(self._shown[number - 1].source)
        elif not number and self._last is not None and (self._last.source or self._shown):
            view(self._last.source or self._shown[0].source)
        else:
            streams.say("edgeqa: there is no such passage; ask something, or :more")

    def _in(self, paths: list[str]) -> None:
        """Asks the documents of the collection with these names, else these files; without names, the collection."""
        from edgeqa.asking.documents import from_path

        if paths and self._has_in_collection(paths):
            self._within, self._files = tuple(paths), ()
        else:
            for path in paths:
                from_path(Path(path))  # this refuses a file that does not exist
            self._within, self._files = None, tuple(paths)
        streams.say(f"edgeqa: asking {', '.join(paths) if paths else 'the collection'} from now on")

    def _has_in_collection(self, paths: list[str]) -> bool:
        try:
            self._qa.closest("in", 1, within=paths)
        except CollectionError:
            return False
        return True

    def _help(self, _: list[str]) -> None:
        for name, what in COMMANDS.items():
            streams.say(f"  {name:<8} {what}")


def _said(answer: Answer) -> tuple[str | None, str | None, int | None]:
    return answer.text, answer.document, answer.source_start


def _lines(opened: ExitStack) -> Iterator[str]:
    """Yields the lines that are not blank, up to the end of the input or :quit."""
    is_terminal = sys.stdin is not None and sys.stdin.isatty()
    if is_terminal:
        opened.callback(_with_history())
        streams.say("edgeqa: a question a line; :help lists the commands, Ctrl-D ends it")
    while True:
        try:
            line = input(PROMPT if is_terminal else "").strip()
        except EOFError:
            if is_terminal:
                click.echo()
            return
        except UnicodeDecodeError as error:
            streams.say(f"edgeqa: not UTF-8: {error.reason}\n  hint: convert it, for example with iconv")
            continue
        if line.lower() in _ENDS:
            return
        if line:
            yield line


def _with_history() -> Callable[[], None]:
    """Switches on editing, with the history of former sessions; returns a function that saves this session's."""
    try:
        import readline
    except ImportError:  # this Python was built without it
        return lambda: None
    from edgeqa import files, state

    file = os.fspath(state.home() / HISTORY)
    with contextlib.suppress(OSError):
        files.check_plain(file)
        readline.read_history_file(file)
    readline.set_history_length(MAX_REMEMBERED)

    def completed(text: str, number: int) -> str | None:
        found = [name for name in COMMANDS if name.startswith(text)]
        return found[number] if number < len(found) else None

    readline.set_completer(completed)
    readline.set_completer_delims(" \t")
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")

    def keep() -> None:
        with contextlib.suppress(OSError):
            os.close(files.opened(file, os.O_WRONLY | os.O_CREAT))  # made so that nobody else can read it
            readline.write_history_file(file)

    return keep

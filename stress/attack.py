"""Puts hostile things in the place of each file and folder of a home, before it is used and while a process asks.

    python stress/attack.py                 # all: half an hour
    python stress/attack.py --only ledger --kinds pipe cut_short

In each case a copy of a home (a cache, a collection, tokens, what is remembered of the device) has one of its files, or
folders, replaced by a link, a hard link, a pipe, a socket, a folder, or by itself cut short; then a process asks, adds,
lists, verifies, forgets and clears. With --bytes, the paths of home, documents and collection are no UTF-8. What must
not come of it: an end by a signal, an error that is not edgeqa's own, a wait without end, an answer that is wrong, a
change of anything that a link leads to. Each case ends in a line; the last says how many went wrong, which is the exit
code, too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import edgeqa
from edgeqa import state
from edgeqa.cache import Cache
from edgeqa.cache.guard import Guard
from edgeqa.cache.store import StoreFault
from edgeqa.models.bundle import Bundle

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 90
PLACES = ("London", "Paris", "Vienna", "Lisbon", "Cairo", "Oslo")
KINDS_OF_HOUSES = ("bridge", "tower", "harbour", "theatre", "library", "museum")
NAMES = [f"{what} of {place}" for what, place in zip(KINDS_OF_HOUSES, PLACES, strict=True)]
TEXT = "".join(f"The {name} was opened in {1901 + n}.\n\n" for n, name in enumerate(NAMES))
PRECIOUS = b"a file of the user's\n"


def link(place: Path, elsewhere: Path) -> None:
    """Puts a link to a file or folder of the user's in its place."""
    target = elsewhere / ("folder" if place.is_dir() else "file")
    remove(place)
    place.symlink_to(target)


def link_to_itself(place: Path, elsewhere: Path) -> None:
    """Moves it out of the home, and puts a link to it in its place."""
    if place.exists():
        place.rename(elsewhere / "moved")
    place.symlink_to(elsewhere / "moved")


def link_to_nowhere(place: Path, elsewhere: Path) -> None:
    """Puts a link to a file that does not exist yet in its place."""
    remove(place)
    place.symlink_to(elsewhere / "made")


def device(place: Path, _: Path) -> None:
    """A link to a device that can be read without end."""
    remove(place)
    place.symlink_to("/dev/zero")


def pipe(place: Path, _: Path) -> None:
    """A pipe that nobody writes to."""
    remove(place)
    os.mkfifo(place)


def listener(place: Path, _: Path) -> None:
    """A socket that nobody listens at."""
    remove(place)
    before = Path.cwd()
    os.chdir(place.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(place.name)
    finally:
        os.chdir(before)


def folder(place: Path, _: Path) -> None:
    """A folder where a file was, a file where a folder was."""
    was_folder = place.is_dir()
    remove(place)
    if was_folder:
        place.write_bytes(b"")
    else:
        place.mkdir()


def hard_link(place: Path, elsewhere: Path) -> None:
    """Another name of a file of the user's; folders have none."""
    if place.is_file():
        place.unlink()
        place.hardlink_to(elsewhere / "file")


def cut_short(place: Path, _: Path) -> None:
    """Nothing of its content left."""
    if place.is_file():
        os.truncate(place, 0)


def cut_in_the_middle(place: Path, _: Path) -> None:
    """Half of its content left."""
    if place.is_file():
        os.truncate(place, place.stat().st_size // 2)


KINDS: dict[str, Callable[[Path, Path], None]] = {
    kind.__name__: kind
    for kind in (
        link,
        link_to_itself,
        link_to_nowhere,
        hard_link,
        device,
        pipe,
        listener,
        folder,
        cut_short,
        cut_in_the_middle,
    )
}


def remove(place: Path) -> None:
    """Deletes a file or a folder."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)  # a seal is broken, and a snapshot withdrawn, while somebody writes


def make_home(home: Path, documents: Path) -> None:
    """Makes a home with all that edgeqa keeps in one."""
    with edgeqa.open() as qa:
        qa.add(documents)
        for number in range(4):
            asked(qa, number)
    from edgeqa.serving import tokens

    tokens.add(home / "tokens.json", "phone", "ask")


class WrongAnswer(Exception):
    """An answer that is not what the text says."""


def asked(qa: edgeqa.EdgeQA, number: int) -> None:
    """Asks about one of the places; a text that cannot be read is no wrong answer."""
    found = qa.ask(f"When was the {NAMES[number]} opened?", force=True).text
    if found not in (str(1901 + number), None):
        raise WrongAnswer(PLACES[number], found)


def work(documents: Path, replace: Callable[[], None], *, meanwhile: bool) -> list[str]:  # noqa: C901 - what a user does
    """Uses the home in all ways; returns what must not be."""
    wrong: list[str] = []

    def tried(name: str, what: Callable[[], object]) -> None:
        try:
            what()
        except edgeqa.EdgeQAError as error:
            if not error.hint:
                wrong.append(f"{name}: no hint: {error}")
        except StoreFault:  # which the command line turns into an error of edgeqa's
            pass
        except Exception as error:  # what no user may see
            wrong.append(f"{name}: {type(error).__name__}: {error}")

    def ask() -> None:
        with edgeqa.open() as qa:
            if meanwhile:
                asked(qa, 0)
                asked(qa, 4)
                time.sleep(0.001)
                replace()
            for number in (0, 4, 5):
                tried("ask", partial(asked, qa, number))
            tried("add", lambda: qa.add(documents))
            tried("ask again", lambda: asked(qa, 3))

    if not meanwhile:
        replace()
    tried("open", ask)
    tried("list", edgeqa.collections)
    tried("verify", lambda: edgeqa.open(persist="off").verify())
    tried("models", edgeqa.models.list)

    def cache() -> None:
        with Cache.open() as opened:
            opened.stats()
            opened.put("a", 1)
            opened.flush()
            opened.get("a")
            opened.forget("a")
            opened.check()

    tried("cache", cache)
    tried("clear", lambda: Guard(state.home() / "cache" / "format-1").discard())
    return wrong


def attack(made: Path, name: str, kind: str, scratch: Path, *, meanwhile: bool) -> list[str]:
    """Tries one case in a process of its own; returns what went wrong."""
    home, elsewhere = scratch / "home", scratch / "elsewhere"
    for place in (home, elsewhere):
        shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(made, home, symlinks=True)
    (elsewhere / "folder").mkdir(parents=True)
    (elsewhere / "file").write_bytes(PRECIOUS)
    (elsewhere / "folder" / "file").write_bytes(PRECIOUS)
    said, says = os.pipe()
    if not (child := os.fork()):
        os.close(said)
        os.environ["EDGEQA_HOME"] = str(home)
        wrong = work(scratch / "documents", lambda: KINDS[kind](home / name, elsewhere), meanwhile=meanwhile)
        os.write(says, "\n".join(wrong).encode()[:60000])
        os._exit(0)
    os.close(says)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(LIMIT_S)
    with os.fdopen(said, encoding="utf-8", errors="replace") as stream:
        wrong = [line for line in stream.read().splitlines() if line]
    _, status = os.waitpid(child, 0)
    took_s = LIMIT_S - signal.alarm(0)
    if os.WIFSIGNALED(status):
        wrong.append(f"ended by {signal.Signals(os.WTERMSIG(status)).name} after {took_s} s")
    elif status:
        wrong.append(f"exit code {os.WEXITSTATUS(status)}")
    for place in (elsewhere / "file", elsewhere / "folder" / "file"):
        if place.read_bytes() != PRECIOUS:
            wrong.append(f"{place.relative_to(scratch)} was changed")
    if [found.name for found in (elsewhere / "folder").iterdir()] != ["file"]:
        wrong.append("something was made where a link leads to")
    if (elsewhere / "made").exists():
        wrong.append("a file was made where a link leads to")
    return wrong


def main() -> int:
    """Tries all cases; returns how many went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases with this in them")
    parser.add_argument("--bytes", action="store_true", help="in folders whose names are no text")
    parser.add_argument("--kinds", nargs="*", default=[*KINDS], choices=[*KINDS])
    options = parser.parse_args()
    failed = tried = 0
    with tempfile.TemporaryDirectory() as made:
        odd = os.fsdecode(b"\xff\xe9") if options.bytes else ""
        scratch = Path(made, f"scratch{odd}")
        (scratch / "documents").mkdir(parents=True)
        (scratch / "documents" / f"bridges{odd}.txt").write_text(TEXT, encoding="utf-8")
        os.environ["EDGEQA_HOME"] = str(scratch / "made")
        if not (child := os.fork()):  # so that this one has no thread when it forks
            make_home(scratch / "made", scratch / "documents")
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            return 1
        Bundle.load()  # and what it imports
        names = sorted(str(found.relative_to(scratch / "made")) for found in (scratch / "made").rglob("*"))
        for name in names:
            for kind in options.kinds:
                for meanwhile in (False, True):
                    case = f"{name} {kind} {'while it is asked' if meanwhile else 'before'}"
                    if options.only not in case:
                        continue
                    tried += 1
                    wrong = attack(scratch / "made", name, kind, scratch, meanwhile=meanwhile)
                    failed += bool(wrong)
                    sys.stdout.write(
                        f"{'WRONG' if wrong else 'ok':6}{case}\n" + "".join(f"        {w}\n" for w in wrong)
                    )
                    sys.stdout.flush()
    sys.stdout.write(f"{failed} of {tried} cases went wrong\n")
    return min(failed, 100)


if __name__ == "__main__":
    sys.exit(main())

"""`edgeqa ask`, from the options of a line to what is printed, without the library that reads options.

In: the options, the question, and the names of texts: files, --text, standard input, or the collection. Out: the answer
on standard output, and the exit code: 0 for an answer, and 1 if the text has none. With --questions the model is loaded
once, and standard output has one JSON object a line, also for a question that fails.

After a failure, or if the question cannot be one, this module also guesses what the person meant, so that a right line
does not pay for it. The guess looks whether files exist, and reads none.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgeqa import runtime, streams
from edgeqa.asking.documents import from_file, from_path, from_stream, from_text
from edgeqa.errors import (
    EXIT_ANSWERED,
    EXIT_NO_ANSWER,
    CollectionAndTexts,
    CollectionError,
    ContextError,
    ContextMissing,
    EdgeQAError,
    OptionError,
    QuestionIsFile,
    QuestionsMissing,
    StandardInputTwice,
)
from edgeqa.formats import PIPED_NAME, STANDARD_INPUT, in_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import BufferedReader

    from edgeqa.answer import Answer
    from edgeqa.asking.documents import Document
    from edgeqa.capabilities import Persist, Reader
    from edgeqa.timing import Progress

_URLS = ("http://", "https://", "ftp://", "file://", "www.")


def ask(  # noqa: C901 - what was meant is told apart once, here
    question: str | None,
    files: tuple[str, ...] = (),
    *,
    questions_file: str | None = None,
    texts: tuple[str, ...] = (),
    top: int = 1,
    force: bool = False,
    quiet: bool = False,
    as_json: bool = False,
    most_contexts: int | None = None,
    collection: str | None = None,
    cluster: str | None = None,
    is_cluster_told: bool = False,
    within: tuple[str, ...] = (),
    no_cache: bool = False,
    refresh: bool = False,
    bundle: str | None = None,
    reader: Reader | None = None,
    provider: str | None = None,
    threads: int | None = None,
    budget_bytes: int | None = None,
    view: Callable[[str], None] | None = None,
) -> int:
    """Answers a question, or each line of a file of them, and prints the answers; returns the exit code.

    The options are those of the command. With `questions_file`, `question` is one more file, or None. A cluster that is
    not told by an option, but by the environment, is what is asked by default. The document of the answer is opened by
    `view`, if that is given.
    """
    with ExitStack() as opened:
        if questions_file is not None:
            question, files = None, files if question is None else (question, *files)
            if questions_file == STANDARD_INPUT in files:
                raise StandardInputTwice
            questions = questions_in(questions_file, opened)
        elif question is not None and is_no_question(question, files, texts):
            raise _explained(QuestionIsFile(question), question, files)
        try:
            given = named_texts(
                files,
                texts,
                collection_named(collection)
                or (("a cluster", "--cluster") if is_cluster_told else None)
                or (("a part of the collection", "--in") if within else None),
                opened,
                may_pipe=questions_file != STANDARD_INPUT,
            )
        except ContextError as error:
            raise _explained(error, question, files) from None
        if given or (collection is not None and not is_cluster_told):
            cluster = None
        persist: Persist | None = "off" if no_cache else None
        qa = opened.enter_context(
            runtime.open(
                bundle=bundle,
                threads=threads,
                budget_bytes=budget_bytes,
                encoding_store_bytes=None if question is None else 0,  # a single question reads no context twice
                persist=persist,
                collection="default" if collection is None else collection,
                cluster=cluster,
                reader=reader,
                provider=provider,
            )
        )
        progress = opened.enter_context(streams.ProgressBar())

        def answered(question: str, shown: Progress | None = None) -> Answer:
            return qa.ask(
                question,
                given,
                top=top,
                force=force,
                most_contexts=most_contexts,
                refresh=refresh,
                within=within or None,
                progress=shown,
            )

        try:
            if question is None:
                return _ask_all(questions, answered, top=top, progress=progress)
            answer = answered(question, progress)
        except CollectionError as error:
            is_default = given is None and collection is None and cluster is None and not within
            if is_default and isinstance(error, LookupError):  # no text is there at all
                raise ContextMissing from error
            raise
        for damage in answer.damaged:
            hint = "ask again in 10 s: others take over" if cluster else "`edgeqa verify` names the texts to add again"
            streams.say(f"edgeqa: {damage}: it is left out\n  hint: {hint}")
        if reason := qa.cache_off_reason:
            streams.say(f"edgeqa: nothing is remembered: {reason}\n  hint: `edgeqa cache verify` mends the cache")
    code = show(answer, top=top, quiet=quiet, as_json=as_json)
    source = answer.source or next((passage.source for passage in answer.closest), None)
    if view is not None and source is not None:
        view(source)
    return code


def _ask_all(questions: Sequence[str], ask: Callable[[str], Answer], *, top: int, progress: Progress) -> int:
    """Prints the answer to each question as it comes; returns the exit code of the first that failed.

    A fault in one question does not stop the others: its line has the `error`.
    """
    code = EXIT_ANSWERED
    for number, question in enumerate(questions):
        progress("asking", number, len(questions))
        try:
            found = ask(question).to_json(candidates=top > 1)
        except EdgeQAError as error:
            found = {"question": question, "error": str(error), "hint": error.hint}
            code = code or error.exit_code
        streams.print_json(found)
    progress("asking", len(questions), len(questions))
    return code


def _explained(error: EdgeQAError, question: str | None, files: Sequence[str]) -> EdgeQAError:
    """Returns the error, with a hint that names what the caller probably meant."""
    if question is not None and (hint := asked_wrongly(question, files)) is not None:
        error.hint = hint
    return error


def show(answer: Answer, *, top: int, quiet: bool, as_json: bool) -> int:
    """Prints an answer; returns the exit code."""
    if as_json:
        streams.print_json(answer.to_json(candidates=top > 1))
    elif quiet:
        from edgeqa.screen import plain

        for candidate in answer.candidates if answer.text is not None else ():
            streams.echo(plain(" ".join(candidate.text.split())))
    else:
        from edgeqa.screen import describe

        streams.echo(describe(answer, top=top))
        if answer.question_cut:
            streams.say("edgeqa: the question is too long: only its beginning was asked")
    return EXIT_NO_ANSWER if answer.text is None else EXIT_ANSWERED


def collection_named(collection: str | None) -> tuple[str, str] | None:
    """Returns what a named collection is called in errors, and its option; None if none is named."""
    return None if collection is None else (f"the collection {collection}", "--collection")


def named_texts(
    files: Sequence[str | Path],
    texts: Sequence[str],
    named: tuple[str, str] | None,
    opened: ExitStack,
    *,
    may_pipe: bool = True,
) -> list[Document] | None:
    """Returns the documents, which may be read as long as `opened` is open; None if the collection is asked.

    The collection is asked if it, or a cluster, or a part, is `named`: what it is, and by which option. It is also
    asked if nothing is: no file and no text, and standard input is empty, has no text, or may not be read (without
    `may_pipe`).

    Raises:
        ContextError: for a file that cannot be read, or if there is no text at all.
        CollectionAndTexts: if both are named.
        OptionError: for a file without a name.
    """
    if named is not None and (files or texts):
        raise CollectionAndTexts(*named)
    if named is not None or not (files or texts or (may_pipe and _has_something())):
        return None
    if not (files or texts):
        # In `while read question; do edgeqa ask "$question"; done < questions`, it holds the other questions.
        streams.say("edgeqa: the text is what came through standard input; --questions FILE asks many questions")
    names = ["text"] if len(texts) == 1 else [f"text {number}" for number in range(1, len(texts) + 1)]
    given = [from_text(in_utf8(text), name) for text, name in zip(texts, names, strict=True)]
    for file in files or (() if texts else (STANDARD_INPUT,)):
        if os.fspath(file) != STANDARD_INPUT:
            given.append(from_path(_path(file)))
        else:
            given.append(_from_standard_input(opened))
    return given


def questions_in(file: str, opened: ExitStack) -> list[str]:
    """Returns the lines that are not blank.

    Raises:
        ContextError: for a file that cannot be read, or is not UTF-8 text.
        OptionError: for a file without a name.
        QuestionsMissing: if there is none.
    """
    document = _from_standard_input(opened) if file == STANDARD_INPUT else from_file(_path(file))
    found = [line.strip() for line in "".join(document.blocks()).split("\n")]
    if not any(found):
        raise QuestionsMissing(document.name)
    return [line for line in found if line]


def _path(file: str | Path) -> Path:
    """Returns the path of a file; of no name, as of a variable that is not set, it would be the current folder's.

    Raises:
        OptionError: for a file without a name.
    """
    if not os.fspath(file):
        raise OptionError(name="FILE", value="", expected="the name of a file, or - for standard input")
    return Path(file)


def _from_standard_input(opened: ExitStack) -> Document:
    """Returns standard input as a document, which may be read as long as `opened` is open.

    Raises:
        ContextMissing: if standard input is closed.
        ContextError: if it is not UTF-8 text.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise ContextMissing
    return opened.enter_context(from_stream(sys.stdin.buffer, PIPED_NAME))


def _has_something() -> bool:
    """Tells whether there is text on standard input; waits for the first byte or the end of a pipe."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return False
    try:
        return bool(cast("BufferedReader", sys.stdin.buffer).peek(1))
    except (OSError, ValueError):  # it is a directory, or was closed by the caller: to read it raises the right error
        return True


def asked_wrongly(question: str, files: Sequence[str]) -> str | None:
    """Returns a better line instead of `edgeqa ask QUESTION FILE...`; None if none is known."""
    import shlex

    from edgeqa.screen import in_quotes

    missing = [file for file in files if file != STANDARD_INPUT and not os.path.lexists(file)]
    there = [file for file in files if file not in missing]
    if url := next((file for file in (*files, question) if file.lower().startswith(_URLS)), None):
        return f"edgeqa reads nothing from a network: save the page, and name the file instead of {url}"
    if _is_file(question) and missing and (" " in missing[0] or missing[0].endswith("?")):
        others = "".join(f" {shlex.quote(file)}" for file in files if file != missing[0])
        return f"the question comes first: edgeqa ask {in_quotes(missing[0])} {shlex.quote(question)}{others}"
    if _is_file(question) and not files:
        return f'{question} is a file, and no question: edgeqa ask "WHAT YOU WANT TO KNOW" {shlex.quote(question)}'
    if len(missing) > 1 and " " not in question:
        whole = " ".join((question, *missing))
        return f"put the question in quotes: {' '.join(('edgeqa ask', in_quotes(whole), *map(shlex.quote, there)))}"
    if folder := next((file for file in there if Path(file).is_dir()), None):
        name = shlex.quote(folder)
        return f"add the folder once, and ask all that is in it: edgeqa add {name} && edgeqa ask {in_quotes(question)}"
    return None


def is_no_question(question: str, files: Sequence[str], texts: Sequence[str]) -> bool:
    """Tells whether a file's name or a URL stands in the place of the question, and no text is named."""
    if files or texts or " " in question:
        return False
    return _is_file(question) or question.lower().startswith(_URLS)


def _is_file(name: str) -> bool:
    return ("." in name or os.sep in name) and os.path.lexists(name)

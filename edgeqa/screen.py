"""An answer as a person reads it in a terminal: an `Answer` in, text out. Pure; it prints nothing.

Texts and file names come from anywhere: nothing in them reaches the terminal as a command to it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edgeqa.answer import Answer, Candidate

SHOWN_CHARACTERS = 240  # of a sentence, on either side of the answer
INDENT = "  "
# Controls, half surrogate pairs, and what turns the direction of all that follows.
_STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """Returns `text` on one line: white space as blanks, what would steer a terminal as U+FFFD, all else as it is."""
    return _STEERING.sub("\ufffd", "".join(" " if character.isspace() else character for character in text))


def counted(count: int, noun: str) -> str:
    """Returns "1 document", "2 documents"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def describe(answer: Answer, *, top: int) -> str:
    """Returns the answer, the sentence around it, its place, how sure it is, and the time; `top` candidates if more."""
    if answer.text is None:
        lines = ["No answer in this text."]
        if answer.candidates:
            lines.append(f"{INDENT}The best guess, {_percent(answer.probability)} likely, is shown with --force.")
    else:
        lines = [click.style(_one_line(answer.text), bold=True)]
    shown = answer.candidates[:top] if answer.text is not None or top > 1 else ()
    for number, candidate in enumerate(shown, 1):
        lines += [
            "",
            f"{INDENT}{f'{number}. ' if top > 1 else ''}{_sentence(candidate)}",
            f"{INDENT}{_place(candidate, best=number == 1)}",
        ]
    lines += ["", f"{INDENT}{_work(answer)}"]
    return "\n".join(lines)


def _sentence(candidate: Candidate) -> str:
    from edgeqa.contexts.sentences import sentence_around  # here: a bare answer does without

    text, start, end = candidate.context, candidate.start, candidate.end
    begin, stop = sentence_around(text, start, end)
    before, after = _one_line(text[begin:start]), _one_line(text[end:stop])
    if len(before) > SHOWN_CHARACTERS:
        before = "… " + before[-SHOWN_CHARACTERS:].lstrip()
    if len(after) > SHOWN_CHARACTERS:
        after = after[:SHOWN_CHARACTERS].rstrip() + " …"
    return before + click.style(f"[{_one_line(candidate.text)}]", bold=True) + after


def _place(candidate: Candidate, *, best: bool) -> str:
    start, end = candidate.source_start - candidate.part_start, candidate.source_end - candidate.part_start
    place = f"{plain(candidate.document)}, characters {start}-{end}"
    # Only the best one's probability is calibrated: several likely candidates would be a contradiction.
    return f"{place}, {f'{_percent(candidate.probability)} likely' if best else f'score {candidate.score:.1f}'}"


def _work(answer: Answer) -> str:
    contexts = counted(answer.contexts, "context")
    read = f"{contexts} closest to the question read" if answer.skimmed else f"{contexts} read"
    remembered = "remembered, " if answer.cached else ""
    work = f"{remembered}{read}, {answer.timings_ms.get('total', 0):.0f} ms, {plain(answer.model)}"
    return click.style(work, dim=True)


def _percent(probability: float) -> str:
    # A calibrated figure is not better than a percent, and never certain.
    return f"{min(99, max(1, round(100 * probability)))} %"


def _one_line(text: str) -> str:
    folded = " ".join(plain(text).split())
    return (" " if text[:1].isspace() else "") + folded + (" " if folded and text[-1:].isspace() else "")

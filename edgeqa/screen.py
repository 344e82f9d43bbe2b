"""An answer as a person reads it in a terminal: an `Answer` in, text out. Pure; it prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgeqa.contexts.sentences import sentence_around

if TYPE_CHECKING:
    from edgeqa.answer import Answer, Candidate

SHOWN_CHARACTERS = 240  # of a sentence, on either side of the answer
INDENT = "  "


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
            f"{INDENT}{_place(candidate)}",
        ]
    lines += ["", f"{INDENT}{_work(answer)}"]
    return "\n".join(lines)


def _sentence(candidate: Candidate) -> str:
    text, start, end = candidate.context, candidate.start, candidate.end
    begin, stop = sentence_around(text, start, end)
    before, after = _one_line(text[begin:start]), _one_line(text[end:stop])
    if len(before) > SHOWN_CHARACTERS:
        before = "… " + before[-SHOWN_CHARACTERS:].lstrip()
    if len(after) > SHOWN_CHARACTERS:
        after = after[:SHOWN_CHARACTERS].rstrip() + " …"
    return before + click.style(f"[{_one_line(candidate.text)}]", bold=True) + after


def _place(candidate: Candidate) -> str:
    place = f"{candidate.source}, characters {candidate.source_start}-{candidate.source_end}"
    return f"{place}, {_percent(candidate.probability)} likely"


def _work(answer: Answer) -> str:
    contexts = f"{answer.contexts} context{'' if answer.contexts == 1 else 's'}"
    read = f"{contexts} closest to the question read" if answer.skimmed else f"{contexts} read"
    remembered = "remembered, " if answer.cached else ""
    return click.style(f"{remembered}{read}, {answer.timings_ms.get('total', 0):.0f} ms, {answer.model}", dim=True)


def _percent(probability: float) -> str:
    # A calibrated figure is not better than a percent, and never certain.
    return f"{min(99, max(1, round(100 * probability)))} %"


def _one_line(text: str) -> str:
    folded = " ".join(text.split())
    return (" " if text[:1].isspace() else "") + folded + (" " if folded and text[-1:].isspace() else "")

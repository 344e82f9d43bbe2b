"""The screen: it makes the text that a person reads in a terminal. It prints nothing.

In: an `Answer`. Out: text. An answer is shown in its passage, or in the lines of it that matter. If the answer is not
very likely, the next passages are shown, too, since one of them may hold a better one. If there is no answer, the
closest passages are shown, which most often hold it all the same. Texts and file names come from anywhere, so their
control characters are made harmless before the terminal gets them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgeqa.answer import below_headings
from edgeqa.errors import printed
from edgeqa.streams import STEERING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeqa.answer import Answer, Candidate, ClosePassage

MAX_LINES = 6  # a longer passage is cut to the lines around the mark, or around the question's words
LINE_CHARACTERS = 96
LIKELY = 0.75  # an answer at least as likely as this stands alone
MAX_CLOSE = 2  # so many passages stand below an answer that is less likely
INDENT = "  "
STEM_CHARACTERS = 5  # words that begin with the same characters count as the same
_WORD = r"[^\W_]{3,}"
_BROKEN = r"(?<=[^\W\d_])(?:[\u2010\u00ad]|(-))[^\S\n]*\n\s*(?=[^\W\d_A-Z])"  # a word at the end of a line
_UNSHOWN = rf"[\x00-\x1f{STEERING}\ud800-\udfff]"  # with half surrogate pairs


def plain(text: str) -> str:
    """Returns `text` on one line: white space becomes blanks, and characters that steer a terminal become U+FFFD."""
    shown = printed(text)
    if shown.isprintable():
        return shown
    return re.sub(_UNSHOWN, "\ufffd", "".join(" " if character.isspace() else character for character in shown))


def in_quotes(text: str) -> str:
    """Returns a question in quotes, as a person would write it for a shell."""
    import shlex  # only a hint needs it

    return f'"{text}"' if not any(mark in text for mark in '"$`\\!') else shlex.quote(text)


def counted(count: int, noun: str) -> str:
    """Returns "1 document", "2 documents"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def describe(answer: Answer, *, top: int) -> str:
    """Returns the answer with its surroundings, place, probability and time, or `top` candidates if that is above 1."""
    if answer.text is None:
        lines = [*_closest(answer)]
    else:
        lines = [_bold(_one_line(answer.text))]
        for number, candidate in enumerate(answer.candidates[:top], 1):
            marked = candidate.start, candidate.end
            around = folded(*below_headings(candidate.heading, candidate.context, marked))
            numbered = [f"{number}. {around[0]}", *around[1:]] if top > 1 else around
            lines += ["", *_headed(candidate.heading), *(INDENT + line for line in numbered)]
            lines.append(f"{INDENT}{_place(candidate, best=number == 1)}")
        if top == 1 and answer.probability < LIKELY:
            lines += _close_too(answer)
    lines += ["", *(INDENT + note for note in _notes(answer)), f"{INDENT}{_work(answer)}"]
    return "\n".join(lines)


def passages_shown(passages: Sequence[ClosePassage], question: str = "", *, first: int = 1) -> list[str]:
    """Returns the lines of passages, numbered, each with its headings, its place, and the best guess marked.

    Args:
        passages: the passages, best first.
        question: the question; a long passage without a guess is cut around its words.
        first: the number of the first passage.
    """
    lines: list[str] = []
    for number, passage in enumerate(passages, first):
        lines += [*([""] if lines else []), *_headed(passage.heading)]
        begins, *others = folded(*below_headings(passage.heading, passage.text, passage.marked), question)
        lines.append(f"{INDENT}{number}. {begins}")
        lines += [f"{INDENT}   {line}" for line in others]
        start, end = passage.source_start - passage.document_start, passage.source_end - passage.document_start
        lines.append(f"{INDENT}   {_dim(f'{plain(passage.document)}, characters {start}-{end}')}")
    return lines


def folded(text: str, marked: tuple[int, int] | None, question: str = "") -> list[str]:
    """Returns a passage in at most MAX_LINES of LINE_CHARACTERS.

    Args:
        text: the passage.
        marked: the part of it to mark; a longer passage is cut around the mark.
        question: the question; a longer passage without a mark is cut around its words.
    """
    start, end = marked if marked is not None else _about(text, question)
    before, inner, after = _one_line(text[:start]), _one_line(text[start:end]), _one_line(text[end:])
    if marked is not None:
        inner = f"[{inner}]"
    lines: list[str] = []
    room = MAX_LINES * LINE_CHARACTERS
    while not lines or len(lines) > MAX_LINES:  # a line ends before a word that does not fit
        lines = list(_lines(*_cut(before, inner, after, room), is_marked=marked is not None))
        room -= LINE_CHARACTERS // 8
    return lines


def _cut(before: str, inner: str, after: str, room: int) -> tuple[str, str, str]:
    """Returns the three parts of a line, cut to so many characters around the second part."""
    if len(before) + len(inner) + len(after) <= room:
        return before, inner, after
    before = _end_of(before, max(room // 3, room - len(inner) - len(after)))
    inner = _beginning_of(inner, room - len(before))
    return before, inner, _beginning_of(after, room - len(before) - len(inner))


def _lines(before: str, inner: str, after: str, *, is_marked: bool) -> Iterator[str]:
    begin, stop = len(before), len(before) + len(inner)
    whole = before + inner + after
    for low, high in _wrapped(whole) if whole else ((0, 0),):
        low_mark, high_mark = min(max(begin, low), high), min(max(stop, low), high)
        mark = whole[low_mark:high_mark]
        if mark and is_marked:
            mark = _bold(mark)
        yield whole[low:low_mark] + mark + whole[high_mark:high]


def _about(text: str, question: str) -> tuple[int, int]:
    """Returns the part of a passage, of at most half its lines, that has the most different words of the question."""
    stems = "|".join(re.escape(word[:STEM_CHARACTERS]) for word in set(re.findall(_WORD, question.lower())))
    found = (
        [(hit.start(), hit[0].lower()) for hit in re.finditer(rf"\b(?:{stems})", text, re.IGNORECASE)] if stems else []
    )
    best, at = 0, (0, 0)
    for number, (start, _) in enumerate(found):
        near = [one for one in found[number:] if one[0] < start + MAX_LINES * LINE_CHARACTERS // 2]
        if (different := len({word for _, word in near})) > best:
            best, at = different, (start, near[-1][0])
    return at


def _notes(answer: Answer) -> Iterator[str]:
    """Yields remarks on the way the question was read, and on the text."""
    if answer.question_mended is not None:
        yield f"Read as: {_one_line(answer.question_mended)}"
    for note in answer.notes:
        yield f"{note[0].upper()}{note[1:]}."


def _closest(answer: Answer) -> Iterator[str]:
    yield "Not sure. The closest passages:" if answer.closest else "No answer: nothing is close to the question."
    if answer.closest:
        yield ""
        yield from passages_shown(answer.closest, answer.question)
    if answer.candidates:
        yield ""
        yield f"{INDENT}The best guess, {_percent(answer.probability)} likely, is given with --force."


def _close_too(answer: Answer) -> Iterator[str]:
    """Yields the passages after the answer's own, numbered as in `closest`."""
    of_answer = answer.candidates[0].document, answer.candidates[0].context
    others = [
        (number, passage)
        for number, passage in enumerate(answer.closest[: 1 + MAX_CLOSE], 1)
        if (passage.document, passage.text) != of_answer
    ]
    if others:
        yield from ("", f"{INDENT}Close, too:")
    for number, passage in others:
        yield ""
        yield from passages_shown((passage,), answer.question, first=number)


def _headed(heading: tuple[str, ...]) -> list[str]:
    return [INDENT + _dim(_one_line(" > ".join(heading)))] if heading else []


def _end_of(text: str, characters: int) -> str:
    """Returns the end of a line, from the beginning of a word, with a sign that there is more before it."""
    if len(text) <= characters:
        return text
    begin = text.find(" ", len(text) - characters + 2)
    return "… " + text[begin + 1 :] if begin >= 0 else "…" + text[len(text) - max(0, characters - 1) :]


def _beginning_of(text: str, characters: int) -> str:
    """Returns the beginning of a line, to the end of a word, with a sign that there is more after it."""
    if len(text) <= characters:
        return text
    stop = text.rfind(" ", 0, max(1, characters - 1))
    return text[:stop] + " …" if stop >= 0 else text[: max(0, characters - 1)] + "…"


def _wrapped(line: str) -> Iterator[tuple[int, int]]:
    """Yields begin and end of the parts of a line; it is cut at blanks, or within a word that is longer than a line."""
    begin = 0
    while len(line) - begin > LINE_CHARACTERS:
        blank = line.rfind(" ", begin + 1, begin + LINE_CHARACTERS + 1)
        end = blank if blank > 0 else begin + LINE_CHARACTERS
        yield begin, end
        begin = end + 1 if blank > 0 else end
    if begin < len(line):
        yield begin, len(line)


def _place(candidate: Candidate, *, best: bool) -> str:
    start, end = candidate.source_start - candidate.part_start, candidate.source_end - candidate.part_start
    place = f"{plain(candidate.document)}, characters {start}-{end}"
    # Only the probability of the best one is calibrated; several likely candidates would contradict each other.
    return f"{place}, {f'{_percent(candidate.probability)} likely' if best else f'score {candidate.score:.1f}'}"


def _work(answer: Answer) -> str:
    remembered = "remembered, " if answer.cached else ""
    total_ms = answer.timings_ms.get("total", 0)
    work = f"{remembered}{counted(answer.contexts, 'passage')} read, {total_ms:.0f} ms, {plain(answer.model)}"
    return _dim(work)


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m"


def _dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m"


def _percent(probability: float) -> str:
    # A calibrated figure is not more exact than a percent, and is never certain.
    return f"{min(99, max(1, round(100 * probability)))} %"


def _one_line(text: str) -> str:
    """Returns a text on one line; a word that was broken at the end of a line is joined again."""
    if "\n" in text:
        text = re.sub(_BROKEN, lambda found: found[1] or "", text)  # a hyphen of its own may belong to the word
    folded = " ".join(plain(text).split())
    return (" " if text[:1].isspace() else "") + folded + (" " if folded and text[-1:].isspace() else "")

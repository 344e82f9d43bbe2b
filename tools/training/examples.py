"""Makes the examples that both networks learn from, of public texts, in one file whose numbers labels can refer to.

In: SQuAD 1.1's training file, and a folder of manual pages as plain text. Out: `examples.jsonl.xz`, whose first line
is `{"contexts": N, "examples": M}`, followed by N contexts (JSON strings) and M examples `[kind, question, context
number, start, end]` (characters of the context; -1 where nothing answers). The same input and seed give the same
file. Kinds:

- `answer`: a question of SQuAD;
- `paragraph`, `dropped`, `swapped`: the same where nothing answers it any more: with the closest other paragraph of its
  article, without the sentence of the answer, or with a name, year or opposite of the question changed;
- `table`, `option`, `default`: questions on invented tables and on options of the manual pages (`structured.py`).

A quarter of SQuAD's questions are typed as people type. It reads no development set, and trains nothing.
"""

from __future__ import annotations

import json
import lzma
import math
import random
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import structured
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HARD = (("paragraph", 0.15), ("dropped", 0.15), ("swapped", 0.15))  # shares of the questions that get a hard twin
MIN_CHARACTERS = 150  # of a paragraph whose answer was dropped
TYPED_SHARE = 0.25
TABLE_EXAMPLES = 12_000
SEED = 7
MAX_TOGETHER = 6  # questions of one context in a batch
DRAWN_EXAMPLES = 4096  # that are sorted by their lengths at a time

WORD = re.compile(r"[A-Za-z0-9]+")
SENTENCE_END = re.compile(r'(?<=[.!?])["\')\]]*\s+(?=["\'(\[]?[A-Z0-9])')
NAME = re.compile(r"\b(?:[A-Z][\w'’-]+)(?:\s+(?:of\s+|the\s+|de\s+)?[A-Z][\w'’-]+)*")
YEAR = re.compile(r"\b(1[0-9]{3}|20[0-2][0-9])\b")
NO_NAMES = set(
    "what who when where which how why in on the a an at for to of by is was are were did does do whose whom from with "
    "during after before as if".split()
)
VERBS = {"is": "is not", "was": "was not", "are": "are not", "were": "were not", "did": "did not"}
OPPOSITES = {
    word: other
    for pair in (
        "first last,largest smallest,highest lowest,oldest youngest,most least,north south,northern southern,east west,"
        "eastern western,before after,increase decrease,increased decreased,male female,more fewer,longest shortest,"
        "maximum minimum,began ended,begin end,start stop,started stopped,won lost,win lose,upper lower,inside outside,"
        "allowed forbidden,earliest latest,best worst,enter leave,legal illegal,positive negative,major minor,"
        "majority minority,support oppose,supported opposed,joined left,accepted rejected,higher lower,larger smaller,"
        "early late,new old,above below,success failure,strong weak"
    ).split(",")
    for word, other in (pair.split(), pair.split()[::-1])
}


class Example(NamedTuple):
    """A question on a context; `start` and `end` are characters, both -1 where nothing answers it."""

    kind: str
    question: str
    context: str
    start: int
    end: int


def make_examples(squad: Path, manual_pages: Path) -> list[Example]:
    """Returns all examples, SQuAD's first."""
    plain = list(of_squad(squad))
    rng = random.Random(1)
    names = set()
    for example in rng.sample(plain, min(4000, len(plain))):
        names |= {name for name in NAME.findall(example.context) if _is_short_name(name)}
    rng = random.Random(2)
    typed = [e._replace(question=structured.typed(e.question, rng)) if rng.random() < TYPED_SHARE else e for e in plain]
    structural = [*structured.tables(TABLE_EXAMPLES, sorted(names)), *structured.options(manual_pages)]
    return typed + [Example(*fields) for fields in structural]


def write_examples(examples: Sequence[Example], path: Path) -> None:
    """Writes the file that the docstring of this module describes."""
    numbers: dict[str, int] = {}
    rows = [[e.kind, e.question, numbers.setdefault(e.context, len(numbers)), e.start, e.end] for e in examples]
    with lzma.open(path, "wt", encoding="utf-8", preset=6) as file:
        for value in ({"contexts": len(numbers), "examples": len(rows)}, *numbers, *rows):
            file.write(json.dumps(value, ensure_ascii=False) + "\n")


def read_examples(path: Path) -> list[Example]:
    """Returns the examples of such a file."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        counts = json.loads(file.readline())
        contexts = [json.loads(file.readline()) for _ in range(counts["contexts"])]
        rows = [json.loads(file.readline()) for _ in range(counts["examples"])]
    return [Example(kind, question, contexts[number], start, end) for kind, question, number, start, end in rows]


def of_squad(path: Path, seed: int = SEED) -> Iterator[Example]:
    """Yields each question of a SQuAD 1.1 file, and after some of them a twin that nothing answers."""
    rng = random.Random(seed)
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        texts = _Article([paragraph["context"] for paragraph in article["paragraphs"]])
        for number, paragraph in enumerate(article["paragraphs"]):
            for entry in paragraph["qas"]:
                if not entry["answers"]:
                    continue
                question = " ".join(entry["question"].split())
                first = entry["answers"][0]
                start, end = first["answer_start"], first["answer_start"] + len(first["text"])
                yield Example("answer", question, paragraph["context"], start, end)
                answers = [answer["text"].lower() for answer in entry["answers"]]
                twin = _twin(texts, number, question, (start, end), answers, rng)
                if twin:
                    yield twin


class _Article:
    """The paragraphs of an article, and which words, names and years they have."""

    def __init__(self, paragraphs: list[str]) -> None:
        self.paragraphs = paragraphs
        self.words = [{word.lower() for word in WORD.findall(text)} for text in paragraphs]
        self.paragraphs_with = Counter(word for words in self.words for word in words)
        self.names = sorted({name for text in paragraphs for name in NAME.findall(text)})
        self.years = [set(YEAR.findall(text)) for text in paragraphs]

    def closest_without(self, answers: list[str], question: str, paragraph: int) -> str | None:
        """Returns the other paragraph that shares most with the question and holds none of the answers."""
        asked = {word.lower() for word in WORD.findall(question)}

        def shared(number: int) -> float:
            text = self.paragraphs[number].lower()
            if number == paragraph or any(answer in text for answer in answers):
                return -1
            return sum(
                math.log(1 + len(self.paragraphs) / self.paragraphs_with[word])
                for word in sorted(asked & self.words[number])
            )

        best = max(range(len(self.paragraphs)), key=shared)
        return self.paragraphs[best] if shared(best) > 0 else None


def _twin(
    texts: _Article, number: int, question: str, answer: tuple[int, int], answers: list[str], rng: random.Random
) -> Example | None:
    drawn, up_to, kind = rng.random(), 0.0, ""
    for name, share in HARD:
        up_to += share
        if drawn < up_to:
            kind = name
            break
    text = texts.paragraphs[number]
    if kind == "paragraph":
        other = texts.closest_without(answers, question, number)
        return Example(kind, question, other, -1, -1) if other else None
    if kind == "dropped":
        rest = " ".join(text[b:e] for b, e in _sentences(text) if not (b < answer[1] and answer[0] < e))
        if len(rest) > MIN_CHARACTERS and not any(words in rest.lower() for words in answers):
            return Example(kind, question, rest, -1, -1)
        kind = "swapped"
    if kind == "swapped":
        other = _swapped(texts, number, question, rng)
        return Example(kind, other, text, -1, -1) if other and other != question else None
    return None


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for end in SENTENCE_END.finditer(text):
        yield begin, end.start()
        begin = end.end()
    yield begin, len(text)


def _swapped(texts: _Article, number: int, question: str, rng: random.Random) -> str | None:
    """Returns the question with a year, a name or an opposite changed, so that the paragraph no longer answers it."""
    text = texts.paragraphs[number]
    ways: list[tuple[str, list[str]]] = []
    years = [year for year in YEAR.findall(question) if year in texts.years[number]]
    others = sorted(set().union(*texts.years) - texts.years[number])
    if years and others:
        ways.append((rng.choice(years), others))
    body = question.partition(" ")[2]
    names = [name for name in NAME.findall(body) if name in text and _may_be_swapped(name)]
    foreign = [name for name in texts.names if name not in text and _may_be_swapped(name)]
    if names and foreign:
        name = rng.choice(names)
        ways.append((name, [other for other in foreign if len(other.split()) == len(name.split())] or foreign))
    words = [word for word in re.findall(r"[A-Za-z]+", question) if word.lower() in OPPOSITES]
    if words:
        word = rng.choice(words)
        ways += [(word, [OPPOSITES[word.lower()]])] * 2
    verbs = [word for word in re.findall(r"[A-Za-z]+", question) if word.lower() in VERBS]
    if not ways and verbs and rng.random() < 0.3:  # rarely: "not" alone is easily learnt to mean "no answer"
        word = rng.choice(verbs)
        ways.append((word, [VERBS[word.lower()]]))
    if not ways:
        return None
    old, new = rng.choice(ways)
    return re.sub(rf"\b{re.escape(old)}\b", lambda _: rng.choice(new), question, count=1)


def _may_be_swapped(name: str) -> bool:
    return len(name) > 2 and name.split()[0].lower() not in NO_NAMES


def _is_short_name(name: str) -> bool:
    return 3 < len(name) < 28 and len(name.split()) <= 3 and name.split()[0].lower() not in NO_NAMES


def open_tokenizer(path: Path) -> Tokenizer:
    """Returns the tokenizer of a tokenizer.json, which cuts and fills nothing up."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def tokenised(examples: Sequence[Example], tokenizer: Tokenizer, *, question_tokens: int) -> list[Tokens]:
    """Returns each example as token ids, its answer as the first and last token of the context (-1: none)."""
    encoded: dict[str, Any] = {}
    tokens = []
    for example in examples:
        if example.context not in encoded:
            context = tokenizer.encode(example.context, add_special_tokens=False)
            encoded[example.context] = len(encoded), context, context.ids
        number, context, ids = encoded[example.context]
        question = tokenizer.encode(example.question, add_special_tokens=False).ids[:question_tokens]
        first = last = -1
        if example.start >= 0:
            first = next(i for i, (_, end) in enumerate(context.offsets) if end > example.start)
            last = max(i for i, (start, _) in enumerate(context.offsets) if start < example.end)
        tokens.append(Tokens(number, question, ids, first, last))
    return tokens


class Tokens(NamedTuple):
    """An example as token ids.

    `context_number` is the same for all examples of a context. `first` and `last` are tokens of the context, both -1
    where nothing answers it.
    """

    context_number: int
    question: list[int]
    context: list[int]
    first: int
    last: int

    def window(self, tokens: int, rng: random.Random) -> tuple[int, Tokens]:
        """Returns a part of the context of so many tokens with the answer in it, and which token it begins at."""
        spare = len(self.context) - tokens
        if spare <= 0:
            return 0, self
        if self.first < 0:
            begin = rng.randint(0, spare)
        else:
            earliest = max(0, self.last + 1 - tokens)
            begin = rng.randint(earliest, max(earliest, min(self.first, spare)))
        part = self.context[begin : begin + tokens]
        if self.first < 0:
            return begin, self._replace(context=part)
        last = min(self.last - begin, tokens - 1)
        return begin, self._replace(context=part, first=self.first - begin, last=last)


def batches(
    examples: Sequence[Tokens], *, window: int, tokens: int, seed: int, skip: int = 0, contexts_together: bool = False
) -> Iterator[list[tuple[int, int, Tokens]]]:
    """Yields batches for ever: examples' numbers, first tokens and windows, of similar length, at most `tokens` padded.

    Passes differ in their order; the first `skip` batches are left out, so that training goes on where it was ended.
    With `contexts_together`, up to MAX_TOGETHER questions of a context are in one batch, which then costs less.
    """
    for epoch in range(1_000_000):
        rng = random.Random(seed + epoch)
        for drawn in _drawn(examples, rng, together=MAX_TOGETHER if contexts_together else 1):
            windows = [[(number, *examples[number].window(window, rng)) for number in group] for group in drawn]
            windows.sort(key=lambda group: max(len(each.question) + len(each.context) for _, _, each in group))
            packed: list[list[tuple[int, int, Tokens]]] = [[]]
            longest_question = longest_context = 0
            for item in (item for group in windows for item in group):
                longest_question = max(longest_question, len(item[2].question))
                longest_context = max(longest_context, len(item[2].context))
                if packed[-1] and (longest_question + longest_context + 4) * (len(packed[-1]) + 1) > tokens:
                    packed.append([])
                    longest_question, longest_context = len(item[2].question), len(item[2].context)
                packed[-1].append(item)
            rng.shuffle(packed)
            for batch in packed:
                if skip:
                    skip -= 1
                else:
                    yield batch


def _drawn(examples: Sequence[Tokens], rng: random.Random, *, together: int) -> Iterator[list[list[int]]]:
    """Yields all examples' numbers once, in groups of at most `together` of one context, some 4,096 at a time."""
    order = list(range(len(examples)))
    rng.shuffle(order)
    of_context: dict[int, list[int]] = {}
    groups: list[list[int]] = []
    for number in order:
        group = of_context.get(examples[number].context_number)
        if group is None or len(group) == together:
            group = of_context[examples[number].context_number] = []
            groups.append(group)
        group.append(number)
    rng.shuffle(groups)
    drawn: list[list[int]] = []
    counted = 0
    for group in groups:
        drawn.append(group)
        counted += len(group)
        if counted >= DRAWN_EXAMPLES:
            yield drawn
            drawn, counted = [], 0
    if drawn:
        yield drawn

"""Evidence for a span besides the network's score: the structure of its passage, and the question's own words.

Pure. In: a question, a passage and spans of it. Out: for each span, a number for each kind of evidence, in the order of
`Evidence`. The weights are the model's own (`models.manifest.Evidence`), fitted by `tools/calibrate.py`. Only English
questions are searched for hints that they ask for a number.

A row of a table is looked up, so its cells are offered as spans, too. The question names the column of the cell that
answers it: by a word of its name or of the same root, by what the name is short for, or by the kind of answer that it
asks for ("when" a date). Its other words mean the row, as far as they stand there; words that only link a thing to its
column ("use", "have") tell no rows apart. A cell that only repeats the question is no answer.
An entry is looked up by its name: an option as it is written (-z is not -Z), a term by its words. Where a question asks
what it means or does, the first sentence below the name is offered, too.
In a passage that is no row, three things count against a span: it only repeats the question's words, it is the number
of a list's item, or it has no number where the question asks for one.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from edgeqa.asking.records import OPTION
from edgeqa.contexts import Place, searched
from edgeqa.contexts.passages import sure_sentence_ends
from edgeqa.contexts.search import MAX_QUESTION_CHARACTERS
from edgeqa.contexts.terms import ENGLISH, all_words, distinct, term, terms, words
from edgeqa.models.manifest import Evidence

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from edgeqa.contexts import Piece, Text

CANDIDATES, ROW_CANDIDATES = 2, 8
"""Spans of a passage, and of a row, that evidence chooses from: a third of a passage changed no answer."""
MAX_CELL_CHARACTERS = 160
LOOKED_UP = 0.9  # a row is looked up if it holds this part of the question's other words, by weight
ANY_ROW = 0.5  # a row that no word of the question is in, but the names of its columns, is meant no surer than this
UNKNOWN = 0.4  # a term that nothing has counts with this part of its weight in a row
MAX_SHORT_NAME = 16  # a longer name of a column is not an abbreviation
MAX_SHORT = 0.7  # an abbreviation has at most this part of a word's length

_ALTERNATIVES = re.compile(r"\bor\b")
_NAME_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_VOWELS = frozenset("aeiou")
_MARKER = re.compile(r"\W*(?:\d{1,3}|[a-z])")
_ASKS_NUMBER = {  # each pattern needs one of these words to ask for a number
    "how": re.compile(r"\bhow (?:many|much|long|old|far|deep|high|large|big|often|tall|wide|thick|heavy|fast)\b"),
    "wh": re.compile(r"\b(?:what|which) (?:year|date|day|month|century|page|version|percent\w*|temperature)\b"),
    "price": re.compile(r"\bprice\b"),
    "cost": re.compile(r"\bcost\b"),
}
_TOLD_APART_LATER = frozenset(("di", "dy", "li", "ly", "ti", "ty"))  # "dying" has the term of "die"
_NUMBER = re.compile(
    r"\d|\b(?:no|none|never|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty"
    r"|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|dozens?|third|quarter|once|twice"
    r"|several|few|many|most|half|single|double|unlimited|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
    r"|january|february|march|april|may|june|july|august|september|october|november|december|daily|weekly|monthly"
    r"|yearly|annually|centur(?:y|ies)|years?|decades?|days?|months?|weeks?|hours?|minutes?|seconds?)\b",
    re.IGNORECASE,
)
_MEANING = re.compile(r"meaning|description|definition|purpose|effect|explanation", re.IGNORECASE)

MIN_ROOT = 5  # words of one root share so many letters, and go on with one of these endings: "delivery", "delivered"
_ENDINGS = frozenset(["", "s", "es", "e", "ed", "er", "ers", "or", "ors", "ing", "ings", "y", "ies", "ion", "ions"])
# These link a thing to what a column says of it, and are in no row. Words that rows tell apart by ("May", "US", "GET")
# are left out.
_LINKING = """
    apply applies belong belongs called come comes contain contains cover covered covers find found gave give given
    gives go goes got have having held hold holds include includes keep keeps kept made make makes named need needed
    needs provide provided provides require required requires say says sell sells serve serves show shown shows sold
    stand stands stood take taken takes tell took use used uses using want works i me my we our you your shall should
    would please exactly
"""


class _Kind(NamedTuple):
    """A kind of answer that questions ask for in words of their own."""

    asked: tuple[str, ...]
    """A question that begins or ends with one of these asks for it."""
    columns: str
    """What columns of such answers are called."""
    said: str
    """Words of the question that say no more than that it asks for this."""
    is_measure: bool = True
    """Whether a longer name is of this kind, too: the depth of a berth is a depth, but a package's name is nobody's. Of
    other kinds, the rest of the name must stand in the question."""
    words: frozenset[str] = frozenset()
    """A question that has one of these anywhere asks for it, too."""
    signs: frozenset[str] = frozenset()
    """A column whose name has one of these has such answers, too."""

    def is_asked(self, asked: Sequence[str]) -> bool:
        """Tells whether a question of these words asks for it."""
        said = f"{' '.join(asked)} "
        at_an_end = any(said.startswith(f"{one} ") or said.endswith(f" {one} ") for one in self.asked)
        return at_an_end or not self.words.isdisjoint(asked)

    def is_of(self, column: str, names: frozenset[str], asked: frozenset[str]) -> bool:
        """Tells whether a column has answers of this kind: a package's name is not who made it.

        Args:
            column: its name.
            names: the terms of that.
            asked: the question's terms.
        """
        if not self.signs.isdisjoint(column):
            return True
        columns = _terms_of(self.columns)
        if columns.isdisjoint(names):
            return False
        return self.is_measure or distinct(_AFTER_NAME.sub("", column)) <= columns | asked


_PRICES = "price cost fee charge charged eur usd gbp chf"
_KINDS = (
    _Kind(
        ("how much is", "how much are"),
        _PRICES,
        _PRICES,
        words=frozenset(["cost", "costs", "price", "prices", "fee", "fees", "charge", "charges", "charged"]),
        signs=frozenset("$€£"),
    ),
    _Kind(
        ("when", "what date", "which date", "what day", "which day", "what year", "which year", "until what"),
        "date day year time until since due deadline released published departure arrival opens closes",
        "date day year released published out",
        is_measure=False,
    ),
    _Kind(("where",), "place location address city town room venue site", "place located", is_measure=False),
    _Kind(("who", "whom", "whose"), "name author owner person contact chair", "person name", is_measure=False),
    _Kind(("how long",), "duration length time period days hours minutes", "long last", is_measure=False),
    _Kind(("how many",), "quantity qty count pieces", "number", is_measure=False),
    _Kind(("how deep",), "depth", "deep"),
    _Kind(("how high", "how tall"), "height", "high tall"),
    _Kind(("how wide", "how broad"), "width breadth", "wide broad"),
    _Kind(("how heavy", "weigh", "weighs"), "weight mass", "heavy weigh weight"),
    _Kind(("how old",), "age", "old"),
    _Kind(("how far",), "distance range", "far"),
    _Kind(("how fast",), "speed", "fast"),
    _Kind(("how often",), "frequency interval", "often"),
    _Kind(("how big", "how large"), "size area capacity volume", "big large"),
    _Kind(("how hot", "how warm", "how cold"), "temperature", "hot warm cold"),
)
_BEFORE_ASKING = frozenset(["since", "until", "by", "from", "at", "in", "on", "of", "for", "to", "and"])

MAX_NAME_LINES = 6  # of a passage, among which the name of its entry is looked for
MAX_DEFINITION_CHARACTERS = 240
MIN_DEFINITION_CHARACTERS = 3
_OPTION = re.compile(OPTION)
_SUBJECTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"what (?:does|do|did|would|will) (.+?) (?:do|mean|stand for|refer to|say|specify|control)"
        r"(?: (?:in|for|with|to) .+)?",
        r"(?:what (?:is|are) )?(?:the )?(?:meaning|definition|purpose|effect) of (.+)",
        r"(?:define|explain) (.+)",
        r"(.+) (?:meaning|definition|means?|stands for)",
        r"(?:what|who)(?: is|'s| are) (?:meant by )?(.+?)(?: in .+)?",
        r"(.+)",
    )
)
_AROUND_SUBJECT = re.compile(
    r"^(?:(?:the|an?|option|flag|switch|command|parameter|setting|directive|keyword|term|word) )+"
    r"|(?: (?:option|flag|switch|command|parameter|setting|directive|keyword|term))+$",
    re.IGNORECASE,
)
_BEFORE_NAME = re.compile(r"^[\d.]*\d[.)]?\s+")
_AFTER_NAME = re.compile(r"\s?\([^()]*\)$")
_BETWEEN_NAMES = re.compile(r",\s+|\s+/\s+|\s+or\s+")
# Between an entry's name and what it says: signs, the number of a sense, its pronunciation, part of speech and origin.
_BEFORE_DEFINITION = re.compile(
    r"(?:[\s:\u2013\u2014*_`|=>-]|\d{1,2}[.)]\s|//?[^/\n]{0,60}/,?\s|\[[^\]]{1,160}\]"
    r"|(?:n|vt?|vi|adj|adv|interj|prep|pron|conj|abbrev|excl)\.(?=[\s,]),?)*"
)

Features = tuple[float, ...]
NOTHING: Features = (0.0,) * len(Evidence._fields)


class Asked:
    """A question, as far as it is read, and what its words tell about the answer."""

    def __init__(self, question: str, language: str) -> None:
        question = question[:MAX_QUESTION_CHARACTERS]  # to make a term of each word of a book takes seconds
        self._language = language
        self._question = question.lower()
        self._asked = question
        self._terms: frozenset[str] | None = None  # this and the next are made when they are asked for
        self._may_be_about: frozenset[frozenset[str] | str] | None = None
        self.options = frozenset(_OPTION.findall(question)) if "-" in question else frozenset[str]()
        """Options of a command that the question names, as they are written there."""
        self.asks_meaning = language == ENGLISH and _asks_meaning(self._question)
        """Whether it asks in so many words what something means or does."""
        self._entries: dict[tuple[str, ...], bool] = {}
        self._weights: Mapping[str, float] = {}
        self._mended: Mapping[str, str] = {}
        self._columns: dict[str, frozenset[str]] = {}
        self._seen: dict[tuple[tuple[str, ...], str, int, int], Features] = {}
        self._may_repeat = "or" in self._question and _ALTERNATIVES.search(self._question) is not None
        self._wants_number = language == ENGLISH and _asks_number(self._question)
        self._asked_kinds: list[_Kind] | None = None

    @property
    def terms(self) -> frozenset[str]:
        """Terms of the question, and of what its misspelt words were meant to be."""
        if self._terms is None:
            found = frozenset(terms(self._question, self._language))
            found = found.difference(*(terms(word, self._language) for word in self._mended))
            self._terms = found.union(*(terms(meant, self._language) for meant in self._mended.values()))
        return self._terms

    @property
    def _kinds(self) -> list[_Kind]:
        """The kinds of answer that it asks for."""
        if self._asked_kinds is None:
            self._asked_kinds = _kinds(self._question) if self._language == ENGLISH else []
        return self._asked_kinds

    @property
    def _subjects(self) -> frozenset[frozenset[str] | str]:
        """What the question may be about as a whole, as it was asked and as it was meant."""
        if self._may_be_about is None:
            self._may_be_about = _subjects(self._asked, self._language)
            if self._mended:
                meant_words = [self._mended.get(word, word) for word in re.split(r"(\W+)", self._question)]
                self._may_be_about |= _subjects("".join(meant_words), self._language)
        return self._may_be_about

    def searched(
        self, weights: Mapping[str, float], mended: Mapping[str, str], unknown: Collection[str] = frozenset()
    ) -> None:
        """Notes what the search found.

        Args:
            weights: how rare its terms are in what was searched.
            mended: misspelt words, and what they were meant to be.
            unknown: terms that nothing has: they tell no row from another, and often are verbs ("sold", "published").
        """
        if unknown:
            weights = {one: of * UNKNOWN if one in unknown else of for one, of in weights.items()}
        self._weights = weights
        self._seen.clear()
        self._columns.clear()
        self._entries.clear()
        if mended:
            self._mended = mended
            self._terms = self._may_be_about = None

    def of(self, text: Text, start: int, end: int) -> Features:
        """Returns the evidence for the span `text.text[start:end]`."""
        at = text.heading, text.text, start, end
        found = self._seen.get(at)
        if found is None:  # a span is asked about when it is chosen, and when it is ranked
            found = self._seen[at] = self._of(text, start, end)
        return found

    def _of(self, text: Text, start: int, end: int) -> Features:
        span = text.text[start:end]
        is_row = text.kind == "row" and len(text.pieces) > 1
        repeats, marker = self._repeats(span), not is_row and _is_marker(text.text, start, end)
        lacks_number = self._wants_number and _NUMBER.search(span) is None
        names = self.names(text)
        if not (repeats or marker or lacks_number or is_row or names):
            return NOTHING
        column = self._in_row(text, start, end) if is_row else (0.0, 0.0, 0.0, 0.0)
        defines = names and (start, end) in (self._meanings(text) if is_row else (self._definition(text),))
        return (float(repeats), float(marker), float(lacks_number), *column, float(names), float(defines))

    def candidates(self, text: Text, places: Sequence[Place]) -> Iterator[Place]:
        """Yields a passage's best spans, and what may be looked up in it: a row's cells, the definition of an entry.

        What is looked up scores no more than what is in it, or than all that was found.

        Args:
            text: the passage.
            places: its best spans.
        """
        yield from places
        if not places:
            return
        known = {(place.start, place.end) for place in places}
        lowest = min(place.score for place in places)
        for start, end in _cells(text) if text.kind == "row" else filter(None, (self._definition(text),)):
            if (start, end) not in known:
                inside = [place.score for place in places if start <= place.start and place.end <= end]
                yield Place(start, end, max(inside) - 0.5 if inside else lowest - 1.0)

    def names(self, text: Text) -> bool:
        """Tells whether the question names the entry or row that a passage is: an option, or what it is all about."""
        is_row = text.kind == "row"
        if not is_row and (not text.heading or text.kind not in ("entry", "paragraph")):
            return False
        at = (*text.heading, text.text) if is_row else text.heading
        found = self._entries.get(at)
        if found is None:  # each span of the passage asks for it
            entries = (text.text[start:end] for start, end in _cells(text)) if is_row else (text.heading[-1],)
            found = self._entries[at] = any(self._is_named(entry, _above(text)) for entry in entries)
        return found

    def _is_named(self, entry: str, above: tuple[str, ...]) -> bool:
        """Tells whether the question names an entry, or the headings above it and the entry: "exit status 2"."""
        if options := _OPTION.findall(entry):
            return not self.options.isdisjoint(options) and entry.startswith("-")
        names = {distinct(name, self._language) for name in _BETWEEN_NAMES.split(_plain(entry))} - {frozenset()}
        if not names.isdisjoint(self._subjects):
            return True
        said = distinct(searched(above), self._language) if self.asks_meaning and names and above else frozenset[str]()
        return bool(said) and any(
            subject - said in names for subject in self._subjects if isinstance(subject, frozenset)
        )

    def _meanings(self, text: Text) -> list[tuple[int, int]]:
        """Returns the cells that say what the row means that the question names: of two, the other one."""
        cells = list(_cells(text))
        above = _above(text)
        others = [(start, end) for start, end in cells if not self._is_asked(text.text[start:end], above)]
        if len(others) == len(cells):
            return []
        return others if len(cells) == 2 else [at for at in others if self._is_meaning(text, at)]

    def _is_meaning(self, text: Text, at: tuple[int, int]) -> bool:
        cell = next(n for n, piece in enumerate(text.pieces) if (piece.start, piece.end) == at)
        name = _column(text, cell)
        return name is not None and _MEANING.search(text.text, name.start, name.end) is not None

    def _is_asked(self, entry: str, above: tuple[str, ...]) -> bool:
        """Tells whether the question asks what an entry of this name means or does."""
        if options := _OPTION.findall(entry):
            return not self._subjects.isdisjoint(options)
        return self._is_named(entry, above)

    def _definition(self, text: Text) -> tuple[int, int] | None:
        """Returns the first sentence below the name of an entry, if the question asks what that means or does."""
        if not self.names(text) or text.pieces:
            return None
        name, after = text.heading[-1], 0
        if not self._is_asked(name, _above(text)):
            return None
        for line in text.text.split("\n", MAX_NAME_LINES)[:MAX_NAME_LINES]:
            if (at := line.find(name)) >= 0:
                after += at + len(name)
                break
            after += len(line) + 1
        else:
            return None
        return _first_sentence(text.text, after)

    def _repeats(self, span: str) -> bool:
        """Tells whether a span says nothing but words of the question."""
        if self._may_repeat:
            return False
        said = words(span, self._language)
        if not said or (span.isascii() and not self._mended and any(map(self._lacks, said))):
            return False
        return all(term(word, self._language) in self.terms for word in said)

    def _lacks(self, word: str) -> bool:
        """Tells at a glance that the question, in ASCII, has no word of the same term: all begin alike."""
        first = word[: 1 if word[0].isdigit() or word[:2] in _TOLD_APART_LATER else 2]
        return first not in self._question and self._question.isascii()

    def _in_row(self, text: Text, start: int, end: int) -> tuple[float, float, float, float]:
        """Returns four numbers of a span in a row.

        They are 1; how surely it is looked up, by its column and its row; how much of its cell the question says; and
        whether it is the whole cell.
        """
        pieces = text.pieces
        at = next((n for n, piece in enumerate(pieces) if piece.start <= start and end <= piece.end), None)
        if at is None:
            return (1.0, 0.0, 0.0, 0.0)
        cell, name = pieces[at], _column(text, at)
        named = self._lookup(text, text.text[name.start : name.end]) if name is not None else 0.0
        said = distinct(text.text[cell.start : cell.end], self._language)
        repeated = len(said & self.terms) / len(said) if said else 0.0
        return (1.0, named, repeated, float((start, end) == (cell.start, cell.end)))

    def _naming(self, column: str) -> frozenset[str]:
        """Returns the terms by which a column may be named, if the question names it; else none."""
        if self.options and (options := _OPTION.findall(column)) and self.options.isdisjoint(options):
            return frozenset()  # -q is not -Q
        names = distinct(column, self._language)
        alike = self._alike(column) if self._language == ENGLISH else frozenset[str]()
        for kind in self._kinds:
            if kind.is_of(column, names, self.terms | alike):
                return names | _terms_of(kind.said) | alike
        if not self.terms.isdisjoint(names):
            return names
        if alike:
            return names | alike
        if len(column) > MAX_SHORT_NAME or self._language != ENGLISH:
            return frozenset()
        asked = words(self._question, self._language)
        initials = "".join(word[0] for word in asked)
        for part in _NAME_PART.findall(column):
            short = part.lower()
            long = [word for word in asked if _is_short_for(short, word)]
            at = initials.find(short) if part.isupper() and len(part) > 1 else -1
            if not long and at < 0:
                return frozenset()
            names |= {term(word, self._language) for word in (*long, *(asked[at : at + len(part)] if at >= 0 else ()))}
        return names if not self.terms.isdisjoint(names) else frozenset()

    def _alike(self, column: str) -> frozenset[str]:
        """Returns the terms of words of the question and of a column's name that are of one root, but no such term."""
        named = words(column, self._language)
        both = ((a, b) for a in words(self._question, self._language) for b in named if _are_of_one_root(a, b))
        found = frozenset(one for pair in both for word in pair for one in terms(word, self._language))
        return found - _terms_of(_LINKING)

    def _lookup(self, text: Text, column: str) -> float:
        """Returns 0 if the question does not name the column, else which part of its other words, by weight, is there.

        Args:
            text: the row.
            column: its name.
        """
        names = self._columns.get(column)
        if names is None:  # a table's rows have the same ones
            names = self._columns[column] = self._naming(column)
        if not names:
            return 0.0
        there = distinct(text.text, self._language) | distinct(searched(text.heading), self._language)
        linking = _terms_of(_LINKING) - there if self._language == ENGLISH else frozenset()
        others = {one: self._weights.get(one, 1.0) for one in self.terms - names - linking}
        total = sum(others.values())
        found = sum(weight for one, weight in others.items() if one in there) / total if total else 1.0
        if not _has_header(text):
            return found
        # The names of columns, and what stands above a table, are the same for all its rows.
        own = distinct("; ".join(text.text[start:end] for start, end in _own(text)), self._language)
        return found if not own.isdisjoint(others) else min(found, ANY_ROW)


def _is_short_for(short: str, word: str) -> bool:
    """Tells whether a part of a column's name is a word cut short, as in "DictSize", or without its vowels ("Qty")."""
    if not 2 <= len(short) <= MAX_SHORT * len(word):
        return False
    if len(short) > 2 and word.startswith(short):
        return True
    letters = iter(word)
    return word[0] == short[0] and _VOWELS.isdisjoint(short) and all(letter in letters for letter in short)


@cache
def _terms_of(english: str) -> frozenset[str]:
    """Returns the terms of some of this module's own words, which are the same for all questions."""
    return distinct(english)


def _kinds(question: str) -> list[_Kind]:
    """Returns the kinds of answer that a question asks for."""
    asked = all_words(question)
    if asked[:1] and asked[0] in _BEFORE_ASKING:
        del asked[0]
    return [kind for kind in _KINDS if kind.is_asked(asked)]


def _are_of_one_root(word: str, other: str) -> bool:
    """Tells whether two words begin alike and have different endings: "delivery" and "delivered"."""
    both = zip(word, other, strict=False)
    root = next((n for n, (a, b) in enumerate(both) if a != b), min(len(word), len(other)))
    return any(word[n:] in _ENDINGS and other[n:] in _ENDINGS for n in range(root, MIN_ROOT - 1, -1))


def _asks_number(question: str) -> bool:
    return any(has in question and asks.search(question) for has, asks in _ASKS_NUMBER.items())


def _asks_meaning(question: str) -> bool:
    asked = question.rstrip("?.! ").split()
    return "meaning" in asked or (asked[:1] == ["what"] and not {"do", "mean", "stand"}.isdisjoint(asked[3:]))


def _subjects(question: str, language: str) -> frozenset[frozenset[str] | str]:
    """Returns the things that a whole question may be about: options as they are written, others by their terms."""
    if language != ENGLISH:
        return frozenset()
    asked = question.strip().rstrip("?.! ")
    found: set[frozenset[str] | str] = set()
    for pattern in _SUBJECTS:
        if match := pattern.fullmatch(asked):
            for subject in (match[1], _AROUND_SUBJECT.sub("", match[1])):  # "flag day" is no flag
                found.add(subject if _OPTION.fullmatch(subject) else distinct(_plain(subject), language))
    return frozenset(found - {frozenset()})


def _plain(name: str) -> str:
    """Returns the name of an entry without its number and what it is marked with."""
    return _AFTER_NAME.sub("", _BEFORE_NAME.sub("", name)).strip(" \"'\u201c\u201d\u2018\u2019*_`:")


def _first_sentence(text: str, after: int) -> tuple[int, int] | None:
    """Returns the first sentence from a place on, or its beginning if it is long; None if nothing is said there."""
    begin = _BEFORE_DEFINITION.match(text, after)
    start = begin.end() if begin else after
    rest = text[start : start + 2 * MAX_DEFINITION_CHARACTERS]
    end = next(sure_sentence_ends(rest), len(rest))
    if 0 <= (paragraph := rest.find("\n\n")) < end:
        end = paragraph
    said = rest[:end].rstrip()
    if len(said) > MAX_DEFINITION_CHARACTERS:
        said = said[: max(0, *(said.rfind(sign, 0, MAX_DEFINITION_CHARACTERS) for sign in (", ", "; ", ": ", " (")))]
    said = said.rstrip(" \n.,;:")
    return (start, start + len(said)) if len(said) >= MIN_DEFINITION_CHARACTERS else None


def _above(text: Text) -> tuple[str, ...]:
    """Returns the headings that an entry stands under; what is above a table with a header may name its columns."""
    if text.kind == "row":
        return () if _has_header(text) else text.heading
    return text.heading[:-1]


def _cells(text: Text) -> Iterator[tuple[int, int]]:
    """Yields the cells of a row that may answer."""
    if len(text.pieces) > 1:
        yield from (at for at in _own(text) if _may_answer(text.text[slice(*at)]))


def _own(text: Text) -> Iterator[tuple[int, int]]:
    """Yields the cells of a row, without the names of its columns that stand above it."""
    return ((piece.start, piece.end) for piece in text.pieces if piece.place >= text.start)


def is_looked_up(features: Features) -> bool:
    """Tells whether a span is a cell whose column and row the question names, or a definition that it asks for."""
    of = Evidence(*features)
    return of.defines > 0 or (of.named >= LOOKED_UP and of.cell > 0 and of.said < 1)


def weighed(features: Features, weights: Evidence) -> float:
    """Returns the number that the evidence adds to a span's score."""
    return 0.0 if features is NOTHING else sum(map(float.__mul__, features, weights))


def _column(text: Text, at: int) -> Piece | None:
    """Returns the name of a cell's column: the header before it, or the key of a key and its value."""
    pieces = text.pieces
    if _has_header(text):
        is_named = at > 0 and pieces[at].place >= text.start > pieces[at - 1].place
        return pieces[at - 1] if is_named else None
    return pieces[0] if at == 1 and len(pieces) == 2 else None


def _has_header(text: Text) -> bool:
    """Tells whether a row says the names of its columns, which stand above it."""
    return any(piece.place < text.start for piece in text.pieces)


def _is_marker(text: str, start: int, end: int) -> bool:
    """Tells whether a span is what an item of a list is counted by."""
    if text[end : end + 1] not in (".", ")") or _MARKER.fullmatch(text, start, end) is None:
        return False
    line = text[text.rfind("\n", 0, start) + 1 : start]
    return not line.strip(" \t(#-*")


def _may_answer(cell: str) -> bool:
    return len(cell) <= MAX_CELL_CHARACTERS and any(map(str.isalnum, cell))

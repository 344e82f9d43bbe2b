"""Makes questions on structured text by rule, from invented tables and manual pages, and types them as people type.

In: names to fill tables with, a folder of manual pages as plain text (one a file). Out: tuples (kind, question,
context, start, end), as `examples.Example` has them; -1 and -1 where nothing answers. The same input gives the same
tuples. Whether what a table says is true does not matter here: a reader learns where an answer stands, not what it
is.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    Made = tuple[str, str, str, int, int]

HEADERS = (
    "capital;population;area;currency;language;founded;height;length;width;depth;weight;speed;maximum speed;range;"
    "capacity;voltage;power;frequency;temperature;pressure;density;melting point;boiling point;symbol;"
    "atomic number;colour;material;price;cost;owner;author;editor;publisher;director;artist;composer;manufacturer;"
    "model;serial number;version;release date;licence;status;priority;port;protocol;address;phone number;fax;"
    "e-mail;website;postal code;country code;airport code;time zone;elevation;latitude;longitude;mayor;governor;"
    "president;chairman;headquarters;employees;revenue;members;attendance;winner;runner-up;score;rank;points;goals;"
    "wins;losses;date;day;month;year;duration;start;end;opening hours;room;floor;teacher;subject;credits;grade;"
    "dose;interval;warranty;default;minimum;maximum;type;size;unit;value;limit;timeout;buffer size;block size;"
    "compression ratio;memory;cache;cores;clock rate;display;resolution;battery life;charging time;connector;"
    "cable length;torque;oil capacity;tyre pressure;fuel;filter;part number;thread size;diameter;thickness;"
    "flow rate;noise level;ingress protection;operating temperature;humidity;energy;calories;protein;fat;sugar;"
    "salt;vitamin;serving size;cooking time;flower;emblem;anthem;motto;calling code;internet domain;species;family;"
    "habitat;lifespan;wingspan;diet;exit code;meaning;signal;action;command;shortcut;key;format;encoding;location;"
    "destination;departure;arrival;gate;platform;carrier"
).split(";")
UNITS = (
    "m;cm;mm;km;kg;g;lb;litres;ml;V;A;W;kW;Hz;kHz;MHz;GHz;bar;psi;kPa;°C;°F;%;MB;GB;KB;s;ms;minutes;hours;days;"
    "weeks;months;years;EUR;$;km/h;mph;rpm;Nm;dB;kcal;mg;points;metres;people"
).split(";")
WORDS = (
    "red;blue;green;black;white;steel;aluminium;brass;copper;plastic;oak;yes;no;none;on;off;enabled;disabled;high;"
    "low;medium;monthly;weekly;yearly;daily;active;retired;planned;optional;required;integer;string;boolean;path;"
    "TCP;UDP;HTTP;USB-C;RJ45;ignore;terminate;stop;continue;zstd;gzip;ext4;UTF-8;ASCII;A;B;C;AA;M6;M8;1/2 inch;"
    "IP54;IP67;CR2032;AAA;left;right;front;rear;upper;lower;first;second;January;March;June;September;December;"
    "Monday;Friday"
).split(";")
THINGS = (
    "city;country;model;device;product;element;planet;station;school;company;team;song;book;film;option;signal;"
    "file;part;pump;engine;month;course;room;person;species;river;bridge"
).split(";")
MONTHS = ("January", "May", "July", "October")
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
UNTYPED = set(
    "what who when where which how why is are was were do does did the a an of in on to for at by with from has have "
    "had many much can could that this it its their his her".split()
)

_NAME = r"-{1,2}[\w?#@][\w.-]*"
_VALUE = r"(?:[ =]?[\[<]?[\w.,:|=<>\[\]-]+[\]>]?)?"
OPTION_LINE = re.compile(rf"^( {{1,10}})({_NAME}{_VALUE}(?:, ?{_NAME}{_VALUE})*)(?:\s*$| {{2,}}(\S.*)$)")
DEFAULT = re.compile(
    r"(?i)(?:the default(?: value)?(?: is|:)|defaults? to|default(?: value)?(?: is|:)|default =)\s+"
    r"[\"“'`]?([A-Za-z0-9_./%+-]*[A-Za-z0-9_/%])"
)


class Option(NamedTuple):
    """An entry of a manual page's list of options."""

    page: str
    names: str
    text: str

    @property
    def first_sentence(self) -> str:
        """Returns what the option does, without its full stop."""
        return re.split(r"(?<=[.;:]) ", self.text)[0].rstrip(".;:")


def typed(question: str, rng: random.Random) -> str:
    """Returns the question as somebody may type it: without its mark, in lower case, as keywords, with a slip."""
    how = rng.random()
    bare = question.rstrip("?").strip()
    if how < 0.35:
        return bare
    if how < 0.55:
        return bare.lower()
    if how < 0.85:
        words = [word for word in re.findall(r"[\w'.-]+", question) if word.lower() not in UNTYPED]
        keywords = " ".join(words) if len(words) > 1 else question
        return keywords.lower() if rng.random() < 0.6 else keywords
    words = question.split()
    long = [number for number, word in enumerate(words) if len(word) > 5 and word.isalpha()]
    if long:
        number = rng.choice(long)
        word, at = words[number], rng.randint(1, len(words[number]) - 2)
        words[number] = rng.choice(
            [
                word[:at] + word[at + 1 :],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + word[at] + word[at:],
            ]
        )
    slipped = " ".join(words)
    return slipped.rstrip("?").strip().lower() if rng.random() < 0.5 else slipped


def tables(examples: int, names: Sequence[str], seed: int = 3) -> list[Made]:
    """Returns so many questions on invented tables, a few a table."""
    rng = random.Random(seed)
    made: list[Made] = []
    while len(made) < examples:
        table = _Table(names, rng)
        for _ in range(rng.randint(1, 3)):
            question = table.question(names, rng)
            if question:
                made.append(question)
    return made[:examples]


class _Table:
    """An invented table: what it says, how it is written, and where in the text each cell stands."""

    def __init__(self, names: Sequence[str], rng: random.Random) -> None:
        self.thing = rng.choice(THINGS)
        self.columns = rng.sample(HEADERS, rng.randint(2, 6))
        self.rows = rng.sample(names, min(len(names), rng.randint(1, 8)))
        style = rng.choice(["record", "record", "pipes", "keys", "config", "columns", "colons"])
        if style in ("record", "keys", "config"):
            self.rows = self.rows[: 1 if rng.random() < 0.7 else 3]
        self.cells = {row: [_value(names, rng) for _ in self.columns] for row in self.rows}
        self.capital = rng.random() < 0.6
        self.text = ""
        self.places: dict[tuple[str, str], int] = {}
        if rng.random() < 0.3:
            self.text = f"{self._head(self.thing)}s" + (". " if style == "record" else "\n")
        if style in ("pipes", "columns", "colons"):
            self._write_grid({"pipes": " | ", "columns": "   ", "colons": ":"}[style], rng)
        else:
            self._write_records(style, rng)
        self.text = self.text.rstrip()

    def _head(self, name: str) -> str:
        return name[:1].upper() + name[1:] if self.capital else name

    def _write_grid(self, separator: str, rng: random.Random) -> None:
        corner = rng.choice([self.thing, "name", "no.", "item"])
        self.text += separator.join(self._head(name) for name in (corner, *self.columns)) + "\n"
        for row in self.rows:
            self.text += row
            for column, cell in zip(self.columns, self.cells[row], strict=True):
                self.text += separator
                self._put(row, column, cell)
            self.text += "\n"

    def _write_records(self, style: str, rng: random.Random) -> None:
        corner = rng.choice([self.thing, "name", "no.", "item"])
        opening = {"record": f"{self._head(corner)}: {{}}; ", "keys": "{}\n", "config": "[{}]\n"}[style]
        for row in self.rows:
            self.text += opening.format(row)
            for number, (column, cell) in enumerate(zip(self.columns, self.cells[row], strict=True), 1):
                self.text += f"{column.replace(' ', '_')} = " if style == "config" else f"{self._head(column)}: "
                self._put(row, column, cell)
                self.text += "\n" if style != "record" else "; " if number < len(self.columns) else "."
            self.text += " " if style == "record" else "\n"

    def _put(self, row: str, column: str, cell: str) -> None:
        self.places[row, column] = len(self.text)
        self.text += cell

    def question(self, names: Sequence[str], rng: random.Random) -> Made | None:
        """Returns a question on a cell, on the row that has a cell, or on what the table does not say."""
        row, column = rng.choice(self.rows), rng.choice(self.columns)
        number = self.columns.index(column)
        cell, start, drawn = self.cells[row][number], self.places[row, column], rng.random()
        alone = [cells[number] for cells in self.cells.values()].count(cell) == 1 == self.text.count(cell)
        if drawn < 0.72:
            forms = [
                f"What is the {column} of {row}?",
                f"What is the {column} of {row}?",
                f"what is the {column} of the {self.thing} {row}",
                f"{row} {column}",
                f"{column} of {row}",
                f"{column} {row}",
                f"What is {row}'s {column}?",
                f"Which {column} does {row} have?",
                f"{self._head(column)} for {row}?",
                f"How high is the {column} of {row}?" if cell[0].isdigit() else f"What {column} does {row} have?",
            ]
            return "table", rng.choice(forms), self.text, start, start + len(cell)
        if drawn < 0.82 and alone:
            forms = [
                f"Which {self.thing} has the {column} {cell}?",
                f"Which {self.thing} has a {column} of {cell}?",
                f"What has {column} {cell}?",
                f"{column} {cell}",
            ]
            begin = self.text.find(row)
            return "table", rng.choice(forms), self.text, begin, begin + len(row)
        if rng.random() < 0.5:
            column = rng.choice([name for name in HEADERS if name not in self.columns])
        else:
            row = rng.choice(names)
            if row in self.text:
                return None
        forms = [f"What is the {column} of {row}?", f"{row} {column}", f"{column} of {row}"]
        return "table", rng.choice(forms), self.text, -1, -1


def _value(names: Sequence[str], rng: random.Random) -> str:
    drawn = rng.random()
    if drawn < 0.45:
        number = rng.choice(
            [
                str(rng.randint(0, 99)),
                str(rng.randint(100, 9999)),
                f"{rng.randint(0, 99)}.{rng.randint(0, 99)}",
                f"{rng.randint(1, 999)},{rng.randint(0, 999):03d}",
                str(rng.randint(1500, 2025)),
                f"{rng.randint(1, 50)}-{rng.randint(51, 99)}",
            ]
        )
        return f"{number} {rng.choice(UNITS)}" if rng.random() < 0.5 else number
    if drawn < 0.65:
        return rng.choice(names)
    if drawn < 0.85:
        return rng.choice(WORDS)
    return rng.choice(
        [
            "".join(rng.choice(LETTERS) for _ in range(rng.randint(2, 4))),
            f"{rng.choice(LETTERS)}{rng.randint(1, 99)}",
            f"/{rng.choice(['etc', 'usr', 'var', 'opt', 'srv'])}/{rng.choice(WORDS).lower().replace(' ', '-')}",
            f"+{rng.randint(1, 99)} {rng.randint(100, 999)} {rng.randint(1000, 9999)}",
            f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}",
            f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {rng.randint(1800, 2025)}",
        ]
    )


def options(folder: Path, seed: int = 4, most: int = 12_000) -> list[Made]:
    """Returns questions on the options of manual pages; a context is an option among a few of its neighbours."""
    rng = random.Random(seed)
    pages = {path.stem: entries for path in sorted(folder.iterdir()) if len(entries := list(_entries(path))) >= 4}
    shuffled = [entry for entries in pages.values() for entry in entries]
    rng.shuffle(shuffled)
    made: list[Made] = []
    for option in shuffled:
        if len(made) == most:
            break
        question = _on_option(option, pages[option.page], shuffled, rng)
        if question:
            made.append(question)
    return made


def _entries(path: Path) -> Iterator[Option]:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    number = 0
    while number < len(lines):
        head = OPTION_LINE.match(lines[number])
        number += 1
        if not head:
            continue
        body = [head[3] or ""]
        while number < len(lines) and _goes_on(lines[number], len(head[1])):
            body.append(lines[number].strip())
            number += 1
        text = re.sub(r"\s+", " ", re.sub(r"(\w)- (?=[a-z])", r"\1", " ".join(body))).strip()
        if 20 < len(text) < 900:
            yield Option(path.stem, head[2], text)


def _goes_on(line: str, indent: int) -> bool:
    return not line.strip() or (len(line) - len(line.lstrip()) > indent and not OPTION_LINE.match(line))


def _on_option(
    option: Option, page: Sequence[Option], all_options: Sequence[Option], rng: random.Random
) -> Made | None:
    number = page.index(option)
    join, text, head, body = rng.choice(["\n", "  ", ": "]), "", 0, 0
    for neighbour in page[max(0, number - rng.randint(0, 3)) : number + 1 + rng.randint(0, 3)]:
        if neighbour is option:
            head, body = len(text), len(text) + len(option.names) + len(join)
        text += neighbour.names + join + neighbour.text + "\n"
    if len(text) > 2500:
        return None
    program, sentence = option.page.split(".")[0], option.first_sentence
    name = rng.choice(option.names.replace("=", " ").split(", ")).split()[0]
    does, drawn, words = sentence[:1].lower() + sentence[1:], rng.random(), len(sentence.split())
    default = DEFAULT.search(option.text)
    if default and drawn < 0.5:
        plain = name.lstrip("-").replace("-", " ")
        forms = [
            f"What is the default of {name}?",
            f"default of {name}",
            f"{program} default {plain}",
            f"What is the default value of {name} in {program}?",
            f"What is the default {plain}?",
            f"what does {name} default to",
        ]
        return "default", rng.choice(forms), text, body + default.start(1), body + default.end(1)
    if drawn < 0.75 and 3 <= words <= 16 and re.match(r"[a-z]+ ", does):
        verb, _, rest = does.partition(" ")
        forms = [
            f"Which option makes {program} {does}?",
            f"How do I {does}?",
            f"option to {does}",
            f"{program} {does}",
            f"Which option of {program} {verb}{'es' if verb.endswith(('s', 'sh', 'ch', 'x')) else 's'} {rest}?",
        ]
        answer = option.names.split(", ")[0] if rng.random() < 0.5 else option.names
        return "option", rng.choice(forms), text, head, head + len(answer)
    if drawn < 0.9 and words <= 22:
        forms = [f"What does {name} do?", f"{program} {name}", f"What is the effect of {name}?", f"what is {name} for"]
        return "option", rng.choice(forms), text, body, body + len(sentence)
    other = rng.choice(all_options)
    foreign = other.names.split(", ")[0].split()[0]
    if foreign in text or not 3 <= len(other.first_sentence.split()) <= 16:
        return None
    wanted = other.first_sentence[:1].lower() + other.first_sentence[1:]
    forms = [f"What does {foreign} do?", f"How do I {wanted}?", f"What is the default of {foreign}?"]
    return "option", rng.choice(forms), text, -1, -1

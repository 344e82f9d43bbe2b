"""The manifest of a bundle (format 2): JSON text in, a checked `Manifest` value out.

Pure: no file is read here; `bundle` compares the files with the manifest's digests. A manifest that breaks format 2 is
a `BundleError` that names file, field and value. `Fields` takes JSON apart and checks types and ranges, for the golden
cases, too. The values are named tuples, because every start waits for their classes, even where an answer is
remembered: dataclasses take 2.4 ms longer. The types of their fields are no strings here, as `from __future__ import
annotations` would make them: a named tuple compiles each such string, which takes 0.35 ms for all.
"""

import json
from pathlib import PurePosixPath, PureWindowsPath
from reprlib import repr as shortened  # a wrong value may be a megabyte long
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeqa.capabilities import MIN_WINDOW_TOKENS
from edgeqa.errors import BundleFormatUnsupported, BundleManifestInvalid, BundlePathUnsafe

if TYPE_CHECKING:
    from collections.abc import Collection
    from os import PathLike

    AnyPath = str | PathLike[str]

FORMAT = 2
NAME = "manifest.json"
JOINT_GRAPH = "model.onnx"
REQUIRED_FILES = {
    "split": ("encode.onnx", "encode.bin", "read.onnx", "read.bin", "tokenizer.json", "golden.json"),
    "joint": (JOINT_GRAPH, "tokenizer.json", "golden.json"),
}
PRECISIONS = ("int8", "float32", "float16")
MIN_QUESTION_TOKENS = 3  # [CLS], one of the question, [SEP]
# These are far beyond any reader for small devices: a larger number is a slip, and would end as a failed allocation.
MAX_TOKENS, MAX_WIDTH, MAX_LAYERS = 1 << 16, 1 << 16, 1 << 10
MAX_FILE_BYTES = 1 << 40
MAX_TYPE, MAX_SPECIAL_TOKENS = 1, 16
CHANCE_WEIGHTS = 4
MAX_WEIGHT = 1000.0  # with a larger weight in the calibration, every probability would be 0 or 1
MAX_COUNT = (1 << 31) - 1


class FileFact(NamedTuple):
    """The name, size and digest that a file of the bundle must have."""

    name: str
    size_bytes: int
    sha256: str


class Calibration(NamedTuple):
    """The weights that turn a score into a probability, and the least score of an answer (`tools/calibrate.py`).

    The probability that the best span is right is `sigmoid(slope * score + contexts * ln(n) + intercept)` for the best
    span of `n` contexts: among many contexts a high score comes up by chance more often.
    """

    slope: float = 1.0
    contexts: float = 0.0
    intercept: float = 0.0
    no_answer_below: float = 0.5
    """The probability under which the runtime says "no answer in this text"."""


class Evidence(NamedTuple):
    """Weights of the evidence that is added to the score of a span; see `asking.evidence`."""

    repeats: float = -0.01
    """Added if the span only repeats the question's words."""
    marker: float = 0.0
    """Added if the span is the number of a list's item."""
    number: float = 0.0
    """Added if the question asks for a number, and the span has none."""
    row: float = 0.0
    """Added if the span is in a table's row."""
    named: float = 0.0
    """Multiplied by the part of the question, without its column's name, that stands in the row; 0 if it names none."""
    said: float = 0.0
    """Multiplied by the part of the cell's words that the question has."""
    cell: float = 0.0
    """Added if the span is a whole cell."""
    names: float = 0.0
    """Added if the span's passage is an entry that the question names."""
    defines: float = 0.0
    """Added if the question asks what such an entry says, and the span is the first sentence below its name."""


class Searched(NamedTuple):
    """The same for the passages of a text or a collection that were searched for; fitted by `tools/calibrate.py`.

    A passage's *share* is its route score as a part of the best one's, in (0, 1], and a span's rank is its score, plus
    `route * (share - 1)`, plus its evidence. The probability that the best ranked span is right is
    `sigmoid(slope * rank + coverage * c + margin * m + intercept)`, where c is the part of the question's words, by
    weight, that stands in its passage, and m by how much it outranks the next span there. Without such numbers a score
    above "no answer" is an answer, and the route breaks ties.

    For the careful reader, a passage's share is 1 minus the distance of its rank, as the fast reader gave it, from the
    best one's; and `agrees` is added to the sum if both readers mean the same place.
    """

    route: float = 0.01
    evidence: Evidence = Evidence()
    slope: float = 1.0
    coverage: float = 0.0
    margin: float = 0.0
    intercept: float = 0.0
    lead: float = 0.0
    """Multiplied by the lead over the best span of another passage that was read."""
    agrees: float = 0.0
    """Added for the careful reader, if the fast one's best span overlaps the span."""
    no_answer_below: float = 0.5
    """The probability under which the runtime says that it is not sure."""
    chance: tuple[float, ...] = ()
    """How likely it is that the next passage has a better answer: weights of the best rank so far, of the next
    passage's share, of ln of the number read, and 1. Without them, a fixed number is read."""


class Pair(NamedTuple):
    """How a question and a context become one sequence: before, question, between, context, after."""

    before: tuple[int, ...]
    """Ids of special tokens; the first is the one whose logits mean "no answer"."""
    between: tuple[int, ...]
    after: tuple[int, ...]
    question_type: int = 0
    """Token type of all up to the context."""
    context_type: int = 1
    """Token type of the context and what comes after it."""

    @property
    def special_tokens(self) -> int:
        """How many tokens are neither of the question nor of the context."""
        return len(self.before) + len(self.between) + len(self.after)


class Joint(NamedTuple):
    """The facts that only a joint bundle states."""

    outputs: tuple[str, ...]
    """Names of the graph's start and end logits, or of the one output that holds both."""
    first_position: int
    """Position of the first token, for a graph that is given positions."""
    max_tokens: int
    """Limit of question, context and special tokens together."""
    heads: int
    graph_files: tuple[str, ...]
    """The graph and the files that its weights are in."""


class Manifest(NamedTuple):
    """A bundle's manifest, checked."""

    name: str
    version: str
    kind: str
    precision: str
    layers: int
    split: int
    width: int
    context_position: int
    max_question_tokens: int
    max_context_tokens: int
    lowercase: bool
    cls_id: int
    sep_id: int
    pad_id: int
    pair: Pair
    joint: Joint | None
    """None for a split bundle."""
    files: tuple[FileFact, ...]
    calibration: Calibration
    """Calibration for a single passage that is given, and not searched for."""
    searched: Searched
    language: str
    """Language of questions and texts, as in BCP 47; "" where it is unknown."""
    reads_tokens_of: tuple[str, ...] = ()
    """Encoders (`collection.snapshot.EncoderIdentity`) of older bundles that have the same tokenizer: this one reads
    what they added from its token ids."""
    made_of: str = ""
    """Digest of the bundle whose graphs these were made of, for a provider that does not take that one's."""

    def file(self, name: str) -> FileFact:
        """Returns the facts of the file called `name`; KeyError if the manifest has none."""
        return {f.name: f for f in self.files}[name]


def parse(text: str, where: str) -> Manifest:
    """Returns the manifest in `text`; `where` names it in errors.

    Raises:
        BundleFormatUnsupported: for another format than 2.
        BundlePathUnsafe: for a file name that is more than a plain name.
        BundleManifestInvalid: for anything else that is missing, of the wrong type, or out of range.
    """
    raw = parse_json(text, where)
    if not isinstance(raw, dict):
        raise BundleManifestInvalid(where, "not a JSON object")
    found = raw.get("format")
    if type(found) is not int or found != FORMAT:  # 2.0 equals 2, too
        raise BundleFormatUnsupported(where, found, FORMAT)
    fields = Fields(raw, where)
    kind = fields.one_of("kind", REQUIRED_FILES)
    layers = fields.count("layers", least=1, most=MAX_LAYERS)
    tokens = fields.part("special_tokens")
    cls_id, sep_id, pad_id = (tokens.count(name) for name in ("cls", "sep", "pad"))
    files = _files(fields.part("files"), where)
    manifest = Manifest(
        name=fields.text("name"),
        version=fields.text("version"),
        kind=kind,
        precision=fields.one_of("precision", PRECISIONS),
        layers=layers,
        split=fields.count("split", most=layers) if kind == "split" else 0,
        width=fields.count("width", least=1, most=MAX_WIDTH),
        context_position=fields.count("context_position", most=MAX_TOKENS) if kind == "split" else 0,
        max_question_tokens=fields.count("max_question_tokens", least=MIN_QUESTION_TOKENS, most=MAX_TOKENS),
        max_context_tokens=fields.count("max_context_tokens", least=MIN_WINDOW_TOKENS, most=MAX_TOKENS),
        lowercase=fields.flag("lowercase"),
        cls_id=cls_id,
        sep_id=sep_id,
        pad_id=pad_id,
        pair=Pair((cls_id,), (sep_id,), (sep_id,)) if kind == "split" else _pair(fields.part("pair")),
        joint=None if kind == "split" else _joint(fields.part("joint"), {f.name for f in files}),
        files=files,
        calibration=_calibration(fields.part("calibration")) if "calibration" in raw else Calibration(),
        searched=_searched(fields.part("searched")) if "searched" in raw else Searched(),
        language=fields.text("language") if "language" in raw else "",
        reads_tokens_of=fields.texts("reads_tokens_of") if "reads_tokens_of" in raw else (),
        made_of=fields.text("made_of") if "made_of" in raw else "",
    )
    named = {f.name for f in manifest.files}
    for name in REQUIRED_FILES[kind]:
        if name not in named:
            raise BundleManifestInvalid(where, f"files has no {name}, which a {kind} bundle needs")
    return manifest


def _files(fields: "Fields", where: str) -> tuple[FileFact, ...]:
    facts = []
    for name in fields.raw:
        plain = PurePosixPath(name).name == name == PureWindowsPath(name).name
        if not plain or name in {"", ".", "..", NAME}:
            raise BundlePathUnsafe(where, name)
        if not name.isprintable():  # no file system, or no screen, takes such a name
            raise BundleManifestInvalid(where, f"files has the name {name!r}, with characters that cannot be printed")
        file = fields.part(name)
        facts.append(FileFact(name, file.count("bytes", most=MAX_FILE_BYTES), file.text("sha256")))
    return tuple(facts)


def _pair(fields: "Fields") -> Pair:
    pair = Pair(
        before=fields.counts("before"),
        between=fields.counts("between"),
        after=fields.counts("after"),
        question_type=fields.count("question_type", most=MAX_TYPE),
        context_type=fields.count("context_type", most=MAX_TYPE),
    )
    if not pair.before or not pair.after or pair.special_tokens > MAX_SPECIAL_TOKENS:
        raise BundleManifestInvalid(fields.where, f"not from 2 to {MAX_SPECIAL_TOKENS} tokens around the texts")
    return pair


def _joint(fields: "Fields", files: set[str]) -> Joint:
    joint = Joint(
        outputs=fields.texts("outputs"),
        first_position=fields.count("first_position", most=MAX_TOKENS),
        max_tokens=fields.count("max_tokens", least=MIN_WINDOW_TOKENS, most=MAX_TOKENS),
        heads=fields.count("heads", least=1, most=MAX_WIDTH),
        graph_files=fields.texts("graph_files"),
    )
    if not 1 <= len(joint.outputs) <= 2:
        raise BundleManifestInvalid(fields.where, f"outputs has {len(joint.outputs)} members, not 1 to 2")
    if JOINT_GRAPH not in joint.graph_files or not files.issuperset(joint.graph_files):
        raise BundleManifestInvalid(fields.where, f"graph_files is not {JOINT_GRAPH} and other files of the bundle")
    return joint


def _calibration(fields: "Fields") -> Calibration:
    return Calibration(
        slope=fields.number("slope", least=0, most=MAX_WEIGHT),
        contexts=fields.number("contexts", least=-MAX_WEIGHT, most=MAX_WEIGHT),
        intercept=fields.number("intercept", least=-MAX_WEIGHT, most=MAX_WEIGHT),
        no_answer_below=fields.number("no_answer_below", least=0, most=1),
    )


def _searched(fields: "Fields") -> Searched:
    def number(of: "Fields", name: str) -> float:
        return of.number(name, least=-MAX_WEIGHT, most=MAX_WEIGHT)

    if "evidence" in fields.raw:
        part = fields.part("evidence")
        evidence = Evidence(**{name: number(part, name) for name in Evidence._fields if name in part.raw})
    else:  # as bundles had it before
        evidence = Evidence(repeats=-number(fields, "repeats"))
    weights = {name: number(fields, name) for name in ("route", "slope", "coverage", "intercept")}
    weights |= {name: number(fields, name) for name in ("margin", "lead", "agrees") if name in fields.raw}
    chance = fields.numbers("chance", least=-MAX_WEIGHT, most=MAX_WEIGHT)
    if len(chance) not in (0, CHANCE_WEIGHTS):
        raise BundleManifestInvalid(fields.where, f"chance has {len(chance)} members, not {CHANCE_WEIGHTS}")
    below = fields.number("no_answer_below", least=0, most=1)
    return Searched(**weights, evidence=evidence, no_answer_below=below, chance=chance)


def parse_json(text: str | bytes, where: "AnyPath") -> Any:  # noqa: ANN401 - any JSON value
    """Returns the JSON value in `text`; `where` names it in errors.

    Raises:
        BundleManifestInvalid: if it is not JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleManifestInvalid(where, f"not JSON ({error})") from error


class Fields:
    """A JSON object whose members are taken with their type; each method raises BundleManifestInvalid."""

    def __init__(self, raw: dict[str, Any], where: "AnyPath") -> None:
        self.raw, self.where = raw, where

    def text(self, key: str) -> str:
        """Returns a string that can be encoded: JSON may spell half a surrogate pair."""
        value: str = self._take(key, (str,), "a string")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise self._wrong(key, "text that can be encoded")
        return value

    def one_of(self, key: str, known: "Collection[str]") -> str:
        """Returns one of the strings in `known`."""
        value = self.text(key)
        if value not in known:
            raise self._wrong(key, f"one of {', '.join(known)}")
        return value

    def flag(self, key: str) -> bool:
        """Returns true or false."""
        value: bool = self._take(key, (bool,), "true or false")
        return value

    def count(self, key: str, *, least: int = 0, most: int = MAX_COUNT) -> int:
        """Returns a whole number in this range."""
        value: int = self._take(key, (int,), "a whole number")
        if not least <= value <= most:
            raise self._wrong(key, f"from {least} to {most}")
        return value

    def number(self, key: str, *, least: float, most: float) -> float:
        """Returns a number in this range, so neither infinite nor NaN."""
        value: float = self._take(key, (int, float), "a number")
        if not least <= value <= most:
            raise self._wrong(key, f"from {least:g} to {most:g}")
        return float(value)

    def counts(self, key: str) -> tuple[int, ...]:
        """Returns a list of whole numbers from 0 to `MAX_COUNT`."""
        items = self._items(key)
        return tuple(items.count(number) for number in items.raw)

    def numbers(self, key: str, *, least: float, most: float) -> tuple[float, ...]:
        """Returns a list of numbers in this range."""
        items = self._items(key)
        return tuple(items.number(number, least=least, most=most) for number in items.raw)

    def texts(self, key: str) -> tuple[str, ...]:
        """Returns a list of strings."""
        items = self._items(key)
        return tuple(items.text(number) for number in items.raw)

    def part(self, key: str) -> "Fields":
        """Returns the members of the object under `key`."""
        return Fields(self._take(key, (dict,), "an object"), f"{self.where}: {key}")

    def _items(self, key: str) -> "Fields":
        found: list[Any] = self._take(key, (list,), "a list")
        return Fields({str(number): item for number, item in enumerate(found)}, f"{self.where}: {key}")

    def _take(self, key: str, kinds: tuple[type, ...], called: str) -> Any:  # noqa: ANN401 - checked here
        value = self.raw.get(key)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self._wrong(key, called)
        return value

    def _wrong(self, key: str, called: str) -> BundleManifestInvalid:
        return BundleManifestInvalid(self.where, f"{key} is {shortened(self.raw.get(key))}, not {called}")

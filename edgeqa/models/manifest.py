"""The manifest of a bundle (format 1): JSON text in, a checked `Manifest` value out.

Pure: it reads no file and knows no digest but those that the text states. What the files really hold is checked in
`bundle`. Anything that is not as format 1 says is a `BundleError` that names the manifest and the fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from edgeqa.capabilities.overrides import LEAST_WINDOW_TOKENS
from edgeqa.errors import BundleFormatUnsupported, BundleManifestInvalid, BundlePathUnsafe
from edgeqa.models.fields import Fields, parsed

FORMAT = 1
NAME = "manifest.json"
REQUIRED_FILES = {"split": ("encode.onnx", "read.onnx", "tokenizer.json", "golden.json")}
PRECISIONS = ("int8", "float32")
LEAST_QUESTION_TOKENS = 3  # [CLS], one of the question, [SEP]
# Far beyond any reader for small devices: what lies above is a slip, and would end as a failed allocation.
MOST_TOKENS, MOST_WIDTH, MOST_LAYERS = 1 << 16, 1 << 16, 1 << 10
MOST_FILE_BYTES = 1 << 40
MOST_WEIGHT = 1000.0  # of the calibration: with more, every probability is 0 or 1


@dataclass(frozen=True, slots=True)
class FileFact:
    """What a file of the bundle must be."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a score becomes a probability, and from which score on there is an answer; fitted by `tools/calibrate.py`.

    The probability that the best span is right is `sigmoid(slope * score + contexts * ln(n) + intercept)` for the best
    span of `n` contexts: among many contexts a high score comes up by chance more often.
    """

    slope: float = 1.0
    contexts: float = 0.0
    intercept: float = 0.0
    no_answer_below: float = 0.5
    """The probability under which the runtime says "no answer in this text"."""


@dataclass(frozen=True, slots=True)
class Manifest:
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
    files: tuple[FileFact, ...]
    calibration: Calibration

    def file(self, name: str) -> FileFact:
        """Returns the facts of the file called `name`; KeyError if the manifest has none."""
        return {f.name: f for f in self.files}[name]


def parse(text: str, where: str) -> Manifest:
    """Returns the manifest in `text`; `where` names it in errors.

    Raises:
        BundleFormatUnsupported: for another format than 1.
        BundlePathUnsafe: for a file name that is more than a plain name.
        BundleManifestInvalid: for anything else that is missing, of the wrong type, or out of range.
    """
    raw = parsed(text, where)
    if not isinstance(raw, dict):
        raise BundleManifestInvalid(where, "not a JSON object")
    found = raw.get("format")
    if type(found) is not int or found != FORMAT:  # true and 1.0 equal 1, too
        raise BundleFormatUnsupported(where, found, FORMAT)
    fields = Fields(raw, where)
    kind = fields.one_of("kind", REQUIRED_FILES)
    layers = fields.count("layers", least=1, most=MOST_LAYERS)
    tokens = fields.part("special_tokens")
    manifest = Manifest(
        name=fields.text("name"),
        version=fields.text("version"),
        kind=kind,
        precision=fields.one_of("precision", PRECISIONS),
        layers=layers,
        split=fields.count("split", most=layers),
        width=fields.count("width", least=1, most=MOST_WIDTH),
        context_position=fields.count("context_position", most=MOST_TOKENS),
        max_question_tokens=fields.count("max_question_tokens", least=LEAST_QUESTION_TOKENS, most=MOST_TOKENS),
        max_context_tokens=fields.count("max_context_tokens", least=LEAST_WINDOW_TOKENS, most=MOST_TOKENS),
        lowercase=fields.flag("lowercase"),
        cls_id=tokens.count("cls"),
        sep_id=tokens.count("sep"),
        pad_id=tokens.count("pad"),
        files=_files(fields.part("files"), where),
        calibration=_calibration(fields.part("calibration")) if "calibration" in raw else Calibration(),
    )
    named = {f.name for f in manifest.files}
    for name in REQUIRED_FILES[kind]:
        if name not in named:
            raise BundleManifestInvalid(where, f"files has no {name}, which a {kind} bundle needs")
    return manifest


def _files(fields: Fields, where: str) -> tuple[FileFact, ...]:
    facts = []
    for name in fields.raw:
        plain = PurePosixPath(name).name == name == PureWindowsPath(name).name
        if not plain or name in {"", ".", "..", NAME}:
            raise BundlePathUnsafe(where, name)
        if not name.isprintable():  # what no file system, or no screen, takes as a name
            raise BundleManifestInvalid(where, f"files has the name {name!r}, with characters that cannot be printed")
        file = fields.part(name)
        facts.append(FileFact(name, file.count("bytes", most=MOST_FILE_BYTES), file.text("sha256")))
    return tuple(facts)


def _calibration(fields: Fields) -> Calibration:
    return Calibration(
        slope=fields.number("slope", least=0, most=MOST_WEIGHT),
        contexts=fields.number("contexts", least=-MOST_WEIGHT, most=MOST_WEIGHT),
        intercept=fields.number("intercept", least=-MOST_WEIGHT, most=MOST_WEIGHT),
        no_answer_below=fields.number("no_answer_below", least=0, most=1),
    )

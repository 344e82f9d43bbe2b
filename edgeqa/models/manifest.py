"""The manifest of a bundle (format 1): JSON text in, a checked `Manifest` value out.

Pure: it reads no file and knows no digest but those that the text states. What the files really hold is checked in
`bundle`. Anything that is not as format 1 says is a `BundleError` that names the manifest and the fault.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from edgeqa.errors import BundleFormatUnsupported, BundleManifestInvalid, BundlePathUnsafe

FORMAT = 1
NAME = "manifest.json"
REQUIRED_FILES = {"split": ("encode.onnx", "read.onnx", "tokenizer.json", "golden.json")}


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
        BundleManifestInvalid: for anything else that is missing or of the wrong type.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise BundleManifestInvalid(where, f"not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise BundleManifestInvalid(where, "not a JSON object")
    if raw.get("format") != FORMAT:
        raise BundleFormatUnsupported(where, raw.get("format"), FORMAT)
    fields = _Fields(raw, where)
    kind = fields.text("kind")
    if kind not in REQUIRED_FILES:
        raise BundleManifestInvalid(where, f"kind {kind!r} is none of {', '.join(REQUIRED_FILES)}")
    tokens = fields.part("special_tokens")
    manifest = Manifest(
        name=fields.text("name"),
        version=fields.text("version"),
        kind=kind,
        precision=fields.text("precision"),
        layers=fields.count("layers"),
        split=fields.count("split"),
        width=fields.count("width"),
        context_position=fields.count("context_position"),
        max_question_tokens=fields.count("max_question_tokens"),
        max_context_tokens=fields.count("max_context_tokens"),
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


class _Fields:
    """A JSON object whose members are taken with their type."""

    def __init__(self, raw: dict[str, Any], where: str) -> None:
        self.raw, self.where = raw, where

    def _take(self, key: str, kinds: tuple[type, ...], called: str) -> Any:  # noqa: ANN401 - checked here
        value = self.raw.get(key)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise BundleManifestInvalid(self.where, f"{key} is {value!r}, not {called}")
        return value

    def text(self, key: str) -> str:
        value: str = self._take(key, (str,), "a string")
        return value

    def flag(self, key: str) -> bool:
        value: bool = self._take(key, (bool,), "true or false")
        return value

    def count(self, key: str) -> int:
        value: int = self._take(key, (int,), "a whole number")
        if value < 0:
            raise BundleManifestInvalid(self.where, f"{key} is {value}, below 0")
        return value

    def number(self, key: str) -> float:
        return float(self._take(key, (int, float), "a number"))

    def part(self, key: str) -> _Fields:
        return _Fields(self._take(key, (dict,), "an object"), f"{self.where}: {key}")


def _files(fields: _Fields, where: str) -> tuple[FileFact, ...]:
    facts = []
    for name in fields.raw:
        plain = PurePosixPath(name).name == name == PureWindowsPath(name).name
        if not plain or name in {"", ".", "..", NAME}:
            raise BundlePathUnsafe(where, name)
        file = fields.part(name)
        facts.append(FileFact(name, file.count("bytes"), file.text("sha256")))
    return tuple(facts)


def _calibration(fields: _Fields) -> Calibration:
    names = ("slope", "contexts", "intercept", "no_answer_below")
    return Calibration(**{name: fields.number(name) for name in names})

"""Records: the key of an answer, and one form of record for texts, collections and clusters.

A key is made of all that the answer depends on: the model, the way it is run, the `Options` (checked once, when they
are given), the digest of the scope, and last the normalised question.

A record holds an `Outcome`: the result of reading passages, before it is decided whether there is an answer. It has
plain values and no text of the passages. The scope's digest is part of the key, so the caller has the texts that the
answer is cut from. A record is not used if it does not fit these texts, has another shape, or was made while a part of
the scope could not be read.

Pure: the scope finds passages again. Frozen dataclasses would take a millisecond more to import.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from edgeqa.cache.records import Key, encode_argument, join_fields, utf8
from edgeqa.contexts import Place
from edgeqa.errors import OptionError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    from edgeqa.asking import Scope, SourcePassage
    from edgeqa.asking.equipment import Equipment

KEYSPACE = "answers"
Option: TypeAlias = "str | int | bool | None"

# This is white space for BERT's normaliser. `str.split` also splits at control characters, which the normaliser
# deletes.
_SPACES = "[ \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"

# An option of a command, as a question names it: its letters mean something else in the other case.
OPTION = r"(?<![\w-])--?[A-Za-z0-9?@][\w-]*"


class Options(NamedTuple):
    """Options of one question."""

    top: int = 1
    """How many distinct spans to give as candidates."""
    force: bool = False
    """Whether the best span is given even where it is not sure."""
    most_contexts: int | None = None
    """Exactly so many passages are read, as far as there are; None for as many as can still change the answer."""

    @classmethod
    def of(cls, *, top: object, force: object, most_contexts: object) -> Options:
        """Returns the options, checked.

        Raises:
            OptionError: for a number that is none, or below 1.
        """
        if type(top) is not int or top < 1:
            raise OptionError(name="top", value=top, expected="a whole number from 1 on")
        if most_contexts is not None and (type(most_contexts) is not int or most_contexts < 1):
            raise OptionError(name="most_contexts", value=most_contexts, expected="a whole number from 1 on")
        return cls(top, bool(force), most_contexts)


def key_in(equipment: Equipment, asked: str, digest: str, options: Mapping[str, Option]) -> Key:
    """Returns the key of an answer to the question, in a scope with this digest.

    On a device that the model was not tested on, it is tested for that: raises as `Equipment.fingerprint` does.
    """
    bundle = equipment.bundle
    return _keys_of(bundle.digest, equipment.computed, digest, lowercase=bundle.manifest.lowercase, **options)(asked)


@lru_cache(maxsize=64)
def keys_of_answers(
    bundle_digest: str,
    computed: str,
    scope_digest: str,
    lowercase: bool,  # noqa: FBT001 - a keyword argument would take twice as long
    options: Options,
    window_tokens: int | None,
    reader: str | None,
) -> Callable[[str], Key]:
    """Returns the function that gives the key of a question's answer, in a scope.

    Args:
        bundle_digest: of the model that searches and reads first.
        computed: how this device computes with it.
        scope_digest: of what is asked.
        lowercase: whether the model is.
        options: of the question.
        window_tokens: how long windows were asked to be.
        reader: the careful reader's key where it decides.
    """
    on = {**options._asdict(), "window_tokens": window_tokens, **({} if reader is None else {"reader": reader})}
    return _keys_of(bundle_digest, computed, scope_digest, lowercase=lowercase, **on)


def answer_keys(
    *, bundle_digest: str, computed: str, options: Mapping[str, Option], scope_digest: str, lowercase: bool
) -> Callable[[str], Key]:
    """Returns the function that gives a question's key, for all questions that share everything else."""
    scope = utf8(scope_digest)
    shared = _shared(bundle_digest, computed, **options) + len(scope).to_bytes(4, "little") + scope

    def key_of(question: str) -> Key:
        field = utf8(normalise_question(question, lowercase=lowercase))
        return Key.of_canonical(KEYSPACE, shared + len(field).to_bytes(4, "little") + field)

    return key_of


@lru_cache(maxsize=64, typed=True)  # 1 and True are two options
def _keys_of(
    bundle_digest: str,
    computed: str,
    scope_digest: str,
    *,
    lowercase: bool,
    **options: Option,
) -> Callable[[str], Key]:
    return answer_keys(
        bundle_digest=bundle_digest,
        computed=computed,
        options=options,
        scope_digest=scope_digest,
        lowercase=lowercase,
    )


@lru_cache(maxsize=64, typed=True)
def _shared(bundle_digest: str, computed: str, **options: Option) -> bytes:
    return join_fields((KEYSPACE.encode(), utf8(bundle_digest), utf8(computed), encode_argument(options)))


def normalise_question(question: str, *, lowercase: bool) -> str:
    """Returns the question as it is remembered: NFC, trimmed, white space collapsed, lower case if the model is.

    Letters are lowered one by one, as tokenizers do it: lowering the whole string would make a final sigma of a
    capital one, and so give two questions with different tokens one key. Options stay as they are: -z is not -Z.
    """
    if question.isascii() and question.isprintable():  # most are so, and need no table; their only space is " "
        text = " ".join(question.split())
        return text if not lowercase else text.lower() if "-" not in text else _lowered(text)
    import unicodedata

    text = _spaces().sub(" ", unicodedata.normalize("NFC", question)).strip(" ")
    if not lowercase:
        return text
    return unicodedata.normalize("NFC", _lowered(text))


def _lowered(text: str) -> str:
    others_and_options = _options().split(text)
    others_and_options[::2] = ["".join([letter.lower() for letter in other]) for other in others_and_options[::2]]
    return "".join(others_and_options)


@lru_cache(maxsize=1)
def _options() -> re.Pattern[str]:
    import re

    return re.compile(f"({OPTION})")


@lru_cache(maxsize=1)
def _spaces() -> re.Pattern[str]:
    import re

    return re.compile(_SPACES)


class FoundSpan(NamedTuple):
    """A span of a passage."""

    passage: SourcePassage
    place: Place
    probability: float


class NearPassage(NamedTuple):
    """A passage close to the question."""

    passage: SourcePassage
    rank: float
    marked: tuple[int, int] | None


class Outcome(NamedTuple):
    """The result of reading passages for a question, before it is decided whether there is an answer."""

    spans: tuple[FoundSpan, ...]
    """The best spans, best first."""
    closest: tuple[NearPassage, ...]
    contexts: int
    """How many windows were read."""
    is_given: bool
    """Whether that is a passage which nobody searched for."""
    question_cut: bool
    question_mended: str | None
    notes: tuple[str, ...]
    damaged: tuple[str, ...] = ()
    careful: tuple[str, float] | None = None
    """Where the careful reader decides, the name of its model, and the probability below which it gives no answer."""

    def passages(self) -> list[SourcePassage]:
        """Returns the passages that it names."""
        return [*(span.passage for span in self.spans), *(near.passage for near in self.closest)]


def pack_outcome(outcome: Outcome, scope: Scope, *, whole: bool) -> dict[str, Any]:
    """Packs an answer to be stored; `whole` tells whether it was made of all that the scope holds."""
    references: list[Any] = []
    numbers: dict[int, int] = {}

    def number_of(passage: SourcePassage) -> int:
        if id(passage) not in numbers:
            numbers[id(passage)] = len(references)
            references.append(scope.reference(passage))
        return numbers[id(passage)]

    spans = [
        [number_of(s.passage), s.passage.text.text[s.place.start : s.place.end], *s.place, s.probability]
        for s in outcome.spans
    ]
    closest = [[number_of(n.passage), n.rank, *(n.marked or ())] for n in outcome.closest]
    return {
        "passages": references,
        "spans": spans,
        "closest": closest,
        "contexts": outcome.contexts,
        "is_given": outcome.is_given,
        "question_cut": outcome.question_cut,
        "question_mended": outcome.question_mended,
        "notes": list(outcome.notes),
        "whole": whole,
        **({} if outcome.careful is None else {"careful": list(outcome.careful)}),
    }


def unpack_outcome(stored: Any, scope: Scope) -> Outcome | None:  # noqa: ANN401 - whatever lies in the cache
    """Unpacks a stored answer, and cuts its spans from the scope again; None if it does not fit the scope."""
    try:
        if not stored["whole"]:
            return None
        passages = [scope.again(reference) for reference in stored["passages"]]
        spans = []
        for number, text, start, end, score, probability in stored["spans"]:
            passage = passages[number]
            if passage is None or passage.text.text[start:end] != text:
                return None
            spans.append(FoundSpan(passage, Place(start, end, score), probability))
        closest = []
        for number, rank, *marked in stored["closest"]:
            passage = passages[number]
            if passage is None:
                return None
            closest.append(NearPassage(passage, rank, (marked[0], marked[1]) if marked else None))
        return Outcome(
            tuple(spans),
            tuple(closest),
            stored["contexts"],
            stored["is_given"],
            stored["question_cut"],
            stored["question_mended"],
            tuple(stored["notes"]),
            careful=_careful(stored),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _careful(stored: Any) -> tuple[str, float] | None:  # noqa: ANN401 - as above
    if (careful := stored.get("careful")) is None:
        return None
    model, below = careful
    return str(model), float(below)

"""What an answer depends on, and what it is remembered under: the `Options` of a question, and the key of its answer.

In: a question, the digest of what it is asked of, options, which are checked once, when they are given. Out: a `Key`.
It holds everything that the answer depends on: the model, how it is run, the options, which contexts the question is
asked of; and the normalised question, last. Pure.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from edgeqa.cache.keys import Key, encode_argument, join_fields, utf8
from edgeqa.errors import OptionError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    from edgeqa.asking.equipment import Equipment

KEYSPACE = "answers"
Option: TypeAlias = "str | int | bool | None"

# White space as BERT's normaliser sees it. `str.split` also splits at control characters, which the normaliser deletes.
_SPACES = "[ \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"


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
        for name, value in (("top", top), ("most_contexts", 1 if most_contexts is None else most_contexts)):
            if type(value) is not int or value < 1:
                raise OptionError(name, value, "a whole number from 1 on")
        return cls(top, bool(force), most_contexts)  # type: ignore[arg-type]  # checked above

    def in_keys(self) -> dict[str, Option]:
        """Returns what of them is part of the key that an answer is remembered under."""
        return self._asdict()


def key_in(equipment: Equipment, asked: str, digest: str, options: Mapping[str, Option]) -> Key:
    """Returns what an answer to the question is remembered under, in a scope with this digest.

    On a device that the model was not tested on, it is tested for that: raises as `Equipment.fingerprint` does.
    """
    bundle = equipment.bundle
    return _keys_of(bundle.digest, equipment.computed, digest, lowercase=bundle.manifest.lowercase, **options)(asked)


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
    capital one, and so give two questions with different tokens one key.
    """
    if question.isascii() and question.isprintable():  # most are, and need none of the tables; the only space is " "
        text = " ".join(question.split())
        return text.lower() if lowercase else text
    import unicodedata

    text = _spaces().sub(" ", unicodedata.normalize("NFC", question)).strip(" ")
    if not lowercase:
        return text
    return unicodedata.normalize("NFC", "".join([letter.lower() for letter in text]))


@lru_cache(maxsize=1)
def _spaces() -> re.Pattern[str]:
    import re

    return re.compile(_SPACES)

"""A bundle's golden cases (golden.json): a bundle in, questions with what the reference network says of them out.

At least one, each complete and within the bundle's limits; anything else is a `BundleError` that names the case and the
fault. Whether the bundle gives the same on this device is asked in `selftest`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeqa.errors import BundleFileDamaged, BundleManifestInvalid
from edgeqa.models.fields import Fields, parsed
from edgeqa.models.manifest import LEAST_QUESTION_TOKENS

if TYPE_CHECKING:
    from edgeqa.models.bundle import Bundle

NAME = "golden.json"
LEAST_CONTEXT_TOKENS = 2  # one of the context, [SEP]
LARGEST_LOGIT = 1e6  # logits are some tens; this only keeps infinity and NaN out


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """A question on a text, and the reference's logits."""

    question: str
    context: str
    question_ids: tuple[int, ...]
    """With [CLS] and [SEP]."""
    context_ids: tuple[int, ...]
    """With [SEP]."""
    start_logits: tuple[float, ...]
    """Of all tokens: the question's, then the context's."""
    end_logits: tuple[float, ...]


def golden_cases(bundle: Bundle) -> tuple[GoldenCase, ...]:
    """Returns the bundle's cases.

    Raises:
        BundleManifestInvalid: if the file is not a list of cases, or an empty one.
        BundleFileDamaged: if it cannot be read.
    """
    file = bundle.file(NAME)
    try:
        raw = parsed(file.read_bytes(), file)
    except OSError as error:
        raise BundleFileDamaged(file, "reading", "possible", error.strerror) from error
    if not isinstance(raw, list) or not raw:
        raise BundleManifestInvalid(file, "not a list of at least one case")
    cases = Fields({f"case {number}": case for number, case in enumerate(raw, 1)}, file)
    return tuple(_case(cases.part(name), bundle) for name in cases.raw)


def _case(fields: Fields, bundle: Bundle) -> GoldenCase:
    limits = bundle.manifest
    case = GoldenCase(
        question=fields.text("question"),
        context=fields.text("context"),
        question_ids=fields.counts("question_ids"),
        context_ids=fields.counts("context_ids"),
        start_logits=fields.numbers("start_logits", least=-LARGEST_LOGIT, most=LARGEST_LOGIT),
        end_logits=fields.numbers("end_logits", least=-LARGEST_LOGIT, most=LARGEST_LOGIT),
    )
    tokens = len(case.question_ids) + len(case.context_ids)
    for name, length, least, most in (
        ("question_ids", len(case.question_ids), LEAST_QUESTION_TOKENS, limits.max_question_tokens),
        ("context_ids", len(case.context_ids), LEAST_CONTEXT_TOKENS, limits.max_context_tokens),
        ("start_logits", len(case.start_logits), tokens, tokens),
        ("end_logits", len(case.end_logits), tokens, tokens),
    ):
        if not least <= length <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise BundleManifestInvalid(fields.where, f"{name} has {length} members, not {wanted}")
    return case

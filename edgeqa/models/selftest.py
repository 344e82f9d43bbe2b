"""Does this bundle give right answers on this device? The golden cases in, a `Verdict` out, remembered.

int8 kernels give wrong logits, without a word, on CPUs that lack the instructions they were written for. So the golden
questions are run once per bundle, CPU, onnxruntime and precision path, and compared with the logits that the reference
network gives in float32.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeqa import state
from edgeqa.errors import BundleManifestInvalid, BundleSelfTestFailed
from edgeqa.models.reader import Logits
from edgeqa.models.spans import best_spans

if TYPE_CHECKING:
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.reader import SplitReader
    from edgeqa.models.tokenizer import Tokenizer

# Largest difference to the reference's logits. int8 differs by 0.96 at most with exact products (measured on x86 with
# VNNI); with products that overflow 16 bits, by 18 (published for a BERT-large).
LARGEST_ERROR = {"int8": 2.0, "float32": 0.01}
CLEAR_SCORE = 1.0  # a golden answer with a score beyond this must come out as the best span
_REMEMBERED = "self-tests"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the self-test went."""

    passed: bool
    largest_error: float
    """Largest difference of a logit to the reference's."""
    detail: str
    """One line for the capability report."""


def remembered(bundle: Bundle, cpu_flags: str, precision: str) -> Verdict | None:
    """Returns the verdict of an earlier test under the same conditions, or None.

    Args:
        bundle: the bundle.
        cpu_flags: the flags that int8 kernels depend on, in a fixed order.
        precision: the precision path that the sessions take.
    """
    known = state.recall(_REMEMBERED, _key(bundle, cpu_flags, precision))
    return Verdict(passed=True, **known) if isinstance(known, dict) else None


def assure(bundle: Bundle, cpu_flags: str, precision: str, tokenizer: Tokenizer, reader: SplitReader) -> Verdict:
    """Returns the remembered verdict, or tests and remembers.

    Raises:
        BundleSelfTestFailed: if the test fails. That is not remembered: the next start tests again.
    """
    if (known := remembered(bundle, cpu_flags, precision)) is not None:
        return known
    verdict = run(bundle, tokenizer, reader)
    if not verdict.passed:
        raise BundleSelfTestFailed(bundle.manifest.name, verdict.detail)
    facts = {"largest_error": verdict.largest_error, "detail": verdict.detail}
    state.remember(_REMEMBERED, _key(bundle, cpu_flags, precision), facts)
    return verdict


def _key(bundle: Bundle, cpu_flags: str, precision: str) -> str:
    return f"{bundle.digest}|{cpu_flags}|{precision}|onnxruntime {version('onnxruntime')}"


def run(bundle: Bundle, tokenizer: Tokenizer, reader: SplitReader) -> Verdict:
    """Returns the verdict of running the golden cases now."""
    cases = _cases(bundle)
    allowed = LARGEST_ERROR.get(bundle.manifest.precision, LARGEST_ERROR["int8"])
    largest = 0.0
    for number, case in enumerate(cases, 1):
        question, context = tokenizer.tokenize(case["question"]), tokenizer.tokenize(case["context"])
        m = bundle.manifest
        ids = [m.cls_id, *question.ids.tolist(), m.sep_id], [*context.ids.tolist(), m.sep_id]
        if ids != (case["question_ids"], case["context_ids"]):
            return Verdict(passed=False, largest_error=largest, detail=f"case {number}: other token ids")
        found = reader.read(reader.encode_question(question.ids), reader.encode_context(context.ids))
        expected = _expected(case)
        largest = max(largest, _difference(found, expected))
        if not largest <= allowed:  # also where it is not a number
            return Verdict(passed=False, largest_error=largest, detail=f"case {number}: logits differ by {largest:.2f}")
        one = np.zeros_like(context.words)  # paragraph
        best, right = (best_spans(logits, context.words, one)[0] for logits in (found, expected))
        same = (best.first, best.last) == (right.first, right.last)
        if not (same if right.score > CLEAR_SCORE else best.score < CLEAR_SCORE):
            return Verdict(passed=False, largest_error=largest, detail=f"case {number}: another answer")
    detail = f"{len(cases)} of {len(cases)} golden cases, logits within {largest:.2f} of the reference"
    return Verdict(passed=True, largest_error=largest, detail=detail)


def _cases(bundle: Bundle) -> list[dict[str, Any]]:
    file = bundle.file("golden.json")
    try:
        cases: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleManifestInvalid(file, f"not JSON ({error})") from error
    return cases


def _expected(case: dict[str, Any]) -> Logits:
    start, end = (np.array(case[name], dtype=np.float32) for name in ("start_logits", "end_logits"))
    of_context = slice(len(case["question_ids"]), -1)
    return Logits(start[of_context], end[of_context], float(start[0] + end[0]))


def _difference(found: Logits, expected: Logits) -> float:
    return float(
        max(
            np.abs(found.start - expected.start).max(),
            np.abs(found.end - expected.end).max(),
            abs(found.no_answer - expected.no_answer),
        )
    )

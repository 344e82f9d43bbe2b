"""Does this bundle give right answers on this device? Its golden cases in, a `Verdict` out, remembered.

int8 kernels silently give wrong logits on CPUs that lack the instructions they were written for. So the golden
questions are run once per bundle, CPU, onnxruntime and precision path, and compared with the logits that the reference
network gives in float32. golden.json must hold at least one case, each complete and within the bundle's limits;
otherwise there is a `BundleError` that names the case and the fault. The digest of the logits that this device gives is
the *fingerprint*: devices with the same fingerprint compute alike, and may share answers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeqa import state
from edgeqa.capabilities.computing import SELF_TESTS, self_test_key
from edgeqa.capabilities.precision import of_graphs
from edgeqa.contexts.windows import meaningful
from edgeqa.digests import blake2b
from edgeqa.errors import BundleFileDamaged, BundleManifestInvalid, BundleSelfTestFailed, BundleTokensWrong
from edgeqa.files import read
from edgeqa.models import manifest as manifests
from edgeqa.models.manifest import MIN_QUESTION_TOKENS, Fields, parse_json
from edgeqa.models.readers import Logits
from edgeqa.models.spans import best_spans, span_table
from edgeqa.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from edgeqa.models.bundle import Bundle
    from edgeqa.models.manifest import Pair
    from edgeqa.models.readers import Ids, Reader
    from edgeqa.models.spans import Indexes, Span

GOLDEN_FILE = "golden.json"
MIN_CONTEXT_TOKENS = 2  # one of the context, [SEP]
MAX_LOGIT = 1e6  # logits are some tens; this only keeps infinity and NaN out
# Largest difference to the reference's logits. int8 differs by 0.96 at most with exact products (measured on x86 with
# VNNI); with products that overflow 16 bits, by 18 (published for a BERT-large).
MAX_ERROR = {"int8": 2.0, "float32": 0.01, "float16": 0.2}
ENCODING_ERROR = 0.3  # a split bundle of any precision differs by so much, since its encodings are int8 (0.06 measured)
# If a golden answer scores higher than this, the best span must be this answer, or one that the reference scores lower
# by at most this much: models of others have near ties.
CLEAR_SCORE = 1.0
MAX_MOVE = 4.0  # of the score of a case that has no clear answer
FINGERPRINT_BYTES = 16


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """A question on a text, and the reference's logits."""

    question: str
    context: str
    question_ids: tuple[int, ...]
    """The question's token ids, with [CLS] and [SEP]."""
    context_ids: tuple[int, ...]
    """The context's token ids, with [SEP]."""
    start_logits: tuple[float, ...]
    """Logits of all tokens: the question's, then the context's."""
    end_logits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of a self-test that was passed."""

    largest_error: float
    """Largest difference of a logit to the reference's."""
    detail: str
    """One line for the capability report."""
    fingerprint: str
    """Digest of the logits that the golden cases have here, all of them, as float32: 32 hexadecimal digits."""
    path: str
    """The precision path that they were computed on, which may be another one than the plan's (`other_paths`)."""


def recall(bundle: Bundle, processor: str, precision: str) -> Verdict | None:
    """Returns the verdict of an earlier test under the same conditions, or None.

    Args:
        bundle: the bundle.
        processor: the processor as kernels see it, in one line.
        precision: the plan's precision path.
    """
    match state.recall(SELF_TESTS, self_test_key(bundle.digest, processor, precision)):
        case {"largest_error": float(error), "detail": str(detail), "fingerprint": str(digest), "path": str(path)}:
            return Verdict(error, detail, digest, path)
    return None


def remember(bundle: Bundle, processor: str, precision: str, verdict: Verdict) -> None:
    """Keeps a verdict for its conditions; a failure is not remembered, and the next start tests again."""
    state.remember(SELF_TESTS, self_test_key(bundle.digest, processor, precision), asdict(verdict))


def forget(bundle: Bundle, processor: str, precision: str) -> None:
    """Forgets a verdict, so that the model is tested anew under these conditions."""
    state.remember(SELF_TESTS, self_test_key(bundle.digest, processor, precision), None)


def run(bundle: Bundle, tokenizer: Tokenizer | None, reader: Reader, path: str = "") -> Verdict:
    """Returns the verdict of running the golden cases now.

    Args:
        bundle: the bundle.
        tokenizer: its tokenizer; None to load it for that.
        reader: its graphs.
        path: the precision path that these take, for the verdict.

    Raises:
        BundleSelfTestFailed: for a case that comes out wrong; BundleTokensWrong where it is the tokenizer's fault.
        BundleManifestInvalid: if golden.json is no list of cases, or the manifest's width is not that of the graphs.
        BundleFileDamaged: if golden.json cannot be read.
    """
    cases = golden_cases(bundle)
    tokenizer = tokenizer or Tokenizer(bundle.file("tokenizer.json"))
    largest, digest = 0.0, blake2b(digest_size=FINGERPRINT_BYTES)
    for number, case in enumerate(cases, 1):
        found, error = _try_case(bundle, case, f"case {number}", tokenizer, reader, of_graphs(path))
        largest = max(largest, error)
        for logits in (found.start, found.end, np.float32(found.no_answer)):
            digest.update(np.asarray(logits, dtype="<f4").tobytes())
    detail = f"{len(cases)} of {len(cases)} golden cases, logits within {largest:.2f} of the reference"
    return Verdict(largest, detail, digest.hexdigest(), path)


def _try_case(
    bundle: Bundle, case: GoldenCase, name: str, tokenizer: Tokenizer, reader: Reader, precision: str
) -> tuple[Logits, float]:
    """Returns the case's logits, and their largest difference to the reference's; raises as `run` does."""
    m = bundle.manifest
    question, context = tokenizer.tokenize(case.question), tokenizer.tokenize(case.context)
    ids = pair_ids(m.pair, question.ids, context.ids)
    if ids != (case.question_ids, case.context_ids):
        raise BundleTokensWrong(m.name, f"{name}: other token ids")
    hidden = reader.encode_question(question.ids)
    if m.kind == "split" and hidden.shape[-1] != m.width:
        raise BundleManifestInvalid(bundle.file(manifests.NAME), f"width is {m.width}, the graphs' {hidden.shape[-1]}")
    encoding, expected = reader.encode_context(context.ids), _expected(case, m.pair)
    all_logits = reader.read_all(hidden, encoding)
    error = _difference(all_logits, expected)
    # Graphs made from rounded weights differ as much from the reference as those weights do.
    largest_error = max(
        MAX_ERROR[m.precision], MAX_ERROR.get(precision, 0.0), ENCODING_ERROR if m.kind == "split" else 0.0
    )
    if not error <= largest_error:  # also where it is not a number
        raise BundleSelfTestFailed(m.name, f"{name}: logits differ by {error:.2f}")
    one_paragraph, telling = np.zeros_like(context.words), meaningful(case.context, context.offsets)
    found = reader.read(hidden, encoding)
    spans = span_table(context.words, one_paragraph, telling)
    best, right = (best_spans(logits, spans) for logits in (found, expected))
    if not _same_answer(best, right, expected, context.words):
        raise BundleSelfTestFailed(m.name, f"{name}: another answer")
    return all_logits, error


def _same_answer(best: list[Span], right: list[Span], expected: Logits, words: Indexes) -> bool:
    """Tells whether the best span is the reference's, or one that the reference finds about as good."""
    if not best or not right:
        return not best and not right
    if right[0].score <= CLEAR_SCORE:  # no answer, or hardly one
        return best[0].score < right[0].score + MAX_MOVE
    ours = words == words[best[0].first], words == words[best[0].last]
    its_score = float(expected.start[ours[0]].max() + expected.end[ours[1]].max()) - expected.no_answer
    return its_score > right[0].score - CLEAR_SCORE


def pair_ids(pair: Pair, question: Ids, context: Ids) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the two halves of a golden case's tokens: up to the context, and from there on."""
    return (*pair.before, *question.tolist(), *pair.between), (*context.tolist(), *pair.after)


def _expected(case: GoldenCase, pair: Pair) -> Logits:
    start, end = (np.array(logits, dtype=np.float32) for logits in (case.start_logits, case.end_logits))
    of_context = slice(len(case.question_ids), -len(pair.after))
    return Logits(start[of_context], end[of_context], float(start[0] + end[0]))


def _difference(found: Logits, expected: Logits) -> float:
    pairs = ((found.start, expected.start), (found.end, expected.end), (found.no_answer, expected.no_answer))
    # numpy's max, unlike Python's, lets no NaN pass for a small number.
    return float(np.max([np.abs(np.subtract(*pair)).max() for pair in pairs]))


def golden_cases(bundle: Bundle) -> tuple[GoldenCase, ...]:
    """Returns the bundle's cases.

    Raises:
        BundleManifestInvalid: if the file is not a list of cases, or an empty one.
        BundleFileDamaged: if it cannot be read.
    """
    file = bundle.file(GOLDEN_FILE)
    try:
        raw = parse_json(read(file), file)
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
        start_logits=fields.numbers("start_logits", least=-MAX_LOGIT, most=MAX_LOGIT),
        end_logits=fields.numbers("end_logits", least=-MAX_LOGIT, most=MAX_LOGIT),
    )
    tokens = len(case.question_ids) + len(case.context_ids)
    for name, length, least, most in (
        ("question_ids", len(case.question_ids), MIN_QUESTION_TOKENS, limits.max_question_tokens),
        ("context_ids", len(case.context_ids), MIN_CONTEXT_TOKENS, limits.max_context_tokens),
        ("start_logits", len(case.start_logits), tokens, tokens),
        ("end_logits", len(case.end_logits), tokens, tokens),
    ):
        if not least <= length <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise BundleManifestInvalid(fields.where, f"{name} has {length} members, not {wanted}")
    return case

"""The cost of a plan: a bundle's facts and a plan's sizes in, bytes of memory and of address space out. Pure.

The constants are fitted to measurements, and lie above every one of these, by less than a tenth: peak resident memory
of `edgeqa ask` with edgeqa-mini 4 (int8, 20.7 MiB), its passages as long as said, made of any words (x86-64 with VNNI,
Linux 6.18, Python 3.11, onnxruntime 1.32; `benchmarks/memory.py` measures it again):

    120 tokens 98 MiB, 185: 101, 310: 107; a page 100, 1 MB of text 105, with 1, 2 and 4 threads
    16 callers, 310 tokens each, of whom 4 read at a time, the encodings kept: 164 to 173; estimated are 182
    float32 graphs took 60 to 62 MiB more with edgeqa-mini 2 (86.0 MiB), exact products for processors without VNNI 2

Where the system has the libraries' files in large pieces, as after they were installed, a process counts up to 15 MiB
more of them (121 instead of 107, 183 to 197 for the callers). It takes these back when memory is short.

A joint bundle's peak is that of its loading or that of its reading. Measured in MiB with graphs of plain operators, the
tokenizer above, and 512 tokens of question and context (x86-64 with VNNI, onnxruntime 1.32, 1 and 2 threads):

    12 layers of 768: float32, file of 415: load 577-582, in some runs up to 715; read 601-674, in one run 791
                      int8, 106: load 257, read 363; float16, 208: load 650-666, read 625-643
    6 layers of 384:  float32, 86: load 202, read 266; int8, 22: load 106-114, read 183-190

edgeqa-base as the second reader of a process (int8, 106 MiB, in files that are mapped; `edgeqa ask`, 1 thread): 97 MiB
more than edgeqa-mini 4 alone on a page, 112 on a passage of 120 tokens, 117 on one of 310; estimated are 133.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from edgeqa.capabilities import MIB

PASSAGES = 100  # within so many, about thirty questions, a slower start must have paid off
TIMED_TOKENS = 160  # the passage that times a reader has so many
WINDOW_TOKENS = 320  # the contexts of a long text have so many, unless memory is short
# Python, numpy, onnxruntime, tokenizers and edgeqa itself, and a long text being split (4 MiB more for 1 MB of text
# than for a page).
_RUNTIME_BYTES, _TEXT_BYTES = 48 * MIB, 5 * MIB
_JOINT_RUNTIME_BYTES, _JOINT_TEXT_BYTES = 64 * MIB, 24 * MIB  # with which the figures of joint bundles were fitted
# Answers and texts at hand: the tables of `cache.front` (4 MiB) and of `runtime` (1 MiB), when they are full.
AT_HAND_BYTES = 5 * MIB
# Graphs: mapped weights, and products laid out again for the kernels. 0.99 (float32) to 1.15 (int8) of the files.
_GRAPH_NUMERATOR, _GRAPH_DENOMINATOR = 12, 10
_TOKENIZER_FACTOR = 16  # 11 MiB for a tokenizer.json of 0.68 MiB
# A layer's activations: bytes for a token and a unit of width; attention scores grow with the square.
_ACTIVATION_BYTES, _ATTENTION_DIVISOR = 60, 6
# A context in memory besides its encoding: its text, token ids, and where its words are.
_PASSAGE_BYTES_A_TOKEN = 200

# Of a joint bundle, per cent of the files: while it is loaded (the file, the weights, and, of float16, those in float32
# that the processor computes with), and after that.
_LOAD_PERCENT = {"float32": 175, "int8": 190, "float16": 310}
_READ_PERCENT = {"float32": 130, "int8": 140, "float16": 230}
# What it takes to read: bytes for a token and a unit of width; attention scores of a head, twice, in float32.
_JOINT_ACTIVATION_BYTES, _SCORE_BYTES = 300, 8

# Of edgeqa-base's files, which are mapped, and what it takes to read: less than of a model whose weights are laid out
# again, and whose arena grows while it is loaded.
_MAPPED_PERCENT, _SECOND_ACTIVATION_BYTES = 100, 20

# Address space of one thread beyond that: code that is never touched (92 MiB measured), and 40 for what the sum above
# once had more. Too little here ends in a hang, too much in a refusal.
_UNTOUCHED_BYTES = 132 * MIB
# A further thread, in the pool of each graph: 8 MiB of stack, and 64 MiB of the C library's, which takes twice as much
# for the moment in which it aligns them. Measured: 174 MiB for the second thread, 462 MiB for three. Where a thread
# cannot be made, onnxruntime does not fail but hangs, so this must not be too little.
_THREAD_BYTES = 72 * MIB
_ALIGNMENT_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True)
class ModelNeeds:
    """The facts of a bundle that decide its cost."""

    file_bytes: int
    """All graphs together."""
    tokenizer_bytes: int
    width: int
    max_context_tokens: int
    precision: str
    """"int8", "float32" or "float16"."""
    kind: str
    """"split" (two graphs) or "joint" (one)."""
    heads: int = 0
    """Attention heads, of a joint bundle."""
    question_tokens: int = 0
    """Tokens that a joint bundle reads together with a context, special tokens included."""
    unmapped_bytes: int = 0
    """Files that are read into memory where they would otherwise be mapped."""

    @property
    def encoding_bytes_a_token(self) -> int:
        """Bytes that are kept for a token of a context: int8 and a scale, or its id."""
        return self.width + 4 if self.kind == "split" else 8


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of a provider's trial in a process of its own."""

    name: str
    """The provider's name, as onnxruntime has it."""
    precision: str
    """The precision of the graphs: the model's own, or of graphs that were made for providers."""
    ok: bool
    """Whether its answers are right, and it took any of the graphs."""
    reason: str
    """The details of the result, or the reason of a failure."""
    ms: float = 0.0
    """How long it takes for a question on a passage of 160 tokens."""
    load_ms: float = 0.0
    mib: float = 0.0
    """Memory of the process, at its peak."""
    nodes_taken: int | None = None
    """Operators that it computes; None where that is not known."""
    nodes: int | None = None
    """Operators in all graphs."""
    is_busy: bool = False
    """Whether others kept the processor from it meanwhile: its time says little."""
    fingerprint: str = ""
    """Digest of the golden cases' logits."""
    largest_error: float = 0.0

    @property
    def cost_ms(self) -> float:
        """How long it takes to load it, and to read with it for a while."""
        return self.load_ms + PASSAGES * self.ms

    def or_quicker(self, other: Tried) -> Tried:
        """Returns this trial, or another of the same, whichever was quicker; one that failed counts."""
        if not (self.ok and other.ok):
            return self if not self.ok else other
        return replace(min(self, other, key=lambda one: one.ms), load_ms=min(self.load_ms, other.load_ms))

    def to_json(self) -> dict[str, Any]:
        """Returns the facts that a report shows, without figures where the answers are wrong or nothing was taken."""
        facts = asdict(self)
        for name in ("ms", "load_ms", "mib") if not self.ok else ():
            facts[name] = None
        del facts["fingerprint"], facts["largest_error"]
        return facts


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a plan that take memory."""

    batch_contexts: int
    window_tokens: int
    answer_cache_bytes: int
    encoding_store_bytes: int
    callers: int = 1
    """Questions that are read at a time. Where there are several, the graphs are there twice: for one, and for many."""


def memory_bytes(needs: ModelNeeds, sizes: Sizes) -> int:
    """Returns the memory that the whole process takes at its peak."""
    if needs.kind == "joint":
        return _joint_bytes(needs, sizes)
    tokens = sizes.window_tokens
    activations = sizes.callers * needs.width * tokens * (_ACTIVATION_BYTES + tokens // _ATTENTION_DIVISOR)
    contexts = sizes.batch_contexts * tokens * (needs.encoding_bytes_a_token + _PASSAGE_BYTES_A_TOKEN)
    graphs = (1 + (sizes.callers > 1)) * needs.file_bytes * _GRAPH_NUMERATOR // _GRAPH_DENOMINATOR
    model = _RUNTIME_BYTES + _TEXT_BYTES + AT_HAND_BYTES + graphs + needs.tokenizer_bytes * _TOKENIZER_FACTOR
    model += needs.unmapped_bytes
    return model + activations + contexts + sizes.answer_cache_bytes + sizes.encoding_store_bytes


def _joint_bytes(needs: ModelNeeds, sizes: Sizes) -> int:
    # Texts that fit are read whole where windows are as long as usual, however long those are.
    whole = sizes.window_tokens >= min(needs.max_context_tokens, WINDOW_TOKENS)
    context_tokens = needs.max_context_tokens if whole else sizes.window_tokens
    tokens = context_tokens + needs.question_tokens
    activations = sizes.callers * tokens * (needs.width * _JOINT_ACTIVATION_BYTES + needs.heads * tokens * _SCORE_BYTES)
    contexts = sizes.batch_contexts * context_tokens * (needs.encoding_bytes_a_token + _PASSAGE_BYTES_A_TOKEN)
    load = needs.file_bytes * _LOAD_PERCENT[needs.precision] // 100
    read = needs.file_bytes * _READ_PERCENT[needs.precision] // 100 + activations + _JOINT_TEXT_BYTES
    model = _JOINT_RUNTIME_BYTES + AT_HAND_BYTES + needs.tokenizer_bytes * _TOKENIZER_FACTOR + needs.unmapped_bytes
    model += max(load, read) + (sizes.callers > 1) * load
    return model + contexts + sizes.answer_cache_bytes + sizes.encoding_store_bytes


def second_reader_bytes(needs: ModelNeeds) -> int:
    """Returns the memory that edgeqa-base takes more, at its peak, in a process that reads with another already."""
    tokens = min(needs.max_context_tokens, WINDOW_TOKENS) + needs.question_tokens
    activations = tokens * (needs.width * _SECOND_ACTIVATION_BYTES + needs.heads * tokens * _SCORE_BYTES)
    model = needs.file_bytes * _MAPPED_PERCENT // 100 + needs.tokenizer_bytes * _TOKENIZER_FACTOR
    return model + activations + needs.unmapped_bytes


def address_bytes(needs: ModelNeeds, sizes: Sizes, threads: int) -> int:
    """Returns the address space that the whole process takes at its peak."""
    further = (threads - 1) * (2 if needs.kind == "split" else 1)
    pools = further * _THREAD_BYTES + _ALIGNMENT_BYTES if further else 0
    return memory_bytes(needs, sizes) + _UNTOUCHED_BYTES + pools

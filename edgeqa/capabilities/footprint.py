"""What a plan costs: a bundle's facts and a plan's sizes in, bytes of memory and of address space out. Pure.

The constants are fitted to measurements, and lie above every one of them: peak resident memory of a process that loads
both graphs of edgeqa-mini (int8, 22.4 MiB; float32, 86.1 MiB) and its tokenizer, and reads contexts of 64 to 448 tokens
(x86-64 with VNNI, Linux 6.18, Python 3.11, onnxruntime 1.31, one thread, three runs each):

    int8:     64 tokens 101 MiB, 128: 111, 192: 112, 256: 117, 320: 124, 384: 136, 448: 142
    float32:  64 tokens 174 MiB, 320: 184; 2 and 4 threads take no more than 1
"""

from __future__ import annotations

from dataclasses import dataclass

from edgeqa.capabilities.sizes import MIB

# Python, numpy, onnxruntime, tokenizers and edgeqa itself: 57 MiB were measured without edgeqa.
_RUNTIME_BYTES = 64 * MIB
# A long text being split, and what its pieces leave between them: 24 MiB more for 1 MB of text than for a line of it.
_TEXT_BYTES = 24 * MIB
# Graphs: weights, laid out again for the kernels. 1.18 (float32) to 1.30 (int8) bytes for a byte of file.
_GRAPH_NUMERATOR, _GRAPH_DENOMINATOR = 13, 10
_TOKENIZER_FACTOR = 16  # 11 MiB for a tokenizer.json of 0.68 MiB
# A layer's activations: bytes for a token and a unit of width; attention scores grow with the square.
_ACTIVATION_BYTES, _ATTENTION_DIVISOR = 132, 3
# A context in memory besides its encoding: its text, token ids, and where its words are.
_PASSAGE_BYTES_A_TOKEN = 200

# Address space of one thread beyond what is resident (92 MiB measured): code that is never touched.
_UNTOUCHED_BYTES = 96 * MIB
# A further thread, in the pool of each graph: 8 MiB of stack, and 64 MiB of the C library's, which takes twice as much
# for the moment in which it aligns them. Measured: 174 MiB for the second thread, 462 MiB for three. Where a thread
# cannot be made, onnxruntime does not fail but hangs, so this must not be too little.
_THREAD_BYTES = 72 * MIB
_ALIGNMENT_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True)
class ModelNeeds:
    """What of a bundle matters for its cost."""

    file_bytes: int
    """All graphs together."""
    tokenizer_bytes: int
    width: int
    max_context_tokens: int
    precision: str
    """"int8" or "float32"."""
    kind: str
    """"split" (two graphs) or "joint" (one)."""

    @property
    def encoding_bytes_a_token(self) -> int:
        """What is kept of a token of a context: int8 and a scale, or its id."""
        return self.width + 4 if self.kind == "split" else 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """What of a plan takes memory."""

    batch_contexts: int
    window_tokens: int
    answer_cache_bytes: int
    encoding_store_bytes: int


def memory_bytes(needs: ModelNeeds, sizes: Sizes) -> int:
    """Returns the memory that the whole process takes at its peak."""
    tokens = sizes.window_tokens
    activations = needs.width * tokens * (_ACTIVATION_BYTES + tokens // _ATTENTION_DIVISOR)
    contexts = sizes.batch_contexts * tokens * (needs.encoding_bytes_a_token + _PASSAGE_BYTES_A_TOKEN)
    graphs = needs.file_bytes * _GRAPH_NUMERATOR // _GRAPH_DENOMINATOR
    model = _RUNTIME_BYTES + _TEXT_BYTES + graphs + needs.tokenizer_bytes * _TOKENIZER_FACTOR
    return model + activations + contexts + sizes.answer_cache_bytes + sizes.encoding_store_bytes


def address_bytes(needs: ModelNeeds, sizes: Sizes, threads: int) -> int:
    """Returns the address space that the whole process takes at its peak."""
    further = (threads - 1) * (2 if needs.kind == "split" else 1)
    pools = further * _THREAD_BYTES + _ALIGNMENT_BYTES if further else 0
    return memory_bytes(needs, sizes) + _UNTOUCHED_BYTES + pools

"""Defines the two networks in PyTorch: the student, a split reader that ships, and the teacher, which only teaches.

In: token ids `[batch, tokens]`, of the student's questions and contexts apart. Out: start and end logits `[batch,
tokens, 2]`. The names of the student's weights are those that
`../reference.py` explains; this file says how they are trained, `../graphs.py` how they run. It reads and writes
files of weights, and knows neither examples nor losses.

Sources: lower layers that see question and context apart: Cao et al., "DeFormer", ACL 2020. The teacher: Song et al.,
"MPNet: Masked and Permuted Pre-training for Language Understanding", 2020. Rounding while training, with the gradient
passed straight through: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
Only Inference", 2018.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from mpnet import load_floats, load_pretrained
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

MASKED = -1e4
CONTEXT_POSITION = 64  # of a context's first token, however long the question is
WORDS, POSITIONS, WIDTH, HEADS = 30_522, 512, 384, 12
LAYERS, SPLIT = 6, 3
INNER = (1536, 1536, 1536, 384, 384, 1536)  # width of each layer's feed-forward part
LIKELY_SHARE, MIN_LIKELY = 0.15, 16  # of a context's tokens, those the last layer is computed for
TEACHER_LAYERS, TEACHER_WIDTH, TEACHER_INNER = 12, 768, 3072
TEACHER_FROZEN = 4  # its lowest layers stay as they were pre-trained
PAD, STUDENT_PAD = 1, 0  # MPNet's, BERT's


def rounded(x: Tensor, scale: Tensor, zero: Tensor | float = 0.0) -> Tensor:
    """Returns `x` as 8 bits would hold it; the gradient passes as if nothing had been rounded."""
    steps = torch.round(x / scale)
    return x + ((steps if isinstance(zero, float) else (steps + zero).clamp(0, 255) - zero) * scale - x).detach()


def rounded_rows(x: Tensor) -> Tensor:
    """Returns `x` in int8 with one scale a row, as weights and encodings are kept."""
    with torch.no_grad():
        scale = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-12)
    return rounded(x, scale)


def rounded_whole(x: Tensor) -> Tensor:
    """Returns `x` `[batch, tokens, width]` in uint8 with one scale a sequence, as the graphs' products round it."""
    with torch.no_grad():
        low, high = x.amin((1, 2), keepdim=True).clamp(max=0), x.amax((1, 2), keepdim=True).clamp(min=0)
        scale = ((high - low) / 255).clamp(min=1e-12)
        zero = torch.round(-low / scale)
    return rounded(x, scale, zero)


class Product(nn.Linear):
    """A matrix product that rounds both sides to 8 bits when told to, as the graphs on a device do."""

    in_8_bits = False

    def forward(self, x: Tensor) -> Tensor:
        """Returns the product, plus the bias."""
        if not self.in_8_bits:
            return super().forward(x)
        return functional.linear(rounded_whole(x), rounded_rows(self.weight), self.bias)


class Layer(nn.Module):
    """A post-norm BERT layer. `rows` says which tokens it is computed for; they see all."""

    def __init__(self, width: int, heads: int, inner: int, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.o = Product(width, 3 * width), Product(width, width)
        self.ln1 = nn.LayerNorm(width, eps=epsilon)
        self.f1, self.f2 = Product(width, inner), Product(inner, width)
        self.ln2 = nn.LayerNorm(width, eps=epsilon)

    def forward(self, x: Tensor, bias: Tensor, rows: Tensor | None = None) -> Tensor:
        """Returns `[batch, tokens or rows, width]`; `bias` is added to the attention's scores."""
        batch, tokens, width = x.shape
        each = width // self.heads
        query, key, value = self.qkv(x).view(batch, tokens, 3, self.heads, each).permute(2, 0, 3, 1, 4)
        if rows is not None:
            query = torch.gather(query, 2, rows[:, None, :, None].expand(-1, self.heads, -1, each))
            x = torch.gather(x, 1, rows[..., None].expand(-1, -1, width))
        scores = torch.matmul(query, key.transpose(-1, -2)) * each**-0.5 + bias
        seen = torch.matmul(torch.softmax(scores, -1).to(value.dtype), value)
        x = self.ln1(x + self.o(seen.transpose(1, 2).reshape(batch, -1, width)))
        return self.ln2(x + self.f2(functional.gelu(self.f1(x))))


class Student(nn.Module):
    """The split reader: lower layers apart, upper layers together, the last one for the likely tokens alone."""

    def __init__(self, inner: Sequence[int] = INNER) -> None:
        super().__init__()
        self.word, self.pos = nn.Embedding(WORDS, WIDTH), nn.Embedding(POSITIONS, WIDTH)
        self.typ, self.ln = nn.Embedding(2, WIDTH), nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(Layer(WIDTH, HEADS, each, 1e-12) for each in inner)
        self.span = nn.Linear(WIDTH, 2)
        self.in_8_bits = False

    def round_to_8_bits(self) -> None:
        """Lets every product and stored value be rounded from now on as it is on a device."""
        self.in_8_bits = True
        for module in self.modules():
            if isinstance(module, Product):
                module.in_8_bits = True

    def forward(self, questions: Tensor, contexts: Tensor, of_context: Tensor) -> tuple[Tensor, Tensor]:
        """Returns all tokens' logits, MASKED where the last layer is not computed, and those one layer earlier.

        The lower layers see a context once, however many of the questions are asked of it: most of SQuAD's contexts
        have five, and half of training's time went into computing them anew.

        Args:
            questions: token ids `[batch, question tokens]`, from [CLS] to [SEP], then STUDENT_PAD.
            contexts: token ids `[contexts, context tokens]`, to [SEP], then STUDENT_PAD.
            of_context: number of each question's context `[batch]`.

        Returns:
            Two tensors `[batch, question tokens + context tokens, 2]`: a context's tokens begin in one column.
        """
        asked, said = self._apart(questions, 0), self._apart(contexts, CONTEXT_POSITION)
        if self.in_8_bits:  # a context's encoding is stored in int8, a question's never
            said = rounded_rows(said.float()).to(said.dtype)
        x = torch.cat([asked, said[of_context]], 1)
        is_question = torch.cat([questions != STUDENT_PAD, torch.zeros_like(contexts, dtype=torch.bool)[of_context]], 1)
        valid = torch.cat([questions, contexts[of_context]], 1) != STUDENT_PAD
        together = self._unseen(valid)
        *middle, last = self.layers[SPLIT:]
        for layer in middle:
            x = layer(x, together)
        early = self.span(x.float()).float().masked_fill(~valid[..., None], MASKED)
        rows = likely_rows(early.detach(), is_question, valid)
        logits = self.span(last(x, together, rows).float()).float()
        everywhere = torch.full_like(early, MASKED).scatter(1, rows[..., None].expand(-1, -1, 2), logits)
        return everywhere.masked_fill(~valid[..., None], MASKED), early

    def _apart(self, ids: Tensor, position: int) -> Tensor:
        """Returns what the lower layers make of questions (part 0) or contexts (part 1), `[batch, tokens, width]`."""
        words = self.word(ids)
        if self.in_8_bits:
            words = rounded_rows(words)
        part = self.typ.weight[1 if position else 0]
        places = (torch.arange(ids.shape[1]) + position).clamp(max=POSITIONS - 1)
        x = self.ln(words + part + self.pos(places))
        unseen = self._unseen(ids != STUDENT_PAD)
        for layer in self.layers[:SPLIT]:
            x = layer(x, unseen)
        return x

    @staticmethod
    def _unseen(valid: Tensor) -> Tensor:
        """Returns what is added to attention's scores, `[batch, 1, 1, tokens]`: padding is not seen."""
        unseen = torch.where(valid[:, None, None, :], 0.0, MASKED)
        return unseen.to(torch.bfloat16) if torch.is_autocast_enabled("cpu") else unseen


def likely_rows(early: Tensor, is_question: Tensor, valid: Tensor) -> Tensor:
    """Returns `[batch, rows]`: the question's tokens, and the context's that an answer likely begins or ends at."""
    score = torch.where(is_question, 1e9, torch.where(valid, early.amax(-1), -1e9))
    context_tokens, question_tokens = (valid & ~is_question).sum(1), is_question.sum(1)
    wanted = (context_tokens * LIKELY_SHARE).ceil().long().clamp(min=MIN_LIKELY) + question_tokens
    return score.topk(int(wanted.max().clamp(max=score.shape[1])), 1).indices


class Teacher(nn.Module):
    """MPNet-base as a span reader. Its lowest layers are not trained, and nothing is kept for their gradients."""

    def __init__(self, frozen: int = TEACHER_FROZEN) -> None:
        super().__init__()
        self.frozen = frozen
        self.word, self.pos = nn.Embedding(30_527, TEACHER_WIDTH), nn.Embedding(514, TEACHER_WIDTH)
        self.ln = nn.LayerNorm(TEACHER_WIDTH, eps=1e-5)
        self.layers = nn.ModuleList(Layer(TEACHER_WIDTH, HEADS, TEACHER_INNER, 1e-5) for _ in range(TEACHER_LAYERS))
        self.rel, self.span = nn.Embedding(32, HEADS), nn.Linear(TEACHER_WIDTH, 2)

    def forward(self, ids: Tensor, valid: Tensor) -> Tensor:
        """Returns the logits of all tokens."""
        mask = torch.where(valid, 0.0, MASKED)[:, None, None]
        places = self.rel(distance_buckets(ids.shape[1])).permute(2, 0, 1)[None]
        bias = places + mask
        if torch.is_autocast_enabled("cpu"):
            bias = bias.to(torch.bfloat16)
        with torch.set_grad_enabled(self.training and not self.frozen):
            x = self.ln(self.word(ids) + self.pos((torch.arange(ids.shape[1]) + 2).expand_as(ids)))
        for number, layer in enumerate(self.layers):
            with torch.set_grad_enabled(self.training and number >= self.frozen):
                x = layer(x, bias)
        return self.span(x.float()).float().masked_fill(~valid[..., None], MASKED)

    def trained(self) -> dict[str, nn.Parameter]:
        """Returns the weights that training changes, by name."""
        still = ("word.", "pos.", "ln.", "rel.", *(f"layers.{number}." for number in range(self.frozen)))
        return {name: weight for name, weight in self.named_parameters() if not name.startswith(still)}


def distance_buckets(tokens: int, buckets: int = 32, furthest: int = 128) -> Tensor:
    """Returns `[tokens, tokens]`: each pair's bucket of relative position, as in T5 (Raffel et al., 2020)."""
    index = torch.arange(tokens)
    away = index[:, None] - index[None]
    half = buckets // 2
    exact = half // 2
    after, distance = (away < 0).long() * half, away.abs()
    rough = exact + torch.log(distance.clamp(min=1) / exact) / math.log(furthest / exact) * (half - exact)
    return after + torch.where(distance < exact, distance, rough.long().clamp(max=half - 1))


def load_mpnet(teacher: Teacher, path: Path) -> None:
    """Fills the teacher with pre-trained weights, a safetensors file in the names of transformers' MPNetModel."""
    pretrained = {name: torch.from_numpy(value) for name, value in load_pretrained(path).items()}
    # Strictly: what is missing in a file of fewer layers is an error, and only the span head is new.
    teacher.load_state_dict({**pretrained, "span.weight": teacher.span.weight, "span.bias": teacher.span.bias})


def load_minilm(student: Student, path: Path) -> None:
    """Fills the student with pre-trained weights, a safetensors file in the names of transformers' BertModel."""
    theirs = load_file(path)
    ours = {
        "word.weight": theirs["embeddings.word_embeddings.weight"],
        "pos.weight": theirs["embeddings.position_embeddings.weight"],
        "typ.weight": theirs["embeddings.token_type_embeddings.weight"],
    }
    for kind in ("weight", "bias"):
        ours[f"ln.{kind}"] = theirs[f"embeddings.LayerNorm.{kind}"]
        for number in range(LAYERS):
            layer, own = f"encoder.layer.{number}.", f"layers.{number}."
            parts = (theirs[f"{layer}attention.self.{part}.{kind}"] for part in ("query", "key", "value"))
            ours[f"{own}qkv.{kind}"] = torch.cat(list(parts))
            ours[f"{own}o.{kind}"] = theirs[f"{layer}attention.output.dense.{kind}"]
            ours[f"{own}ln1.{kind}"] = theirs[f"{layer}attention.output.LayerNorm.{kind}"]
            ours[f"{own}f1.{kind}"] = theirs[f"{layer}intermediate.dense.{kind}"]
            ours[f"{own}f2.{kind}"] = theirs[f"{layer}output.dense.{kind}"]
            ours[f"{own}ln2.{kind}"] = theirs[f"{layer}output.LayerNorm.{kind}"]
    fill_student(student, ours)


def fill_student(student: Student, weights: Mapping[str, Tensor]) -> None:
    """Fills the student; of a wider feed-forward part it takes the units with the largest weights."""
    own = student.state_dict()
    for name, value in weights.items():
        if own[name].shape == value.shape:
            own[name].copy_(value)
            continue
        layer = name.rsplit(".", 2)[0]
        weight_in, weight_out = weights[f"{layer}.f1.weight"], weights[f"{layer}.f2.weight"]
        matter = weight_in.norm(dim=1) * weight_out.norm(dim=0)
        units = matter.topk(own[f"{layer}.f1.bias"].numel()).indices.sort().values
        own[name].copy_(value[:, units] if name.endswith("f2.weight") else value[units])


def pack(weights: Mapping[str, Tensor], path: Path) -> None:
    """Writes weights in a quarter of their size: matrices in int8 with one float16 scale a row, the rest in float16."""
    packed = {}
    for name, value in weights.items():
        whole = value.detach().float()
        if whole.ndim == 2 and len(whole) > 2:
            scale = (whole.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
            packed[name], packed[f"{name}.scale"] = torch.round(whole / scale).to(torch.int8), scale.half()
        else:
            packed[name] = whole.half()
    save_file(packed, path)


def unpack(path: Path) -> dict[str, Tensor]:
    """Returns the float32 weights of a safetensors file, packed or not."""
    return {name: torch.from_numpy(value) for name, value in load_floats(path).items()}


def save_reader(student: Student, path: Path) -> None:
    """Writes the student as `make_bundle.py` takes it: float16, with its layers and its split in the metadata."""
    halves = {name: value.detach().half().contiguous() for name, value in student.state_dict().items()}
    save_file(halves, path, metadata={"layers": str(LAYERS), "split": str(SPLIT)})

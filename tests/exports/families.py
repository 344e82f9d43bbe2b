"""Makes tokenizers of each family, trained on a few sentences, and exports of them with small graphs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import onnx
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from edgeqa.models.exports.questions import QUESTIONS

if TYPE_CHECKING:
    from pathlib import Path

    from networks import Shape

CORPUS = [text for built_in in QUESTIONS for text in (built_in.question, built_in.context)]
CORPUS += ["Der Rhein fließt nach Köln. Die Brücke heißt Hohenzollernbrücke.", "Où est-il né ? À Besançon, en 1802."]
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def _wordpiece(*, lowercase: bool) -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a token of text
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=BERT_SPECIALS))
    return _bert_pair(made)


def _byte_level(specials: list[str]) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=500, special_tokens=specials, initial_alphabet=alphabet)
    )
    return made


def _unigram(specials: list[str], unknown: str, normalizer: Any) -> Tokenizer:  # noqa: ANN401 - the library's own
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizer
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    made.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=300, special_tokens=specials, unk_token=unknown)
    )
    return made


def _bert_pair(made: Tokenizer) -> Tokenizer:
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return made


@cache
def tokenizer(family: str) -> Tokenizer:
    """Returns the tokenizer of a family; do not change it."""
    if family in {"bert", "distilbert", "electra", "mobilebert"}:
        return _wordpiece(lowercase=family != "distilbert")
    if family == "roberta":
        made = _byte_level(ROBERTA_SPECIALS)
        made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
        return made
    if family == "deberta":
        return _bert_pair(_byte_level(BERT_SPECIALS))
    if family == "deberta-v3":
        return _bert_pair(_unigram(BERT_SPECIALS, "[UNK]", normalizers.Strip()))
    if family == "albert":
        small = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()])
        return _bert_pair(_unigram(BERT_SPECIALS, "[UNK]", small))
    if family == "xlm-roberta":
        made = _unigram(ROBERTA_SPECIALS, "<unk>", normalizers.NFKC())
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        return made
    raise KeyError(family)


FAMILIES = (
    "bert",
    "distilbert",
    "electra",
    "mobilebert",
    "albert",
    "roberta",
    "xlm-roberta",
    "deberta",
    "deberta-v3",
)
# Of these, positions begin after the padding token's.
SHIFTED = {"roberta", "xlm-roberta"}
WITHOUT_TYPES = {"distilbert", "roberta", "xlm-roberta", "deberta-v3"}


@dataclass
class Made:
    """What an export is made of, to be changed before it is written."""

    family: str = "bert"
    graph: onnx.ModelProto | None = None
    config: dict[str, Any] = field(default_factory=dict)
    tokenizer_config: dict[str, Any] = field(default_factory=lambda: {"model_max_length": 512})
    width: int = 16
    layers: int = 2

    @property
    def vocabulary(self) -> int:
        return tokenizer(self.family).get_vocab_size()

    @property
    def positions(self) -> int:
        return 514 if self.family in SHIFTED else 512

    def shape(self) -> Shape:
        inputs = [name for name in networks.Shape().inputs if name != "token_type_ids"]
        return networks.Shape(
            inputs=inputs if self.family in WITHOUT_TYPES else networks.Shape().inputs,
            first_position=2 if self.family in SHIFTED else 0,
        )

    def encoder(self, shape: Shape | None = None, seed: int = 1) -> onnx.ModelProto:
        """Returns a small encoder with random weights."""
        sizes = networks.Sizes(self.vocabulary, self.width, self.layers, positions=self.positions)
        return networks.bert(sizes, networks.random_weights(sizes, seed), shape or self.shape())

    def pointing_at(self, *words: str, shape: Shape | None = None) -> onnx.ModelProto:
        """Returns a graph to which each of these words, the first the most, is the answer."""
        return networks.lookup(self.table(*words), shape or self.shape(), self.positions)

    def sure_of(self, *words: str) -> onnx.ModelProto:
        """Returns an encoder whose answers are these words, whatever its random weights say."""
        sizes = networks.Sizes(self.vocabulary, self.width, self.layers, positions=self.positions)
        return networks.bert(sizes, networks.random_weights(sizes, spread=0.1), self.shape(), 3 * self.table(*words))

    def table(self, *words: str) -> np.ndarray[Any, Any]:
        """Returns logits [vocabulary, 2] that make the first of these words the likeliest, then the second..."""
        logits = np.zeros((self.vocabulary, 2), np.float32)
        for rank, word in enumerate(words):
            ids = tokenizer(self.family).encode(word, add_special_tokens=False).ids
            logits[ids[0], 0] += 9 - rank
            logits[ids[-1], 1] += 9 - rank
        return logits

    def write(self, directory: Path, name: str = "model.onnx") -> Path:
        """Writes the export; returns its directory."""
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        onnx.save(self.graph or self.encoder(), directory / name)
        config = {
            "architectures": ["TinyForQuestionAnswering"],
            "model_type": self.family,
            "num_hidden_layers": self.layers,
            "hidden_size": self.width,
            "num_attention_heads": 2,
            "max_position_embeddings": self.positions,
            "pad_token_id": 1 if self.family in SHIFTED else 0,
            "vocab_size": self.vocabulary,
        }
        (directory / "config.json").write_text(json.dumps(config | self.config))
        (directory / "tokenizer_config.json").write_text(json.dumps(self.tokenizer_config))
        tokenizer(self.family).save(str(directory / "tokenizer.json"))
        return directory

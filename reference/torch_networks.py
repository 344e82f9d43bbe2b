"""Makes small networks of the BERT family with seeded random weights, each with a tokenizer of its family's kind.

Nothing is downloaded: WordPiece is the bundled model's, byte-level BPE and Unigram are made of the texts of this
repository. Weights are larger than a trained network's, so that logits are far apart and a wrong input shows.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from texts import QUESTIONS_UNICODE, UNICODE, paragraphs, squad
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLED_TOKENIZER = Path(__file__).parent.parent / "edgeqa" / "models" / "edgeqa-mini" / "tokenizer.json"
VOCABULARY = 1000
MAX_PIECE = 7
SIZES = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
torch.set_num_threads(1)
UNKNOWN = "[UNK]"
SPREAD = 0.25  # standard deviation of the weights


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of network: the names of its classes in transformers, its configuration and its tokenizer."""

    name: str
    prefix: str
    tokenizer_class: str
    make_tokenizer: Callable[[], Tokenizer]
    config: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __str__(self) -> str:
        return self.name

    def build(self) -> tuple[Any, Any]:
        """Returns the network and its tokenizer."""
        torch.manual_seed(self.seed)
        with tempfile.TemporaryDirectory() as folder:
            file = str(Path(folder, "tokenizer.json"))
            self.make_tokenizer().save(file)
            tokenizer = getattr(transformers, self.tokenizer_class)(
                tokenizer_file=file, model_max_length=512, **self.tokens
            )
        config = getattr(transformers, f"{self.prefix}Config")(
            **{
                "vocab_size": len(tokenizer),
                "pad_token_id": tokenizer.pad_token_id,
                "initializer_range": SPREAD,
                "attn_implementation": "eager",
                **SIZES,
                **self.config,
            }
        )
        model = getattr(transformers, f"{self.prefix}ForQuestionAnswering")(config).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "bias" in name or "LayerNorm" in name or "layer_norm" in name:
                    weight += 0.1 * torch.randn_like(weight)
        return model, tokenizer


def _texts() -> list[str]:
    return [*paragraphs(), *UNICODE, *QUESTIONS_UNICODE, *(question for question, _ in squad())]


def wordpiece() -> Tokenizer:
    """Returns the bundled model's tokenizer: lower case, no accents."""
    return Tokenizer.from_file(str(BUNDLED_TOKENIZER))


def cased_wordpiece() -> Tokenizer:
    """Returns a WordPiece tokenizer that keeps case and accents."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def mpnet_wordpiece() -> Tokenizer:
    """Returns a WordPiece tokenizer with RoBERTa's special tokens and double separator."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    trainer = trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.post_processor = _roberta_pair(tokenizer)
    return tokenizer


def roberta_bpe(vocabulary: int = VOCABULARY) -> Tokenizer:
    """Returns a byte-level BPE tokenizer with RoBERTa's double separator."""
    tokenizer = _byte_level_bpe(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<unk>", vocabulary)
    tokenizer.post_processor = _roberta_pair(tokenizer)
    return tokenizer


def deberta_bpe() -> Tokenizer:
    """Returns a byte-level BPE tokenizer with BERT's special tokens."""
    tokenizer = _byte_level_bpe(["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"], "[UNK]")
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]", context_type=0)
    return tokenizer


def xlm_unigram(vocabulary: int = VOCABULARY) -> Tokenizer:
    """Returns a Unigram tokenizer as XLM-RoBERTa has it."""
    tokenizer = _unigram(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<unk>", normalizers.NFKC(), vocabulary)
    tokenizer.post_processor = _template(tokenizer, "<s>", "</s>", double=True, context_type=0)
    return tokenizer


def albert_unigram() -> Tokenizer:
    """Returns a Unigram tokenizer as ALBERT has it: lower case, no accents."""
    normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer = _unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], "<unk>", normalizer)
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def deberta_unigram() -> Tokenizer:
    """Returns a Unigram tokenizer as DeBERTa-v3 has it."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    tokenizer = _unigram(special, "[UNK]", normalizer)
    tokenizer.post_processor = _template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def _byte_level_bpe(special: list[str], unknown: str, vocabulary: int = VOCABULARY) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return tokenizer


def _unigram(
    special: list[str],
    unknown: str,
    normalizer: Any,  # noqa: ANN401 - the library has no types
    vocabulary: int = VOCABULARY,
) -> Tokenizer:
    """Returns a Unigram tokenizer of the texts' frequent pieces; the library's trainer gives others in each run."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    pieces: Counter[str] = Counter()
    for text in _texts():
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text)):
            ends = ((at, at + size) for at in range(len(word)) for size in range(1, MAX_PIECE + 1))
            pieces.update(word[at:end] for at, end in ends if end <= len(word))
    # A character that comes up once stays unknown, as some of any text are.
    known = [(piece, count * len(piece)) for piece, count in pieces.items() if count > 1]
    known.sort(key=lambda piece: (-piece[1], piece[0]))
    total = sum(weight for _, weight in known)
    scores = [(piece, log(weight / total)) for piece, weight in known[: vocabulary - len(special)]]
    model = models.Unigram([*((token, 0.0) for token in special), *scores], unk_id=special.index(unknown))
    tokenizer.model = model
    tokenizer.add_special_tokens(special)
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def _template(
    tokenizer: Tokenizer, cls: str, sep: str, *, context_type: int = 1, double: bool = False
) -> processors.TemplateProcessing:
    middle = f"{sep} {sep}" if double else sep
    return processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {middle} $B:{context_type} {sep}:{context_type}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )


def _roberta_pair(tokenizer: Tokenizer) -> processors.RobertaProcessing:
    sep, cls = ((token, tokenizer.token_to_id(token) or 0) for token in ("</s>", "<s>"))
    return processors.RobertaProcessing(sep, cls, trim_offsets=True, add_prefix_space=False)


_ROBERTA = {"max_position_embeddings": 514, "type_vocab_size": 1}
_DEBERTA = {
    "relative_attention": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pos_att_type": ["p2c", "c2p"],
}

FAMILIES = (
    Family("bert", "Bert", "BertTokenizerFast", wordpiece, seed=1),
    Family("bert-cased", "Bert", "BertTokenizerFast", cased_wordpiece, tokens={"do_lower_case": False}, seed=2),
    Family(
        "distilbert",
        "DistilBert",
        "DistilBertTokenizerFast",
        wordpiece,
        {"dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "sinusoidal_pos_embds": False},
        seed=3,
    ),
    Family("roberta", "Roberta", "RobertaTokenizerFast", roberta_bpe, _ROBERTA, seed=4),
    Family("xlm-roberta", "XLMRoberta", "XLMRobertaTokenizerFast", xlm_unigram, _ROBERTA, seed=5),
    Family("camembert", "Camembert", "CamembertTokenizerFast", xlm_unigram, _ROBERTA, seed=6),
    Family("albert", "Albert", "AlbertTokenizerFast", albert_unigram, {"embedding_size": 24}, seed=7),
    Family("electra", "Electra", "ElectraTokenizerFast", wordpiece, {"embedding_size": 24}, seed=8),
    Family("deberta", "Deberta", "DebertaTokenizerFast", deberta_bpe, _DEBERTA, seed=9),
    Family(
        "deberta-v2",
        "DebertaV2",
        "DebertaV2TokenizerFast",
        deberta_unigram,
        {**_DEBERTA, "position_buckets": 32, "share_att_key": True, "norm_rel_ebd": "layer_norm"},
        seed=10,
    ),
    Family(
        "mobilebert",
        "MobileBert",
        "MobileBertTokenizerFast",
        wordpiece,
        {
            "embedding_size": 24,
            "intra_bottleneck_size": 24,
            "true_hidden_size": 24,
            "num_feedforward_networks": 2,
            "initializer_range": 0.15,  # it has no norms that would keep its values small
        },
        seed=11,
    ),
    Family("mpnet", "MPNet", "MPNetTokenizerFast", mpnet_wordpiece, {"max_position_embeddings": 514}, seed=12),
)

"""Holds the questions, contexts and settings that are asked: plain, in many scripts, and long; the same in every run.

From the texts of this repository and those written out below. The networks are random, so that a question's sense does
not matter; what does is every way in which a text can be tokenised, cut into windows and cut out again.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SEED = 5

UNICODE = (
    "Ångström wrote about the Zürich café; the naïve façade was re\u0301sume\u0301 work, "
    "priced at 5\u202fkm² — ½ of it.",
    "東京は日本の首都である。人口は約1400万人で、世界最大の都市圏を形成している。",
    "北京是中华人民共和国的首都，也是全国的政治中心、文化中心。",
    "서울은 대한민국의 수도이다. \u1112\u1161\u11ab\u1100\u1173\u11af 자모로 쓴 글도 있다.",
    "القاهرة هي عاصمة جمهورية مصر العربية، وعدد سكانها عشرة ملايين نسمة.",
    "ירושלים היא בירת ישראל. שָׁלוֹם עם ניקוד.",
    "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย มีประชากรสิบล้านคน",
    "दिल्ली भारत की राजधानी है। यहाँ की जनसंख्या लगभग दो करोड़ है।",
    "Москва — столица России; её население — 13 млн человек. Столица Украины — Киев.",
    "The family \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 flew the flag \U0001f1eb\U0001f1f7 on "
    "14 July \U0001f389\U0001f3fd and paid 100 € to Dr. O’Neill.",
    "Lines\r\nend\tin\u00a0many\u2028ways\u3000here\x0band\x0cthere; soft\u00adhyphen, zero\u200bwidth, \ufeffmark.",
    "A text with [SEP] and [MASK] and </s> and <s> and [CLS] written out in it, and <pad> too.",
    "control \x01\x02 characters \ufffd and \U000e0041 tags; ﬁne ligatures, ①②③, ℌ𝔢𝔩𝔩𝔬, İstanbul, straße, ǅ.",
    "n̸̢̛͇͓̗o̶r̷m̵a̴l̶ ẕ̸̛a̷l̵g̶o̴ text in between words that are plain",
)
SHORT = ("Berlin", "a", "?", " ", "\n\n", "42 km", "No.", "word " * 3, "the the The THE tHe cat Cat", "。")
QUESTIONS_UNICODE = (
    "Where?",
    "¿Dónde está la capital?",
    "首都はどこですか？",
    "ما هي العاصمة؟",
    "Что такое столица?",
    "Who flew \U0001f1eb\U0001f1f7?",
    "re\u0301sume\u0301?",
    "[SEP] or [CLS] or </s>?",
    "?",
    "What is the very long question " + "that goes on and on " * 12 + "about?",
)

SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"top_k": 3},
    {"top_k": 20, "max_answer_len": 4},
    {"handle_impossible_answer": True},
    {"top_k": 5, "handle_impossible_answer": True, "max_seq_len": 160, "doc_stride": 48},
    {"align_to_words": False},
    {"align_to_words": False, "top_k": 4, "max_seq_len": 128, "doc_stride": 0},
    {"max_answer_len": 1, "top_k": 2},
    {"max_answer_len": 60, "top_k": 3, "doc_stride": 20, "max_seq_len": 200},
    {"max_seq_len": 128, "doc_stride": 40, "top_k": 7},
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of a pipeline."""

    question: str
    context: str
    settings: dict[str, Any]


def paragraphs() -> list[str]:
    """Returns the paragraphs of the texts in the repository."""
    found = [
        paragraph
        for name in ("pump-manual.txt", "voyage-of-the-beagle.txt")
        for paragraph in (ROOT / "examples" / name).read_text(encoding="utf-8").split("\n\n")
    ]
    return [*found, *dict.fromkeys(context for _, context in squad())]


def squad() -> list[tuple[str, str]]:
    """Returns the questions of the repository's SQuAD files with their contexts."""
    files = (ROOT / "tests" / "data" / f"squad-v{version}.json" for version in ("1.1", "2.0"))
    return [pair for file in files for pair in squad_questions(file)]


def squad_questions(file: Path) -> list[tuple[str, str]]:
    """Returns the questions of a file in SQuAD format with their contexts."""
    return [
        (qa["question"], paragraph["context"])
        for article in json.loads(file.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ]


def asked(count: int) -> list[Asked]:
    """Returns `count` calls, or all there are if that is less."""
    choose = random.Random(SEED)
    plain = squad()
    questions = [question for question, _ in plain] + list(QUESTIONS_UNICODE)
    short = [(choose.choice(questions), context) for context in SHORT * 3]
    unicode = [(choose.choice(questions), context) for context in UNICODE * 6]
    long = [
        (choose.choice(questions), "\n".join(choose.sample([*paragraphs(), *UNICODE], size)))
        for size in (4, 6, 9, 12, 16, 20) * 4
    ]
    pairs = [*short, *unicode, *long, *plain]
    choose.shuffle(pairs)
    return [
        Asked(question, context, SETTINGS[number % len(SETTINGS)])
        for number, (question, context) in enumerate(pairs[:count])
    ]

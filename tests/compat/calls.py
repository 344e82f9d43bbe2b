"""Lists the forms of a call, good and bad; what transformers makes of each is recorded in data/answers.json.

Each is a function of a pipeline and of a class of examples that is made from a question and a context.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Pipeline = Callable[..., Any]
Q, R = "How deep may it go?", "Who built it?"
C, D = "The pump may be submerged to a depth of 12 metres.", "The bridge was built in 1932 by Dorman Long."
ONE: dict[str, Any] = {"question": Q, "context": C}
TWO: dict[str, Any] = {"question": R, "context": D}

CALLS: dict[str, Callable[[Pipeline, Any], Any]] = {
    "keywords": lambda p, _: p(question=Q, context=C),
    "keywords, top_k": lambda p, _: p(question=Q, context=C, top_k=3),
    "topk": lambda p, _: p(question=Q, context=C, topk=2),
    "top_k before topk": lambda p, _: p(question=Q, context=C, topk=2, top_k=4),
    "None leaves defaults": lambda p, _: p(question=Q, context=C, topk=None, top_k=None, max_answer_len=None),
    "two strings": lambda p, _: p(Q, C),
    "a dict": lambda p, _: p(ONE),
    "a dict, top_k": lambda p, _: p(ONE, top_k=2),
    "a list of one dict": lambda p, _: p([ONE]),
    "a list of dicts": lambda p, _: p([ONE, TWO]),
    "a tuple of dicts": lambda p, _: p((ONE, TWO)),
    "dicts": lambda p, _: p(ONE, TWO),
    "dicts, top_k": lambda p, _: p([ONE, TWO], top_k=2),
    "no dicts": lambda p, _: p([]),
    "data": lambda p, _: p(data=ONE),
    "data, list": lambda p, _: p(data=[ONE, TWO]),
    "X": lambda p, _: p(X=ONE),
    "X before data": lambda p, _: p(X=TWO, data=ONE),
    "an example": lambda p, example: p(example(Q, C)),
    "examples": lambda p, example: p([example(Q, C), example(R, D)]),
    "examples and dicts": lambda p, example: p(data=[example(Q, C), TWO]),
    "lists": lambda p, _: p(question=[Q, R], context=[C, D]),
    "lists of one": lambda p, _: p(question=[Q], context=[C]),
    "questions of one context": lambda p, _: p(question=[Q, R], context=C),
    "a question in a list": lambda p, _: p(question=[Q], context=C),
    "no questions": lambda p, _: p(question=[], context=C),
    "a dict of lists": lambda p, _: p({"question": [Q, R], "context": [C, D]}),
    "a dict of lists of one": lambda p, _: p(data={"question": [Q], "context": [C]}),
    "a generator": lambda p, _: list(p(one for one in (ONE, TWO))),
    "a generator of examples": lambda p, example: list(p(example(q, c) for q, c in ((Q, C), (R, D)))),
    "no answer": lambda p, _: p(question=Q, context=C, handle_impossible_answer=True, top_k=2),
    "parts of words": lambda p, _: p(question=Q, context=C, align_to_words=False, top_k=3),
    "padded": lambda p, _: p(question=Q, context=C, padding="max_length", max_seq_len=64),
    "several at a time": lambda p, _: p([ONE, TWO], batch_size=2),
    "a long question": lambda p, _: p(question=Q * 20, context=C, max_question_len=4),
    "windows": lambda p, _: p(question=Q, context=C * 9, max_seq_len=40, doc_stride=10, top_k=2),
    "white space": lambda p, _: p(question=Q, context="  "),
    "a question of white space": lambda p, _: p(question=" ", context=C),
    "more answers than there are": lambda p, _: p(question=Q, context="12", top_k=9),
    "top_k 0": lambda p, _: p(question=Q, context=C, top_k=0),
    "topk -1": lambda p, _: p(question=Q, context=C, topk=-1),
    "max_answer_len 0": lambda p, _: p(question=Q, context=C, max_answer_len=0),
    "doc_stride over max_seq_len": lambda p, _: p(question=Q, context=C, max_seq_len=20, doc_stride=30),
    "windows that do not advance": lambda p, _: p(question=Q, context=C * 9, max_seq_len=20, doc_stride=15),
    "no room for the context": lambda p, _: p(question=Q, context=C, max_seq_len=8, doc_stride=1),
    "windows that are too long": lambda p, _: p(question=Q, context=C * 99, max_seq_len=900),
    "nothing": lambda p, _: p(),
    "no context": lambda p, _: p(question=Q),
    "a question alone": lambda p, _: p(Q),
    "a number": lambda p, _: p(7),
    "a list of strings": lambda p, _: p([Q, C]),
    "a dict without a context": lambda p, _: p({"question": Q}),
    "a dict without a question": lambda p, _: p([ONE, {"context": C}]),
    "a dict with more": lambda p, _: p({**ONE, "id": "7"}),
    "None in a dict": lambda p, _: p({"question": Q, "context": None}),
    "None as question": lambda p, _: p(question=None, context=C),
    "an empty question": lambda p, _: p(question="", context=C),
    "an empty context": lambda p, _: p(question=Q, context=""),
    "an empty one among several": lambda p, _: p(question=[Q, ""], context=C),
    "lists of two lengths": lambda p, _: p(question=[Q, R], context=[C]),
    "a question of contexts": lambda p, _: p(question=Q, context=[C, D]),
    "tuples": lambda p, _: p(question=(Q, R), context=C),
    "a number as context": lambda p, _: p(question=Q, context=7),
    "a number in a dict": lambda p, _: p({"question": 7, "context": C}),
}

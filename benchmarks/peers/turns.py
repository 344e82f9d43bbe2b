"""Serves the turns of a peer: it takes one JSON line for each turn, and gives one with the time of every call.

A peer is a process of its own that does nothing between its turns: threads of two runtimes in one process would spoil
each other's figures.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[str, list[str]], object]


def serve(
    ask: Ask, *, about: dict[str, Any], prepare: Callable[[list[str]], object] | None = None, loops: int = 1
) -> None:
    """Answers turns until the input ends.

    Args:
        ask: from question and contexts to an answer.
        about: what stands beside the figures: versions, precision, batch.
        prepare: called with the contexts before the clock starts.
        loops: how often each question is asked for one time, where one call is too short for the clock.
    """
    print(json.dumps(about), flush=True)
    for line in sys.stdin:
        turn = json.loads(line)
        asked = turn["asked"]
        if prepare is not None:
            for contexts in {tuple(contexts): contexts for _, contexts in asked}.values():
                prepare(contexts)
        ask(*asked[0])  # not counted: the others have had the processor's caches meanwhile
        taken_ms: list[float] = []
        until = time.perf_counter() + turn["seconds"]
        for question, contexts in asked[1:]:
            began = time.perf_counter()
            for _ in range(loops):
                ask(question, contexts)
            ended = time.perf_counter()
            taken_ms.append((ended - began) * 1e3 / loops)
            if ended > until:
                break
        print(json.dumps(taken_ms), flush=True)

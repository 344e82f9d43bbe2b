"""Pledges: answers as plain keys in Valkey, so that clients without edgeqa can GET an answer by its name.

A key lives for an hour, and is deleted in the transaction that changes its document; a set of the document holds the
names. edgeqa itself never reads these keys. After a change of model they may be stale until they expire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeqa.cluster import keys

if TYPE_CHECKING:
    from edgeqa.answer import Answer
    from edgeqa.cluster.valkey import Pipe, Valkey
    from edgeqa.collection.naming import Address

LIVES_S = 3600


def leave(valkey: Valkey, address: Address, name: str, answer: Answer) -> None:
    """Stores an answer under its name, unless its passage is gone.

    Raises:
        ClusterError: if it cannot be stored.
    """
    if answer.text is None:
        return
    text = " ".join(answer.text.split())
    passages = keys.of_tag(address.tag, "passages", address.document)
    names = keys.of_tag(address.tag, "names", address.document)

    def build(pipe: Pipe) -> None:
        if pipe.hexists(passages, str(address.number)):
            pipe.multi()
            pipe.set(name, text, ex=LIVES_S)
            pipe.sadd(names, name)

    valkey.transact(name, (passages,), build, is_lasting=False)

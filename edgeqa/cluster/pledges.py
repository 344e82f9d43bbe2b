"""Pledges: answers as plain keys in Valkey, so that clients without edgeqa can GET an answer by its name.

A key lives for an hour, and is deleted in the transaction that changes its document; a set of the document holds the
names. edgeqa itself never reads these keys. After a change of model they may be stale until they expire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeqa.cluster import keys

if TYPE_CHECKING:
    from edgeqa.answer import Answer
    from edgeqa.cluster.transactions import Command
    from edgeqa.cluster.valkey import Valkey
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

    def decide(replies: list[Any]) -> tuple[None, list[Command]]:
        (is_there,) = replies
        return None, [("SET", name, text, "EX", LIVES_S), ("SADD", names, name)] if is_there else []

    looks = [("HEXISTS", passages, address.number)]
    valkey.transact(name, (passages,), looks, decide, is_lasting=False)

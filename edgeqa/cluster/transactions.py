"""Transactions: on keys of one slot, in two round trips: the first one looks, the second one writes.

In: a connection to a server, watched keys, and commands. Out: replies as the server gives them. redis-py sends what is
watched and looked at command by command, and each is a round trip, which takes far longer than all that a server does
for it. So a connection is used as such here: commands go out together, and their replies are read one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from collections.abc import Sequence

    Command = tuple[Any, ...]


def looked(connection: Any, keys: Sequence[str], commands: Sequence[Command]) -> list[Any]:  # noqa: ANN401 - the library's
    """Watches keys from now on, in place of those that were watched before; returns the replies to some commands.

    Raises:
        redis.exceptions.RedisError: the first error among the replies.
    """
    replies = _exchanged(connection, [("UNWATCH",), ("WATCH", *keys), *commands])
    _raise_first(replies)
    return replies[2:]


def written(connection: Any, commands: Sequence[Command], after: Command) -> Any:  # noqa: ANN401 - the library's, and whatever a server says
    """Runs commands as one transaction, if no watched key has changed; returns the reply to a command that follows it.

    Raises:
        redis.exceptions.WatchError: if a watched key has changed; then nothing is written.
        redis.exceptions.RedisError: if the server refuses a command.
    """
    *queued, done, follows = _exchanged(connection, [("MULTI",), *commands, ("EXEC",), after])
    _raise_first(queued)  # it says why, and EXEC only that something was refused before
    if done is None:
        raise redis.exceptions.WatchError("others write the same again and again")  # noqa: EM101 - as the library's
    _raise_first([done, *(done if isinstance(done, list) else ()), follows])
    return follows


def _exchanged(connection: Any, commands: Sequence[Command]) -> list[Any]:  # noqa: ANN401 - the library's
    """Returns the reply to each command, or the error in its place."""
    replies: list[Any] = []
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        for _ in commands:
            try:
                replies.append(connection.read_response())
            except redis.exceptions.ResponseError as error:  # noqa: PERF203 - the other replies are read all the same
                replies.append(error)
    except BaseException:
        connection.disconnect()  # a reply that is left unread would be taken for that to the next command
        raise
    return replies


def _raise_first(replies: Sequence[Any]) -> None:
    for one in replies:
        if isinstance(one, redis.exceptions.RedisError):
            raise one

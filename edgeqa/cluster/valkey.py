"""Valkey: this module sends each command to the master of its key's slot, through redis-py.

In: commands, and transactions on the keys of one slot. Out: replies of the servers, or one of `cluster.errors`. If the
map of slots has changed, a command is sent again. If a master is gone, the command waits for a limited time, since a
replica takes its place within seconds. Of many commands, each has its own result, so that one server's fault does not
lose the replies of the others. It is safe from many threads, and knows nothing of the stored data.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ModuleNotFoundError as missing:  # pragma: no cover - tried by hand: the tests have it
    from edgeqa.cluster.errors import ClusterExtraMissing

    raise ClusterExtraMissing(str(missing.name)) from missing

from edgeqa import forking
from edgeqa.cluster import transactions
from edgeqa.cluster.address import shown
from edgeqa.cluster.errors import (
    ClusterDown,
    ClusterForbidden,
    ClusterFull,
    ClusterRefused,
    ClusterSaid,
    ClusterTooOld,
    ClusterUnreachable,
    NotACluster,
    NotReplicated,
)
from edgeqa.cluster.keys import SLOTS, slot_of
from edgeqa.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeqa.cluster.address import ClusterAddress
    from edgeqa.cluster.transactions import Command

    Place = tuple[str, int]

T = TypeVar("T")
OLDEST = (7, 0)
PAUSE_S = 0.1
REPLICA_WITHIN_S = 5.0
_WAIT_MS = 1000
_CHANGED = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.MovedError,
    redis.exceptions.AskError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.BusyLoadingError,
)
"""Errors that go away once the cluster has settled."""
_DEMOTED = "UNBLOCKED"
"""The first word of a master that becomes a replica to those who wait, for it cannot tell what will stay."""


class Valkey:
    """A cluster, and the connections to it."""

    def __init__(
        self, address: ClusterAddress, *, timeout_s: float = 2.0, connect_s: float = 2.0, patience_s: float = 15.0
    ) -> None:
        """Prepares to connect; nothing is asked before it is needed.

        Args:
            address: the address of the cluster.
            timeout_s: the longest wait for a reply.
            connect_s: the longest wait for a connection.
            patience_s: how long a command is tried again while the cluster changes.

        Raises:
            ClusterAddressInvalid: if a file of TLS cannot be used.
        """
        address.check()
        self.address = address
        self._timeout_s, self._connect_s, self.patience_s = timeout_s, connect_s, patience_s
        self._lock = threading.RLock()
        self._clients: dict[Place, Any] = {}
        self._own = threading.local()
        self._owned: weakref.WeakSet[redis.Redis] = weakref.WeakSet()  # what a thread has ends with it
        self._masters: list[Place | None] = [None] * SLOTS
        self._replicas: dict[Place, tuple[Place, ...]] = {}
        self._known: list[Place] = []
        self._as_of = 0.0
        self._said: tuple[Place, Any] | None = None
        """What the known map was made from: who said it, and what."""
        self._is_doubted = False
        """Whether a command had to be given up because of the known map: then this is read before the next one."""
        self._silent: set[Place] = set()
        """The servers that did not answer last time; others are asked for the map before them."""
        self._pool: ThreadPoolExecutor | None = None
        forking.tell(self)

    def forked(self) -> None:
        """Goes on in a forked child, without the parent's threads; the library opens connections of its own there.

        A connection that is used as such it would share with the parent.
        """
        self._lock, self._pool = threading.RLock(), None
        self._own, self._owned = threading.local(), weakref.WeakSet()

    # --- the map of slots --------------------------------------------------------------------------------------------

    def refresh(self, *, not_older_s: float = 0.0) -> None:
        """Asks for the map of slots, unless the known one is as young as this.

        Raises:
            ClusterUnreachable: if no server answers.
            ClusterError: if a server refuses.
        """
        with self._lock:
            if self._as_of and not self._is_doubted and time.monotonic() - self._as_of <= not_older_s:
                return
            wrong: list[ClusterError] = []
            places = dict.fromkeys([*self._known, *self.address.servers])
            for place in sorted(places, key=self._silent.__contains__):
                if (error := self._tried(place)) is None:
                    self._is_doubted = False
                    return
                wrong.append(error)
            # A server's refusal tells more than another one's silence.
            raise min(wrong, key=lambda one: isinstance(one, ClusterUnreachable))

    def _tried(self, place: Place) -> ClusterError | None:
        """Reads the map of slots from a server; returns the error, if there is one."""
        try:
            self._read_map(place)
        except (redis.exceptions.RedisError, ClusterError) as error:
            self._silent.add(place)
            return self.wrong(error, place)
        self._silent.discard(place)
        return None

    def _read_map(self, place: Place) -> None:
        client = self.client(place)
        if not self._as_of:
            facts = client.info("server")
            version = str(facts.get("redis_version", "?"))
            numbers = tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
            if numbers < OLDEST:
                raise ClusterTooOld(shown(*place), version)
            if facts.get("redis_mode", "cluster") != "cluster":
                raise NotACluster(shown(*place))
        found = client.execute_command("CLUSTER SLOTS")
        if (place, found) == self._said:
            self._as_of = time.monotonic()
            return
        masters: list[Place | None] = [None] * SLOTS
        replicas: dict[Place, tuple[Place, ...]] = {}
        for first, last, *nodes in found:
            master, *copies = [(node[0].decode() if node[0] else place[0], int(node[1])) for node in nodes]
            replicas[master] = tuple(copies)
            masters[first : last + 1] = [master] * (last + 1 - first)
        self._masters, self._replicas = masters, replicas
        self._known = [*replicas, *(one for some in replicas.values() for one in some)]
        self._said = place, found
        self._as_of = time.monotonic()

    @property
    def masters(self) -> list[Place]:
        """The masters, as they were last seen."""
        self.refresh(not_older_s=1e9)
        return sorted(self._replicas)

    def replicas(self, master: Place) -> tuple[Place, ...]:
        """Returns the replicas of a master, as they were last seen."""
        return self._replicas.get(master, ())

    def master_of(self, slot: int) -> Place | None:
        """Returns the master of a slot, as it was last seen; None for a slot without one."""
        self.refresh(not_older_s=1e9)
        return self._masters[slot]

    def slots(self) -> list[Place | None]:
        """Returns the master of each slot, as it was last seen."""
        self.refresh(not_older_s=1e9)
        return self._masters

    # --- commands ----------------------------------------------------------------------------------------------------

    def client(self, place: Place) -> redis.Redis:
        """Returns the client for one server."""
        with self._lock:
            if place not in self._clients:
                self._clients[place] = redis.Redis(**self._how(place))
            return self._clients[place]

    def _how(self, place: Place) -> dict[str, Any]:
        address = self.address
        tls = {
            "ssl": True,
            "ssl_check_hostname": True,  # redis-py before 6 takes the certificate of any host
            "ssl_ca_certs": address.ca,
            "ssl_certfile": address.cert,
            "ssl_keyfile": address.key,
        }
        return {
            "host": place[0],
            "port": place[1],
            "username": address.user,
            "password": address.password,
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": self._connect_s,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
            **(tls if address.tls else {}),
        }

    def do(self, key: str, *command: Any, patience_s: float | None = None) -> Any:  # noqa: ANN401 - whatever a server says
        """Returns the reply of a key's master to a command.

        Raises:
            ClusterError: if there is no reply.
        """
        (found,) = self.many([(key, command)], patience_s=patience_s)
        if isinstance(found, ClusterError):
            raise found
        return found

    def many(
        self, commands: Sequence[tuple[str, Command]], *, patience_s: float | None = None
    ) -> list[Any | ClusterError]:
        """Returns the reply to each of some commands, or the error in its place.

        Args:
            commands: the commands, each with the key that decides where it goes.
            patience_s: as for the cluster.
        """
        until = time.monotonic() + (self.patience_s if patience_s is None else patience_s)
        results: list[Any] = [redis.exceptions.ConnectionError("not asked")] * len(commands)
        left = list(range(len(commands)))
        while True:
            try:
                self.refresh(not_older_s=1e9)
            except ClusterError as error:
                for number in left:
                    results[number] = error
            else:
                self._round(left, commands, results)
            left = [n for n in left if isinstance(results[n], (*_CHANGED, ClusterUnreachable))]
            if not left:
                break
            if time.monotonic() >= until:
                self._is_doubted = True
                break
            if not all(isinstance(results[number], redis.exceptions.MovedError) for number in left):
                time.sleep(PAUSE_S)
            with contextlib.suppress(ClusterError):
                self.refresh()
        for number, found in enumerate(results):
            if isinstance(found, redis.exceptions.RedisError):
                results[number] = self.wrong(found, self._masters[slot_of(commands[number][0])])
        return results

    def _round(self, left: Sequence[int], commands: Sequence[tuple[str, Command]], results: list[Any]) -> None:
        """Sends the remaining commands once."""
        by_place: dict[Place | None, list[int]] = defaultdict(list)
        for number in left:
            by_place[self._masters[slot_of(commands[number][0])]].append(number)
        self._each(by_place, commands, results)
        for number in left:
            if isinstance(results[number], redis.exceptions.AskError):
                results[number] = self._asked(results[number], commands[number][1])

    def _each(
        self, by_place: dict[Place | None, list[int]], commands: Sequence[tuple[str, Command]], results: list[Any]
    ) -> None:
        def at(place: Place | None) -> None:
            numbers = by_place[place]
            if place is None:
                found: list[Any] = [redis.exceptions.ClusterDownError("Hash slot not served")] * len(numbers)
            else:
                found = self._at(place, [commands[number][1] for number in numbers])
            for number, one in zip(numbers, found, strict=True):
                results[number] = one

        if len(by_place) == 1:
            at(next(iter(by_place)))
            return
        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(16, "edgeqa-valkey")
        list(self._pool.map(at, by_place))

    def _at(self, place: Place, commands: Sequence[Command]) -> list[Any]:
        try:
            client = self.client(place)
            if len(commands) == 1:
                return [client.execute_command(*commands[0])]
            pipe = client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            found: list[Any] = pipe.execute(raise_on_error=False)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
            self._silent.add(place)
            return [error] * len(commands)
        except redis.exceptions.RedisError as error:
            return [error] * len(commands)
        return found

    def _asked(self, ask: redis.exceptions.AskError, command: Command) -> Any:  # noqa: ANN401 - whatever a server says
        """Returns the server to which a slot is moving, by the reply of its old server."""
        pipe = self.client((str(ask.host), int(ask.port))).pipeline(transaction=False)
        pipe.execute_command("ASKING")
        pipe.execute_command(*command)
        try:
            allowed, reply = pipe.execute(raise_on_error=False)
        except redis.exceptions.RedisError as error:
            return error
        return allowed if isinstance(allowed, redis.exceptions.RedisError) else reply

    # --- transactions ------------------------------------------------------------------------------------------------

    def transact(
        self,
        name: str,
        keys: Sequence[str],
        looks: Sequence[Command],
        decide: Callable[[list[Any]], tuple[T, Sequence[Command]]],
        *,
        is_lasting: bool = True,
    ) -> T:
        """Looks, then writes as one transaction; returns once it is on a replica, if there is one.

        Args:
            name: the name of the subject, for messages.
            keys: the watched keys, all of one slot: if one changes meanwhile, all is done again.
            looks: commands whose replies decide what is written.
            decide: a function that gets these replies, as the server gives them, and returns the result and the
                commands that write. It may be called again. If there are none, nothing is written.
            is_lasting: whether the transaction must reach a replica.

        Raises:
            ClusterError: if it fails, or has reached no replica.
        """
        until = time.monotonic() + self.patience_s
        while True:
            self._refresh_until(until)
            place = self._masters[slot_of(keys[0])]
            try:
                return self._transacted(place, name, keys, looks, decide, is_lasting=is_lasting)
            except redis.exceptions.RedisError as error:
                is_outrun = isinstance(error, redis.exceptions.WatchError)
                is_changed = isinstance(error, _CHANGED) or str(error).startswith(_DEMOTED)
                if not (is_outrun or is_changed) or time.monotonic() >= until:
                    raise self.wrong(error, place) from error
                if is_outrun:
                    continue
                if not isinstance(error, redis.exceptions.MovedError):
                    time.sleep(PAUSE_S)
                with contextlib.suppress(ClusterError):
                    self.refresh()

    def _refresh_until(self, until: float) -> None:
        """Makes sure that there is a map of slots, which may take a while."""
        while True:
            with contextlib.suppress(ClusterUnreachable):
                return self.refresh(not_older_s=1e9)
            if time.monotonic() >= until:
                return self.refresh(not_older_s=1e9)
            time.sleep(PAUSE_S)

    def _transacted(
        self,
        place: Place | None,
        name: str,
        keys: Sequence[str],
        looks: Sequence[Command],
        decide: Callable[[list[Any]], tuple[T, Sequence[Command]]],
        *,
        is_lasting: bool,
    ) -> T:
        if place is None:
            raise redis.exceptions.ClusterDownError("Hash slot not served")  # noqa: EM101 - as a server says it
        client = self._own_client(place)
        made, commands = decide(transactions.looked(client.connection, keys, looks))
        if commands:
            has_replicas = is_lasting and bool(self._replicas.get(place))
            after = ("WAIT", 1, self._wait_ms) if has_replicas else ("INFO", "replication") if is_lasting else ("PING",)
            said = transactions.written(client.connection, commands, after)
            # The map of slots may be older than a replica.
            if is_lasting and not (said if has_replicas else b"connected_slaves:0" in said):
                self._replicated(name, client)
        return made

    def _own_client(self, place: Place) -> Any:  # noqa: ANN401 - a redis.Redis, which has a connection here
        """Returns a client with a single connection, for this thread alone: WAIT counts only its own connection."""
        own: dict[Place, Any] | None = getattr(self._own, "clients", None)
        if own is None:
            own = self._own.clients = {}
        if place not in own:
            own[place] = redis.Redis(**self._how(place), single_connection_client=True)
            with self._lock:
                self._owned.add(own[place])
        return own[place]

    @property
    def _wait_ms(self) -> int:
        return min(_WAIT_MS, int(self._timeout_s * 900))

    def _replicated(self, name: str, client: redis.Redis) -> None:
        """Waits until a replica has what was just written, as long as there is one.

        Raises:
            NotReplicated: if none has it within the time.
        """
        until = time.monotonic() + REPLICA_WITHIN_S
        while True:
            facts = client.info("replication")
            if facts["role"] != "master":
                raise redis.exceptions.ReadOnlyError("demoted")  # noqa: EM101 - one of ours would not be tried again
            if not int(facts["connected_slaves"]):  # it is gone: there is nothing to wait for, nor next time
                with contextlib.suppress(ClusterError):
                    self.refresh()
                return
            if time.monotonic() >= until:
                raise NotReplicated(name, REPLICA_WITHIN_S)
            if client.execute_command("WAIT", 1, self._wait_ms):
                return

    # --- what goes wrong ---------------------------------------------------------------------------------------------

    def wrong(self, error: Exception, place: Place | None) -> ClusterError:
        """Returns the error for the user in place of an error of the library."""
        if isinstance(error, ClusterError):
            return error
        said = str(error) or type(error).__name__
        where = str(self.address) if place is None else shown(*place)
        word = said.partition(" ")[0]
        errors = redis.exceptions
        if isinstance(error, errors.NoPermissionError) or word == "NOPERM":
            return ClusterForbidden(said)
        if isinstance(error, errors.AuthenticationError) or word in {"WRONGPASS", "NOAUTH"}:
            return ClusterRefused(where, said)
        if isinstance(error, errors.OutOfMemoryError) or word == "OOM" or "OOM command not allowed" in said:
            return ClusterFull(said)
        if isinstance(error, (errors.ClusterDownError, errors.ReadOnlyError, errors.MasterDownError)):
            return ClusterDown(f"{where}: {said}")
        if isinstance(error, (errors.MovedError, errors.AskError, errors.TryAgainError)):
            return ClusterDown(f"{where}: a slot is moving: {said}")
        if isinstance(error, (errors.ConnectionError, errors.TimeoutError, errors.InvalidResponse)):
            return ClusterUnreachable(where, said)
        if "cluster support disabled" in said:
            return NotACluster(where)
        if word in {"NOREPLICAS", "MISCONF", "LOADING", _DEMOTED}:
            return ClusterDown(f"{where}: {said}")
        return ClusterSaid(f"{where}: {said}")

    def close(self) -> None:
        """Closes all connections. It may be called again."""
        with self._lock:
            for client in (*self._clients.values(), *self._owned):
                client.close()
            self._clients.clear()
            self._owned.clear()
            self._own = threading.local()
            if self._pool is not None:
                self._pool.shutdown(wait=False)
                self._pool = None

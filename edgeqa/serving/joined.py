"""A server in a cluster: it tells clients which worker serves which slot, and answers other workers.

In: keys, and requests of other workers. Out: replies in the form that clients of Redis Cluster expect. Only the
`Cluster` that the server is given knows the cluster; without one, none of these commands exist.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from edgeqa.errors import EdgeQAError
from edgeqa.serving.bodies import body_of
from edgeqa.serving.problems import problem, problem_of
from edgeqa.serving.replies import problem_response
from edgeqa.serving.resp import Error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from edgeqa.serving.part import Cluster, Peer
    from edgeqa.serving.redis_session import Session
    from edgeqa.serving.resp import Reply

ASKED_AT_ONCE = 8
MAX_BYTES = 1 << 20
SLOTS = 16384
NOT_SIGNED = "not signed with the secret of this cluster, or signed more than a minute ago"


def routes(cluster: Cluster) -> list[Route]:
    """Returns the route for other workers, which needs no token and accepts none."""
    pool = ThreadPoolExecutor(ASKED_AT_ONCE, "edgeqa-asked")

    async def asked(request: Request) -> Response:
        body = b"".join([block async for block in body_of(request, MAX_BYTES)])
        signature = request.headers.get("x-edgeqa-signature", "")
        loop = asyncio.get_running_loop()
        try:
            reply = await loop.run_in_executor(pool, cluster.answered, request.url.path, body, signature)
        except EdgeQAError as error:
            return problem_response(problem_of(error))
        except ValueError as error:
            return problem_response(problem(400, f"not what a worker asks for: {error}"))
        if reply is None:
            return problem_response(problem(403, NOT_SIGNED))
        return Response(reply, media_type="application/json")

    return [Route(f"/v1/cluster/{what}", asked, methods=["POST"]) for what in ("search", "read")]


def moved(cluster: Cluster, keys: Sequence[bytes]) -> Error | None:
    """Returns the error that sends a client to the worker of some keys; None if they are served here."""
    slots = {cluster.slot_of(key) for key in keys}
    if len(slots) > 1:
        return Error("CROSSSLOT Keys in request don't hash to the same slot")
    for slot in slots:
        owner = cluster.owner(slot)
        if owner is None or owner.redis is None:
            return Error("CLUSTERDOWN Hash slot not served")
        if owner.id != cluster.member.id:
            host, port = owner.redis
            return Error(f"MOVED {slot} {host}:{port}")
    return None


def _peers(cluster: Cluster) -> list[tuple[Peer, tuple[str, int]]]:
    own = cluster.member
    others = [one for one in cluster.members() if one.id != own.id]
    return [(one, one.redis) for one in (own, *others) if one.redis is not None and one.slots]


def _node_id(peer: Peer) -> bytes:
    """Returns the id of a node for clients: 40 hexadecimal digits."""
    return peer.id.encode().hex()[:40].ljust(40, "0").encode()


def command(session: Session, words: list[bytes]) -> Reply:
    """CLUSTER SLOTS, SHARDS, NODES, KEYSLOT, MYID, INFO, COUNTKEYSINSLOT."""
    cluster = session.door.cluster
    if cluster is None:
        return Error("ERR This instance has cluster support disabled")
    what = words[1].lower() if len(words) > 1 else b""
    if what == b"keyslot" and len(words) == 3:
        return cluster.slot_of(words[2])
    if what == b"countkeysinslot" and len(words) == 3:
        return 0  # there are as many names as questions
    known = {b"slots": _slots, b"shards": _shards, b"nodes": _nodes, b"info": _facts, b"myid": _my_id}.get(what)
    if known is None:
        return Error(f"ERR unknown subcommand '{what[:128].decode(errors='replace')}'. Try CLUSTER HELP.")
    return known(cluster)


def _slots(cluster: Cluster) -> Reply:
    found: list[Reply] = [
        [first, last, [host.encode(), port, _node_id(peer), []]]
        for peer, (host, port) in _peers(cluster)
        for first, last in peer.slots
    ]
    return found


def _shards(cluster: Cluster) -> Reply:
    found: list[Reply] = []
    for peer, (host, port) in _peers(cluster):
        ranges: list[Reply] = [number for both in peer.slots for number in both]
        node: list[Reply] = [
            *(b"id", _node_id(peer), b"port", port, b"ip", host.encode(), b"endpoint", host.encode()),
            *(b"role", b"master", b"replication-offset", 0, b"health", b"online"),
        ]
        found.append([b"slots", ranges, b"nodes", [node]])
    return found


def _nodes(cluster: Cluster) -> Reply:
    own = cluster.member.id
    lines = []
    for peer, (host, port) in _peers(cluster):
        flags = "myself,master" if peer.id == own else "master"
        ranges = " ".join(f"{first}-{last}" if first != last else str(first) for first, last in peer.slots)
        lines.append(f"{_node_id(peer).decode()} {host}:{port}@0 {flags} - 0 0 1 connected {ranges}\n")
    return "".join(lines).encode()


def _facts(cluster: Cluster) -> Reply:
    peers = _peers(cluster)
    served = len({slot for peer, _ in peers for first, last in peer.slots for slot in range(first, last + 1)})
    facts = {
        "cluster_enabled": 1,
        "cluster_state": "ok" if served == SLOTS else "fail",
        "cluster_slots_assigned": served,
        "cluster_slots_ok": served,
        "cluster_known_nodes": len(peers),
        "cluster_size": len(peers),
    }
    return "".join(f"{name}:{value}\r\n" for name, value in facts.items()).encode()


def _my_id(cluster: Cluster) -> Reply:
    return _node_id(cluster.member)


def mode(session: Session, _words: list[bytes]) -> Reply:
    """READONLY, READWRITE, ASKING."""
    return "OK" if session.door.cluster else Error("ERR This instance has cluster support disabled")

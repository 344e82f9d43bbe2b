"""Runs Redis and Valkey clients in Python. Arguments: which, the port, JSON of names, and options as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

which, port, names, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
TOKEN, CA = options.get("token"), options.get("ca")


def said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def synchronous(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"ping": client.ping(), "unread": client.exists(names["answer"])}
    found["answer"] = client.get(names["answer"])
    found["none"] = client.get(names["none"])
    try:
        client.get("nonsense")
    except Exception as error:
        found["nonsense"] = said(error)
    found["mget"] = client.mget([names["answer"], names["none"]])
    found["exists"] = client.exists(names["answer"], names["none"])
    found["ttl"] = client.ttl(names["answer"])
    found["type"] = client.type(names["answer"])
    found["strlen"] = client.strlen(names["answer"])
    found["ask"] = json.loads(client.execute_command("EDGEQA.ASK", names["question"]))["answer"]
    found["closest"] = client.execute_command("EDGEQA.CLOSEST", names["question"], 1)
    found["role"] = client.info("replication")["role"]
    pipe = client.pipeline(transaction=False)
    for _ in range(100):
        pipe.get(names["answer"])
    found["pipelined"] = sorted(set(pipe.execute()))
    try:
        client.set("a", "b")
    except Exception as error:
        found["set"] = said(error)
    return found


async def awaited(client: Any, *, mget: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = {"answer": await client.get(names["answer"]), "none": await client.get(names["none"])}
    try:
        await client.get("nonsense")
    except Exception as error:
        found["nonsense"] = said(error)
    many = await (mget or client.mget)([names["answer"], names["none"]])
    found["mget"] = list(many)
    together = await asyncio.gather(*(client.get(names["answer"]) for _ in range(50)))
    found["pipelined"] = sorted(set(together))
    return found


async def with_coredis() -> dict[str, Any]:
    import coredis

    async with coredis.Redis(host="127.0.0.1", port=port, password=TOKEN, decode_responses=True) as client:
        return await awaited(client)


async def with_asyncio() -> dict[str, Any]:
    import redis.asyncio

    async with redis.asyncio.Redis(port=port, password=TOKEN, decode_responses=True) as client:
        return await awaited(client)


async def with_glide() -> dict[str, Any]:
    import glide

    credentials = glide.ServerCredentials(password=TOKEN) if TOKEN else None
    address = [glide.NodeAddress("127.0.0.1", port)]
    settings = glide.GlideClientConfiguration(address, credentials=credentials, request_timeout=20_000)
    client = await glide.GlideClient.create(settings)

    class Decoded:
        async def get(self, name: str) -> str | None:
            found = await client.get(name)
            return None if found is None else found.decode()

        async def mget(self, several: list[str]) -> list[str | None]:
            return [None if one is None else one.decode() for one in await client.mget(several)]

    try:
        return await awaited(Decoded())
    finally:
        await client.close()


def main() -> dict[str, Any]:
    if which.startswith("redis"):
        import redis

        tls = {"ssl": True, "ssl_ca_certs": CA} if CA else {}
        return synchronous(
            redis.Redis("localhost", port, password=TOKEN, protocol=int(which[-1]), decode_responses=True, **tls)
        )
    if which == "valkey":
        import valkey

        return synchronous(valkey.Valkey("127.0.0.1", port, password=TOKEN, decode_responses=True))
    return asyncio.run({"coredis": with_coredis, "asyncio": with_asyncio, "glide": with_glide}[which]())


print(json.dumps(main()))

"""Runs the Wyoming client, as Home Assistant uses it. Arguments: the port, and JSON of what is said."""

from __future__ import annotations

import asyncio
import json
import sys

from wyoming.asr import Transcript
from wyoming.client import AsyncTcpClient
from wyoming.handle import Handled, NotHandled
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong


async def main() -> None:
    found = {}
    async with AsyncTcpClient("127.0.0.1", int(sys.argv[1])) as client:
        await client.write_event(Describe().event())
        event = await client.read_event()
        assert event is not None
        assert Info.is_type(event.type)
        (program,) = Info.from_event(event).handle
        found["program"] = [program.name, program.installed, program.models[0].languages, program.supports_home_control]
        await client.write_event(Ping("here").event())
        event = await client.read_event()
        assert event is not None
        found["pong"] = Pong.from_event(event).text
        for said in json.loads(sys.argv[2]):
            await client.write_event(Transcript(said, context={"conversation_id": "7"}).event())
            event = await client.read_event()
            assert event is not None
            kind = Handled if Handled.is_type(event.type) else NotHandled
            told = kind.from_event(event)
            found[said] = [event.type, told.text, told.context]
    print(json.dumps(found))


asyncio.run(main())

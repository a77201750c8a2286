"""A WebSocket client that says what it saw of a call."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.status import Code
from tests.support.stream_backend import message, parsed
from tests.support.streaming import Seen, Stage

JSON = "grpc-rest.json"
PROTOBUF = "grpc-rest.protobuf"


@asynccontextmanager
async def opened(stage: Stage, target: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A WebSocket to the gateway of a stage."""
    url = f"ws://{stage.gateway.address}{target}"
    async with asyncio.timeout(20), connect(url, proxy=None, **options) as client:
        yield client


async def refusal(stage: Stage, target: str, **options: Any) -> tuple[int, str]:
    """Status and message of a handshake that is refused."""
    try:
        async with opened(stage, target, **options):
            raise AssertionError("the handshake was accepted")
    except InvalidStatus as error:
        body = json.loads(error.response.body or b"{}")
        return error.response.status_code, body["error"]["message"]


async def say(client: ClientConnection, *texts: str) -> None:
    """Sends messages in the client's encoding."""
    for text in texts:
        if client.subprotocol == PROTOBUF:
            await client.send(message("Say", text=text).SerializeToString())
        else:
            await client.send(json.dumps({"text": text}))


async def finish(client: ClientConnection) -> None:
    """Says that nothing more will be said."""
    await client.send("")


async def hear(client: ClientConnection) -> Seen:
    """All that comes, up to the end."""
    seen, frames = Seen(101), list[str | bytes]()
    try:
        while True:
            frames.append(await client.recv())
    except ConnectionClosed:
        pass
    if frames and isinstance(frames[-1], str) and "@status" in frames[-1]:
        code = json.loads(frames.pop())["@status"]["code"]
        seen.ending = Code(code).name if code else "end"
    seen.messages = [_read(frame) for frame in frames]
    return seen


def _read(frame: str | bytes) -> dict[str, Any]:
    if isinstance(frame, str):
        found: dict[str, Any] = json.loads(frame)
        return found
    said = parsed("Say", frame)
    return {"number": said.number, "text": said.text}

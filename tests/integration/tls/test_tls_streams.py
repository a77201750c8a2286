"""What streams over TLS: it is carried, held back, and cancelled like any other."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, TCPConnector
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gateway.status import Code
from tests.support.polling import still, until
from tests.support.stream_backend import large_pieces
from tests.support.streaming import Stage, open_stage
from tests.support.tls import Files
from tests.support.websocket import JSON, finish, hear, say


@asynccontextmanager
async def secured_stage(files: Files) -> AsyncIterator[tuple[Stage, ClientSession]]:
    """A stage behind TLS, and a client that trusts it."""
    async with (
        open_stage(tls=files.settings()) as stage,
        ClientSession(stage.gateway.url, connector=TCPConnector(ssl=files.context())) as session,
    ):
        yield stage, session


@asynccontextmanager
async def websocket(
    stage: Stage, path: str, context: ssl.SSLContext
) -> AsyncIterator[ClientConnection]:
    """A WebSocket over TLS."""
    url = f"wss://{stage.gateway.address}{path}"
    async with (
        asyncio.timeout(20),
        connect(url, proxy=None, ssl=context, subprotocols=[Subprotocol(JSON)]) as client,
    ):
        yield client


async def test_the_first_message_arrives_before_the_last_is_produced(files: Files) -> None:
    async with secured_stage(files) as (stage, session), session.get("/v1/hang/down") as answer:
        assert answer.status == 200
        line = await asyncio.wait_for(answer.content.readline(), 5)
        assert json.loads(line)["number"] == 1
        assert stage.backend.running == 1


async def test_a_client_that_leaves_cancels_the_call(files: Files) -> None:
    async with secured_stage(files) as (stage, session):
        async with session.get("/v1/hang/down") as answer:
            await answer.content.readline()
            answer.close()
        await until(lambda: not stage.backend.running, within_s=1.0)
        await until(lambda: stage.endings.codes == [Code.CANCELLED])


async def test_a_large_download_arrives_unchanged(files: Files) -> None:
    async with secured_stage(files) as (_, session), session.get("/v1/large/give") as answer:
        assert await answer.read() == b"".join(large_pieces())


async def test_who_reads_slowly_holds_the_back_end_back(files: Files) -> None:
    async with secured_stage(files) as (stage, session), session.get("/v1/flood/down") as answer:
        await answer.content.readline()
        transport = answer.connection.transport if answer.connection else None
        assert transport is not None
        transport.pause_reading()
        assert 0 < await still(lambda: stage.backend.produced) < 1200


async def test_a_long_upload_arrives_whole(files: Files) -> None:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(2000):
            yield json.dumps({"number": number, "text": "x" * 1000}).encode() + b"\n"

    async with secured_stage(files) as (_, session):
        headers = {"Content-Type": "application/x-ndjson"}
        async with session.post("/v1/well/up", data=lines(), headers=headers) as answer:
            assert (answer.status, (await answer.json())["number"]) == (200, 2000)


async def test_a_websocket_talks_both_ways(files: Files) -> None:
    async with secured_stage(files) as (stage, _):
        async with websocket(stage, "/v1/well/both", files.context()) as client:
            await say(client, "a", "b", "c")
            await finish(client)
            seen = await hear(client)
        assert [one["text"] for one in seen.messages] == ["a", "b", "c"]
        assert (seen.ending, client.close_code) == ("end", 1000)
        await until(lambda: stage.endings.codes == [Code.OK])


async def test_a_websocket_whose_client_leaves_cancels_the_call(files: Files) -> None:
    async with secured_stage(files) as (stage, _):
        async with websocket(stage, "/v1/hang/both", files.context()) as client:
            await say(client, "a")
            await until(lambda: bool(stage.backend.running))
            client.transport.abort()
            await until(lambda: not stage.backend.running, within_s=1.0)
        await until(lambda: stage.endings.codes == [Code.CANCELLED])


async def test_a_websocket_without_trust_is_not_opened(files: Files) -> None:
    async with secured_stage(files) as (stage, _):
        with pytest.raises(ssl.SSLCertVerificationError):
            async with websocket(stage, "/v1/well/both", ssl.create_default_context()):
                pass

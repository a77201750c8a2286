"""WebSockets inside other programs: the same messages, endings and limits as in a gateway."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession, WSServerHandshakeError
from websockets.asyncio.client import ClientConnection

from gateway.call import Call, Handler, Reply
from gateway.listeners.http1.stream_writer import reset
from gateway.status import Code, StatusError
from tests.support.embedded import ASGI_SERVERS, WAYS, embedded_stage
from tests.support.polling import still, until
from tests.support.streaming import Stage
from tests.support.websocket import JSON, PROTOBUF, finish, hear, opened, refusal, say

each_way = pytest.mark.parametrize("way", WAYS)


async def refusing(call: Call, proceed: Handler) -> Reply:
    raise StatusError(Code.PERMISSION_DENIED, "not you")


async def losing(call: Call, proceed: Handler) -> Reply:
    async def messages() -> AsyncGenerator[bytes]:
        for _ in range(1):
            raise ConnectionRefusedError("the database of an interceptor")
        yield b""

    return Reply(messages=messages())


async def ended(stage: Stage, code: Code) -> None:
    """The one call has ended so, and the access log says it."""
    await until(lambda: bool(stage.endings.codes))
    assert stage.endings.codes == [code]
    await until(lambda: stage.log.exists() and f'"{code.name}"' in stage.log.read_text())
    line = json.loads(stage.log.read_text().splitlines()[-1])
    assert line["http.response.status_code"] == 101
    await until(lambda: not stage.backend.running)


@each_way
@pytest.mark.parametrize("offered", [None, [JSON], [PROTOBUF]])
async def test_both_sides_talk_in_turn(way: str, offered: list[str] | None) -> None:
    async with embedded_stage(way) as stage:
        async with opened(stage, "/v1/talk/both", subprotocols=offered) as client:
            assert client.subprotocol == (offered and offered[0])
            await say(client, "a")
            await client.recv()
            await say(client, "b", "c" * 100_000)
            await finish(client)
            seen = await hear(client)
            assert [one["text"] for one in seen.messages] == ["b", "c" * 100_000]
            assert (seen.ending, client.close_code) == ("end", 1000)
        await ended(stage, Code.OK)


@each_way
async def test_a_stream_of_replies_begins_by_itself(way: str) -> None:
    async with embedded_stage(way) as stage:
        async with opened(stage, "/v1/talk/down") as client:
            assert client.response is not None
            assert client.response.headers["X-Request-Id"]
            seen = await hear(client)
            assert [one["number"] for one in seen.messages] == [1, 2, 3]
        await ended(stage, Code.OK)


@each_way
async def test_the_close_code_tells_how_it_ended(way: str) -> None:
    async with embedded_stage(way) as stage:
        async with opened(stage, "/v1/late/both") as client:
            await say(client, "a", "b")
            seen = await hear(client)
            assert (seen.ending, client.close_code) == ("DATA_LOSS", 4015)
            assert str(client.close_reason).startswith("DATA_LOSS: ")
        await ended(stage, Code.DATA_LOSS)


@each_way
async def test_a_connection_that_an_interceptor_lost_is_not_the_clients(way: str) -> None:
    async with embedded_stage(way, losing) as stage, opened(stage, "/v1/talk/both") as client:
        assert "internal error" in str(await asyncio.wait_for(client.recv(), 5))


@each_way
async def test_messages_that_are_not_right_end_the_call(way: str) -> None:
    async with embedded_stage(way) as stage:
        async with opened(stage, "/v1/talk/up") as client:
            await client.send(b"\x0a\x01a")
            seen = await hear(client)
            assert (seen.ending, client.close_code) == ("INVALID_ARGUMENT", 1003)
        await ended(stage, Code.INVALID_ARGUMENT)


@each_way
async def test_messages_are_limited(way: str) -> None:
    limits = {"stream_message_bytes": 1000, "stream_bytes": 2500}
    async with embedded_stage(way, limits=limits) as stage:
        async with opened(stage, "/v1/talk/up") as client:
            await say(client, "x" * 2000)
            await hear(client)
            assert client.close_code == 1009
        async with opened(stage, "/v1/talk/up") as client:
            await say(client, *["x" * 900] * 3)
            assert (await hear(client)).ending == "RESOURCE_EXHAUSTED"
            assert client.close_code == 1009
        await until(lambda: len(stage.endings.codes) == 2)
        assert stage.endings.codes == [Code.RESOURCE_EXHAUSTED] * 2


@each_way
async def test_a_refusal_is_an_http_response(way: str) -> None:
    async with embedded_stage(way, refusing) as stage:
        assert await refusal(stage, "/v1/talk/nowhere") == (
            404,
            "no route for GET /v1/talk/nowhere",
        )
        assert await refusal(stage, "/v1/talk/both") == (403, "not you")
        assert not stage.backend.metadata


@each_way
async def test_a_page_of_another_site_is_refused(way: str) -> None:
    async with embedded_stage(way) as stage:
        status, text = await refusal(stage, "/v1/talk/both", origin="https://other.example")
        assert (status, "websocket.origins" in text) == (403, True)


@each_way
async def test_a_token_is_offered_as_a_subprotocol(way: str) -> None:
    async with embedded_stage(way) as stage:
        offered = [JSON, "bearer.gwt_none"]
        async with opened(stage, "/v1/talk/down", subprotocols=offered) as client:
            assert client.subprotocol == JSON
            await hear(client)
        assert stage.backend.metadata[0]["authorization"] == "Bearer gwt_none"
        assert not [name for name in stage.backend.metadata[0] if "websocket" in name]


@each_way
@pytest.mark.parametrize("target", ["/v1/hang/both", "/v1/hang/down", "/v1/flood/down"])
@pytest.mark.parametrize("politely", [True, False], ids=["by closing", "by vanishing"])
async def test_leaving_ends_the_call(way: str, target: str, politely: bool) -> None:
    async with embedded_stage(way) as stage:
        async with opened(stage, target) as client:
            if target.endswith("both"):
                await say(client, "a")
            await client.recv()
            if politely and "flood" not in target:
                await client.close()
            else:
                vanish(client)
            await until(lambda: not stage.backend.running)
        await ended(stage, Code.CANCELLED)


def vanish(client: ClientConnection) -> None:
    """Resets the connection: a plain close would wait behind what has not been sent."""
    reset(client.transport)


async def test_a_slow_reader_holds_the_back_end() -> None:
    async with (
        embedded_stage("aiohttp") as stage,
        opened(stage, "/v1/flood/down", max_queue=1) as client,
    ):
        assert 0 < await still(lambda: stage.backend.produced) < 1000
        vanish(client)
        await until(lambda: not stage.backend.running)


async def test_a_slow_back_end_holds_the_client() -> None:
    async with embedded_stage("aiohttp") as stage, opened(stage, "/v1/hang/up") as client:
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await say(client, "x" * 50_000)
                sent += 1

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flood(), 1)
        assert sent < 1000
        vanish(client)
        await until(lambda: stage.endings.codes == [Code.CANCELLED])


@each_way
async def test_websockets_that_are_off_are_not_opened(way: str) -> None:
    async with (
        embedded_stage(way, websocket={"enabled": False}) as stage,
        ClientSession() as session,
    ):
        # aiohttp answers the GET, as a gateway does; ASGI has no such request.
        target = "/v1/talk/once" if way == "aiohttp" else "/v1/talk/down"
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect(f"http://{stage.gateway.address}{target}")
        assert refused.value.status == (200 if way == "aiohttp" else 501)


@pytest.mark.parametrize("way", ["aiohttp", "uvicorn"])
async def test_the_end_of_the_program_ends_websockets(way: str) -> None:
    async with AsyncExitStack() as clients:
        async with embedded_stage(way) as stage:
            client = await clients.enter_async_context(opened(stage, "/v1/hang/down"))
            await client.recv()
            hearing = asyncio.create_task(hear(client))
        await hearing
        assert client.close_code == (1001 if way == "aiohttp" else 1012)
        code = Code.UNAVAILABLE if way == "aiohttp" else Code.CANCELLED
        assert stage.endings.codes == [code]


@pytest.mark.parametrize("server", ASGI_SERVERS)
async def test_a_ping_of_the_client_is_answered(server: str) -> None:
    async with embedded_stage(server) as stage, opened(stage, "/v1/hang/down") as client:
        await asyncio.wait_for(await client.ping(), 5)

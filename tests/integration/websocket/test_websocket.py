"""Calls over WebSocket: every kind that streams, and every way they end."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.call import Call, Handler, Reply
from gateway.listeners.http1.stream_writer import reset
from gateway.status import Code, StatusError
from tests.support.polling import still, until
from tests.support.streaming import (
    CHANNELS,
    Seen,
    Stage,
    gateway_tasks,
    open_files,
    open_stage,
    settled,
)
from tests.support.websocket import JSON, PROTOBUF, finish, hear, opened, refusal, say

SUBPROTOCOLS = [
    pytest.param(None, id="unnamed"),
    pytest.param([JSON], id="json"),
    pytest.param([PROTOBUF], id="protobuf"),
]


async def refusing(call: Call, proceed: Handler) -> Reply:
    raise StatusError(Code.PERMISSION_DENIED, "not you")


async def losing(call: Call, proceed: Handler) -> Reply:
    async def messages() -> AsyncGenerator[bytes]:
        for _ in range(1):
            raise ConnectionRefusedError("the database of an interceptor")
        yield b""

    return Reply(messages=messages())


async def warm(stage: Stage) -> int:
    """How many files are open when the connection to the back end is: that is no leftover."""
    async with opened(stage, "/v1/warm/down") as client:
        await hear(client)
    await until(lambda: bool(stage.endings.codes))
    await until(lambda: not gateway_tasks())
    stage.endings.codes.clear()
    stage.backend.received.clear()
    return await still(open_files, for_s=0.05)


def vanish(client: ClientConnection) -> None:
    """Resets the connection: a plain close would wait behind what has not been sent."""
    reset(client.transport)


async def ended(stage: Stage, code: Code) -> None:
    """The one call has ended so, and nothing is left."""
    await until(lambda: bool(stage.endings.codes))
    assert stage.endings.codes == [code]
    await until(lambda: stage.log.exists() and f'"{code.name}"' in stage.log.read_text())
    line = json.loads(stage.log.read_text().splitlines()[-1])
    assert line["http.response.status_code"] == 101
    assert line["rpc.response.status_code"] == code.name


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("offered", SUBPROTOCOLS)
async def test_both_sides_talk_in_turn(channel: str, offered: list[str] | None) -> None:
    async with open_stage(channel=channel) as stage:
        files = await warm(stage)
        async with opened(stage, "/v1/talk/both", subprotocols=offered) as client:
            assert client.subprotocol == (offered and offered[0])
            await say(client, "a")
            await client.recv()
            await say(client, "b", "c")
            await finish(client)
            seen = await hear(client)
            assert [one["text"] for one in seen.messages] == ["b", "c"]
            assert (seen.ending, client.close_code) == ("end", 1000)
        assert [one.topic for one in stage.backend.received] == ["talk", "", ""]
        await ended(stage, Code.OK)
        await settled(stage, files)


@pytest.mark.parametrize("offered", SUBPROTOCOLS)
async def test_a_stream_of_requests_has_one_answer(offered: list[str] | None) -> None:
    async with open_stage() as stage:
        async with opened(stage, "/v1/talk/up", subprotocols=offered) as client:
            await say(client, "a", "b")
            await finish(client)
            assert [one["number"] for one in (await hear(client)).messages] == [2]
        await ended(stage, Code.OK)


@pytest.mark.parametrize("offered", SUBPROTOCOLS)
async def test_a_stream_of_replies_begins_by_itself(offered: list[str] | None) -> None:
    async with open_stage() as stage:
        async with opened(stage, "/v1/talk/down", subprotocols=offered) as client:
            seen = await hear(client)
            assert [one["number"] for one in seen.messages] == [1, 2, 3]
            assert (seen.ending, client.close_code) == ("end", 1000)
        await ended(stage, Code.OK)


async def test_what_only_the_url_says_is_a_message_too() -> None:
    async with open_stage() as stage, opened(stage, "/v1/url/both?text=hi&number=7") as client:
        await finish(client)
        (said,) = (await hear(client)).messages
        assert (said["topic"], said["text"], said["number"]) == ("url", "hi", 7)


async def test_the_url_goes_into_the_first_message_only() -> None:
    async with open_stage() as stage, opened(stage, "/v1/url/both?number=7") as client:
        await client.send("{}")
        await client.send("{}")
        await finish(client)
        assert [one["number"] for one in (await hear(client)).messages] == [7, 0]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    ("topic", "ending", "close_code", "replies"),
    [
        pytest.param("early", "NOT_FOUND", 4005, 0, id="before the first"),
        pytest.param("late", "DATA_LOSS", 4015, 2, id="after some"),
        pytest.param("enough", "end", 1000, 1, id="by the back end"),
    ],
)
async def test_the_last_frame_and_the_close_code_tell_how_it_ended(
    channel: str, topic: str, ending: str, close_code: int, replies: int
) -> None:
    async with open_stage(channel=channel) as stage:
        files = await warm(stage)
        async with opened(stage, f"/v1/{topic}/both") as client:
            await say(client, "a", "b")
            seen = await hear(client)
            assert (seen.ending, client.close_code) == (ending, close_code)
            assert len(seen.messages) == replies
            if ending != "end":
                assert str(client.close_reason).startswith(f"{ending}: ")
        await ended(stage, Code.OK if ending == "end" else Code[ending])
        await settled(stage, files)


async def test_a_guard_refuses_before_there_is_a_websocket() -> None:
    async with open_stage(refusing) as stage:
        assert await refusal(stage, "/v1/talk/both") == (403, "not you")
        assert await refusal(stage, "/v1/talk/down") == (403, "not you")
        assert stage.endings.codes == [Code.PERMISSION_DENIED] * 2
        assert not stage.backend.metadata


async def test_a_connection_that_an_interceptor_lost_is_not_the_clients() -> None:
    async with open_stage(losing) as stage, opened(stage, "/v1/talk/both") as client:
        assert "internal error" in str(await asyncio.wait_for(client.recv(), 5))


@pytest.mark.parametrize(
    ("target", "status", "told"),
    [
        pytest.param("/v1/talk/once", 400, "does not stream", id="unary"),
        pytest.param("/v1/talk/give", 400, "carries files", id="raw"),
        pytest.param("/v1/talk/nowhere", 404, "", id="no route"),
        pytest.param("/v1/talk/both?number=x", 400, "number", id="bad value in the URL"),
        pytest.param("/v1/talk/down?number=x", 400, "number", id="bad value, no body"),
        pytest.param("/v1/%zz/both", 400, "", id="bad path"),
    ],
)
async def test_what_cannot_be_served_is_told_by_http(target: str, status: int, told: str) -> None:
    async with open_stage() as stage:
        seen, text = await refusal(stage, target)
        assert seen == status
        assert told in text


@pytest.mark.parametrize("target", ["/v1/hang/both", "/v1/hang/down", "/v1/flood/down"])
@pytest.mark.parametrize("politely", [True, False], ids=["by closing", "by vanishing"])
async def test_leaving_cancels_the_call_at_once(target: str, politely: bool) -> None:
    async with open_stage() as stage:
        files = await warm(stage)
        async with opened(stage, target) as client:
            if target.endswith("both"):
                await say(client, "a")
            await client.recv()
            if politely and "flood" not in target:
                await client.close()
            else:
                vanish(client)
            async with asyncio.timeout(1):
                await until(lambda: not stage.backend.running)
        await ended(stage, Code.CANCELLED)
        await settled(stage, files)


@pytest.mark.parametrize("target", ["/v1/flood/down", "/v1/flood/both"])
async def test_a_slow_reader_holds_the_back_end(target: str) -> None:
    async with open_stage() as stage:
        files = await warm(stage)
        async with opened(stage, target, max_queue=1) as client:
            if target.endswith("both"):
                await say(client, "a")
            assert 0 < await still(lambda: stage.backend.produced) < 1000
            vanish(client)
        await settled(stage, files)


async def test_a_slow_back_end_holds_the_client() -> None:
    async with open_stage() as stage:
        files = await warm(stage)
        async with opened(stage, "/v1/hang/up") as client:
            sent = 0
            try:
                async with asyncio.timeout(1):
                    while True:
                        await say(client, "x" * 50_000)
                        sent += 1
            except TimeoutError:
                pass
            assert sent < 1000
            vanish(client)
        await until(lambda: stage.endings.codes == [Code.CANCELLED])
        await settled(stage, files)


@pytest.mark.parametrize(
    ("frames", "ending", "close_code"),
    [
        pytest.param(["{"], "INVALID_ARGUMENT", 4003, id="no JSON"),
        pytest.param(['{"text":1}'], "INVALID_ARGUMENT", 4003, id="wrong type"),
        pytest.param([b"\x0a\x01a"], "INVALID_ARGUMENT", 1003, id="wrong kind of frame"),
        pytest.param(["", "{}"], "INVALID_ARGUMENT", 4003, id="behind the end"),
        pytest.param(["{}", '{"topic":"b"}'], "INVALID_ARGUMENT", 4003, id="against the path"),
    ],
)
async def test_messages_that_are_not_right_end_the_call(
    frames: list[str | bytes], ending: str, close_code: int
) -> None:
    async with open_stage() as stage:
        target = "/v1/hang/up" if frames[0] == "" else "/v1/talk/up"
        async with opened(stage, target) as client:
            for frame in frames:
                await client.send(frame)
            seen = await hear(client)
            assert (seen.ending, client.close_code) == (ending, close_code)


async def test_a_method_that_takes_no_messages_says_so() -> None:
    async with open_stage() as stage, opened(stage, "/v1/hang/down") as client:
        await client.send("{}")
        seen = await hear(client)
        assert (seen.ending, client.close_code) == ("INVALID_ARGUMENT", 4003)


async def test_messages_have_a_size_limit() -> None:
    settings: dict[str, Any] = {"limits": {"stream_message_bytes": 1000}}
    async with open_stage(**settings) as stage, opened(stage, "/v1/talk/both") as client:
        await say(client, "x" * 2000)
        await hear(client)
        assert client.close_code == 1009
        await ended(stage, Code.RESOURCE_EXHAUSTED)


async def test_a_stream_has_a_size_limit() -> None:
    settings: dict[str, Any] = {"limits": {"stream_bytes": 1000}}
    async with open_stage(**settings) as stage, opened(stage, "/v1/talk/up") as client:
        await say(client, "x" * 600, "x" * 600)
        seen = await hear(client)
        assert (seen.ending, client.close_code) == ("RESOURCE_EXHAUSTED", 1009)


@pytest.mark.parametrize(
    ("settings", "target", "ending"),
    [
        pytest.param(
            {"deadlines": {"stream_idle_s": 0.2}}, "/v1/hang/both", "DEADLINE_EXCEEDED", id="idle"
        ),
        pytest.param(
            {"deadlines": {"methods": [{"selector": "streams.v1.*", "default_s": 0.5}]}},
            "/v1/hang/both",
            "DEADLINE_EXCEEDED",
            id="in all",
        ),
    ],
)
async def test_time_is_limited(settings: dict[str, Any], target: str, ending: str) -> None:
    async with open_stage(**settings) as stage, opened(stage, target) as client:
        await say(client, "a")
        seen = await hear(client)
        assert (seen.ending, client.close_code) == (ending, 4004)


async def test_a_client_that_answers_no_ping_is_gone() -> None:
    settings: dict[str, Any] = {"websocket": {"ping_s": 0.2, "ping_timeout_s": 0.3}}
    async with open_stage(**settings) as stage, opened(stage, "/v1/hang/down") as client:
        await client.recv()
        client.transport.pause_reading()
        await until(lambda: stage.endings.codes == [Code.CANCELLED])


async def test_a_client_that_answers_pings_stays() -> None:
    settings: dict[str, Any] = {"websocket": {"ping_s": 0.2, "ping_timeout_s": 0.3}}
    async with open_stage(**settings) as stage, opened(stage, "/v1/talk/both") as client:
        await asyncio.sleep(1.6)
        await say(client, "still here")
        assert "still here" in str(await client.recv())


async def test_a_gateway_that_ends_says_that_it_goes_away() -> None:
    heard: asyncio.Task[Seen] | None = None
    async with open_stage() as stage:
        closing = opened(stage, "/v1/hang/both")
        client = await closing.__aenter__()
        await say(client, "a")
        await client.recv()
        heard = asyncio.create_task(hear(client))
    assert (await heard).ending == "UNAVAILABLE"
    assert client.close_code == 1001
    assert stage.endings.codes == [Code.UNAVAILABLE]
    await closing.__aexit__(None, None, None)


async def test_an_upstream_that_dies_is_told() -> None:
    async with open_stage() as stage, opened(stage, "/v1/hang/both") as client:
        await say(client, "a")
        await client.recv()
        await stage.backend.kill()
        seen = await hear(client)
        assert seen.ending in ("UNAVAILABLE", "CANCELLED", "INTERNAL")
        assert client.close_code == 4000 + Code[seen.ending]


async def test_compression_is_agreed_upon_where_it_is_on() -> None:
    settings: dict[str, Any] = {"websocket": {"compression": True}}
    async with open_stage(**settings) as stage, opened(stage, "/v1/talk/both") as client:
        assert client.response is not None
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        await say(client, "x" * 5000)
        assert "x" * 5000 in str(await client.recv())


async def test_compression_is_off_unless_asked_for() -> None:
    async with open_stage() as stage, opened(stage, "/v1/talk/both") as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


async def test_a_decompression_bomb_is_refused() -> None:
    settings: dict[str, Any] = {"websocket": {"compression": True}}
    async with open_stage(**settings) as stage, opened(stage, "/v1/talk/up") as client:
        with suppress(ConnectionClosed):
            for _ in range(5):
                await say(client, " " * 4_000_000)
        await hear(client)
        assert client.close_code == 1009


async def test_a_token_is_offered_as_a_protocol_and_told_to_nobody_else() -> None:
    async with open_stage() as stage:
        offered = [JSON, "bearer.abc.def-1"]
        async with opened(stage, "/v1/talk/both", subprotocols=offered) as client:
            assert client.subprotocol == JSON
            assert client.response is not None
            assert "abc.def-1" not in str(client.response.headers)
            await finish(client)
            await hear(client)
        (metadata,) = stage.backend.metadata
        assert metadata["authorization"] == "Bearer abc.def-1"
        assert not [name for name in metadata if name.startswith("sec-websocket")]
        await ended(stage, Code.OK)
        assert "abc.def-1" not in stage.log.read_text()


@pytest.mark.parametrize(
    "offered",
    [
        pytest.param(["bearer.abc"], id="a token alone"),
        pytest.param([JSON, "bearer.a", "bearer.b"], id="two tokens"),
        pytest.param([JSON, "bearer."], id="an empty token"),
        pytest.param(["graphql-ws"], id="another protocol"),
    ],
)
async def test_protocols_that_are_not_right_are_refused(offered: list[str]) -> None:
    async with open_stage() as stage:
        assert (await refusal(stage, "/v1/talk/both", subprotocols=offered))[0] == 400


async def test_a_token_beside_a_header_is_refused() -> None:
    async with open_stage() as stage:
        headers = {"Authorization": "Bearer other"}
        status, text = await refusal(
            stage, "/v1/talk/both", subprotocols=[JSON, "bearer.a"], additional_headers=headers
        )
        assert (status, text) == (400, "there are two credentials; send one")


@pytest.mark.parametrize(
    ("origin", "allowed", "status"),
    [
        pytest.param("http://{host}", [], 101, id="the same"),
        pytest.param("https://{host}", [], 101, id="the same behind TLS"),
        pytest.param("http://evil.example", [], 403, id="another"),
        pytest.param("http://{host}.evil.example", [], 403, id="one that begins alike"),
        pytest.param("null", [], 403, id="an opaque one"),
        pytest.param("http://[::", [], 403, id="a malformed one"),
        pytest.param("https://app.example", ["https://app.example"], 101, id="a listed one"),
        pytest.param("https://app.example:8443", ["https://app.example"], 403, id="another port"),
        pytest.param("https://app.example", ["*"], 101, id="any"),
    ],
)
async def test_pages_of_other_sites_may_not_connect(
    origin: str, allowed: list[str], status: int
) -> None:
    async with open_stage(websocket={"origins": allowed}) as stage:
        stated = origin.format(host=stage.gateway.address)
        if status == 101:
            async with opened(stage, "/v1/talk/both", origin=stated) as client:
                await finish(client)
        else:
            assert (await refusal(stage, "/v1/talk/both", origin=stated))[0] == status


async def test_it_can_be_switched_off() -> None:
    async with open_stage(websocket={"enabled": False}) as stage:
        with pytest.raises(Exception, match="200"):
            async with opened(stage, "/v1/talk/down"):
                pass


async def test_the_client_of_aiohttp_is_served() -> None:
    async with open_stage() as stage, aiohttp.ClientSession() as session:
        url = f"{stage.gateway.url}/v1/talk/both"
        async with session.ws_connect(url, protocols=[JSON]) as client:
            await client.send_json({"text": "a"})
            assert (await client.receive_json(timeout=5))["text"] == "a"
            await client.send_str("")
            assert (await client.receive_json(timeout=5))["@status"]["code"] == 0
            assert (await client.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
            assert client.close_code == 1000

"""Files up and down: in pieces, with their media type, in parts, and never cut unseen."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator

import aiohttp
import pytest

from gateway.call import Call, Handler, Reply
from gateway.status import Code
from tests.support.http import RawClient
from tests.support.polling import until
from tests.support.stream_backend import large_pieces
from tests.support.streaming import CHANNELS, Stage, open_stage


@pytest.fixture(params=CHANNELS)
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with open_stage(channel=request.param) as opened:
        yield opened


@pytest.fixture
async def session(stage: Stage) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(stage.gateway.url) as opened:
        yield opened


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[RawClient]:
    async with stage.connected() as opened:
        yield opened


async def test_a_raw_upload_arrives_in_pieces(stage: Stage, session: aiohttp.ClientSession) -> None:
    data = bytes(range(256)) * 2000
    headers = {"Content-Type": "image/png"}
    async with session.post("/v1/t/file?number=5", data=data, headers=headers) as response:
        assert (await response.json())["note"] == f"{len(data)} bytes"
    first, *rest = stage.backend.received
    assert (first.topic, first.number, first.file.content_type) == ("t", 5, "image/png")
    assert rest
    assert all(not one.topic and not one.file.content_type for one in rest)
    assert all(int(one.file.data) <= 256 * 1024 for one in stage.backend.received)


async def test_json_that_is_a_file_is_not_looked_at(
    stage: Stage, session: aiohttp.ClientSession
) -> None:
    headers = {"Content-Type": "application/json"}
    async with session.post("/v1/t/file", data=b'[{"a":', headers=headers) as response:
        assert (await response.json())["note"] == "6 bytes"


async def test_a_form_arrives_in_pieces_behind_its_fields(
    stage: Stage, session: aiohttp.ClientSession
) -> None:
    form = aiohttp.FormData()
    form.add_field("note", "a note")
    form.add_field("file", b"y" * 300_000, filename="a.gif", content_type="image/gif")
    async with session.post("/v1/t/file", data=form) as response:
        assert (await response.json())["note"] == "a note"
    first, *rest = stage.backend.received
    assert (first.topic, first.file.content_type) == ("t", "image/gif")
    assert sum(int(one.file.data) for one in [first, *rest]) == 300_000


async def test_a_form_can_be_sent_where_the_file_is_taken_whole(
    session: aiohttp.ClientSession,
) -> None:
    form = aiohttp.FormData()
    form.add_field("file", b"abc", filename="a.gif", content_type="image/gif")
    form.add_field("note", "behind")
    async with session.post("/v1/t/whole", data=form) as response:
        answer = await response.json()
    assert (answer["note"], answer["file"]["contentType"]) == ("behind", "image/gif")


async def test_a_download_states_its_length_where_the_back_end_does(
    session: aiohttp.ClientSession,
) -> None:
    async with session.get("/v1/t/give") as response:
        assert response.headers["Content-Length"] == "10"
        assert "x-http-content-length" not in response.headers
        assert response.headers["Content-Type"] == "text/plain"
        assert await response.read() == b"0123456789"
    async with session.get("/v1/unsized/give") as response:
        assert "Content-Length" not in response.headers
        assert await response.read() == b"0123456789"


async def test_a_large_download_arrives_unchanged(session: aiohttp.ClientSession) -> None:
    async with session.get("/v1/large/give") as response:
        assert response.headers["Transfer-Encoding"] == "chunked"
        assert await response.read() == b"".join(large_pieces())


async def test_a_client_that_reads_late_and_little_gets_all_unchanged(client: RawClient) -> None:
    await client.send("GET /v1/large/give HTTP/1.1\r\nHost: t\r\n\r\n")
    await asyncio.sleep(0.3)
    assert (await client.answer()).body == b"".join(large_pieces())


async def test_a_client_that_leaves_amid_a_download_ends_the_call(stage: Stage) -> None:
    async with stage.connected() as client:
        await client.send("GET /v1/endless/give HTTP/1.1\r\nHost: t\r\n\r\n")
        await until(lambda: stage.backend.running)
    await until(lambda: not stage.backend.running and bool(stage.endings.codes), within_s=1.0)


@pytest.mark.parametrize("channel", CHANNELS)
async def test_interceptors_see_whole_messages(channel: str) -> None:
    seen: dict[str, list[bytes]] = {"up": [], "down": []}

    async def noted(way: str, messages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async for message in messages:
            seen[way].append(message)
            yield message

    async def watch(call: Call, proceed: Handler) -> Reply:
        if call.messages is not None:
            call.messages = noted("up", call.messages)
        reply = await proceed(call)
        if reply.messages is not None:
            reply.messages = noted("down", reply.messages)
        return reply

    data = bytes(range(256)) * 4000
    async with (
        open_stage(watch, channel=channel) as stage,
        aiohttp.ClientSession(stage.gateway.url) as session,
    ):
        async with session.post("/v1/t/file", data=data) as response:
            assert (await response.json())["note"] == f"{len(data)} bytes"
        async with session.get("/v1/large/give") as response:
            assert await response.read() == b"".join(large_pieces())
    assert all(type(message) is bytes for way in seen.values() for message in way)
    assert sum(map(len, seen["up"])) > len(data)
    assert len(seen["down"]) == len(large_pieces())


async def test_a_part_can_be_asked_for(session: aiohttp.ClientSession) -> None:
    async with session.get("/v1/t/give", headers={"Range": "bytes=2-5"}) as response:
        assert (response.status, await response.read()) == (206, b"2345")
        assert response.headers["Content-Range"] == "bytes 2-5/10"
        assert response.headers["Content-Length"] == "4"


@pytest.mark.parametrize("topic", ["late", "short", "long"])
async def test_a_download_that_is_not_whole_is_seen_to_be_cut(
    session: aiohttp.ClientSession, topic: str
) -> None:
    response = await session.get(f"/v1/{topic}/give")
    if topic == "long":
        # What is promised is kept; what is more cannot be told from the next answer.
        assert await response.read() == b"0123456789"
    else:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_an_answer_longer_than_promised_is_the_connections_last(client: RawClient) -> None:
    await client.send("GET /v1/long/give HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await client.answer()).body == b"0123456789"
    assert await client.closed()


async def test_head_tells_of_a_download_without_it(stage: Stage, client: RawClient) -> None:
    await client.send("HEAD /v1/t/give HTTP/1.1\r\nHost: t\r\n\r\n")
    answer = await client.answer(head_only=True)
    assert (answer.status, answer.header("Content-Length")) == (200, "10")
    assert (await client.get("/v1/t/once")).status == 200


async def test_a_client_that_leaves_amid_an_upload_ends_the_call(stage: Stage) -> None:
    async with stage.connected() as client:
        await client.send("POST /v1/t/file HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\nabc")
        await until(lambda: stage.backend.running)
    await until(lambda: not stage.backend.running and bool(stage.endings.codes), within_s=1.0)
    assert stage.endings.codes == [Code.CANCELLED]


async def test_what_goes_up_comes_down_unchanged() -> None:
    from tests.integration.streams.test_streams import library_gateway

    data = bytes(range(256)) * 1000
    path = "/v1/shelves/fiction/books/solaris/cover"
    async with library_gateway() as gateway, aiohttp.ClientSession(gateway.url) as session:
        headers = {"Content-Type": "image/png"}
        async with session.post(f"{path}:upload", data=data, headers=headers) as response:
            told = await response.json()
        assert told["sizeBytes"] == str(len(data))
        async with session.get(f"{path}:download") as response:
            assert hashlib.sha256(await response.read()).digest() == hashlib.sha256(data).digest()
            assert response.headers["Content-Length"] == str(len(data))
        async with session.get(f"{path}:download", headers={"Range": "bytes=10-19"}) as response:
            assert (response.status, await response.read()) == (206, data[10:20])
            assert response.headers["Content-Range"] == f"bytes 10-19/{len(data)}"


async def test_books_are_imported_from_an_array() -> None:
    from tests.integration.streams.test_streams import library_gateway

    books = [{"book": {"title": f"Volume {number}"}} for number in range(200)]
    async with library_gateway() as gateway, aiohttp.ClientSession(gateway.url) as session:
        path = "/v1/shelves/poetry/books:import"
        async with session.post(path, json=books) as response:
            assert (await response.json())["bookCount"] == 200
        lines = "\n".join(map(json.dumps, books)).encode()
        headers = {"Content-Type": "application/x-ndjson"}
        async with session.post(path, data=lines, headers=headers) as response:
            assert (await response.json())["bookCount"] == 200


async def test_raw_bytes_are_lines_and_a_failure_is_the_last_one_by_setting() -> None:
    async with (
        open_stage(streams={"raw_lines": True}, errors="status") as stage,
        stage.connected() as client,
    ):
        await client.send("GET /v1/late/give HTTP/1.1\r\nHost: t\r\n\r\n")
        *lines, last = (await client.answer()).body.splitlines()
        assert b"".join(lines)
        assert set(json.loads(last)) == {"error"}
        # The length that the back end states is that of its own bytes.
        await client.send("GET /v1/t/give HTTP/1.1\r\nHost: t\r\n\r\n")
        answer = await client.answer()
        assert answer.header("Content-Length") is None
        assert answer.body.replace(b"\n", b"") == b"0123456789"
        assert answer.body.endswith(b"\n")

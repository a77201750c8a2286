"""Server streams over HTTP: in the client's format, piece by piece, with a defined ending."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway.app.gateway import Gateway, open_gateway
from gateway.config.model import Config
from tests.support.http import RawClient, connected, echo_gateway
from tests.support.polling import still, until
from tests.support.servers import library_server


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with echo_gateway() as running:
        yield running


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[RawClient]:
    async with connected(gateway) as opened:
        yield opened


@asynccontextmanager
async def library_gateway() -> AsyncIterator[Gateway]:
    async with library_server() as address:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "modules": ["gen.library.v1"],
                "upstreams": {"library": {"target": address}},
                "log": {"access": "off"},
            }
        )
        async with open_gateway(config) as running:
            yield running


async def test_lines_of_json_are_the_default(client: RawClient) -> None:
    answer = await client.get("/v1/echo/a:repeat?count=3")
    assert answer.status == 200
    assert answer.header("Content-Type") == "application/x-ndjson"
    assert [json.loads(line)["number"] for line in answer.body.splitlines()] == [1, 2, 3]
    assert answer.body.endswith(b"\n")


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "text/event-stream", "application/x-protobuf"]
)
async def test_a_stream_says_that_it_depends_on_what_is_accepted(
    client: RawClient, accept: str
) -> None:
    answer = await client.get("/v1/echo/a:repeat?count=1", f"Accept: {accept}")
    assert [value for name, value in answer.headers if name == "Vary"] == ["Accept"]


async def test_an_array_is_one_json_text(client: RawClient) -> None:
    answer = await client.get("/v1/echo/a:repeat?count=3", "Accept: application/json")
    assert answer.header("Content-Type") == "application/json"
    assert [item["number"] for item in answer.json()] == [1, 2, 3]
    answer = await client.get("/v1/echo/a:repeat", "Accept: application/json")
    assert answer.json() == []


async def test_events_have_ids_and_an_end(client: RawClient) -> None:
    answer = await client.get("/v1/echo/a:repeat?count=2", "Accept: text/event-stream")
    assert answer.header("Content-Type") == "text/event-stream"
    assert answer.header("Cache-Control") == "no-store"
    retry, first, second, end, _ = answer.body.split(b"\n\n")
    assert retry == b"retry: 3000"
    assert first.startswith(b'id: 1\ndata: {"text":"a"')
    assert second.startswith(b"id: 2\n")
    assert end == b"event: end\ndata: {}"


async def test_a_stream_is_offered_in_these_formats_only(client: RawClient) -> None:
    answer = await client.get("/v1/echo/a:repeat?count=1", "Accept: image/png")
    assert answer.status == 406
    assert "application/x-ndjson" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("accept", "records"),
    [
        ("application/x-ndjson", lambda body: [json.loads(line) for line in body.splitlines()]),
        ("application/json", json.loads),
    ],
)
async def test_a_failure_is_the_last_record(
    client: RawClient, accept: str, records: object
) -> None:
    answer = await client.get("/v1/echo/a:repeat?count=2&code=15", f"Accept: {accept}")
    assert answer.status == 200
    *messages, failure = records(answer.body)  # type: ignore[operator]
    assert [message["number"] for message in messages] == [1, 2]
    assert failure["error"]["status"] == "DATA_LOSS"
    assert (await client.get("/v1/echo/a")).status == 200, "the connection lives on"


async def test_a_failure_is_an_event_of_its_own(client: RawClient) -> None:
    answer = await client.get("/v1/echo/a:repeat?count=1&code=15", "Accept: text/event-stream")
    assert b"event: error\ndata: {" in answer.body
    assert b"event: end" not in answer.body


async def test_a_failure_before_the_first_message_is_a_real_status(client: RawClient) -> None:
    answer = await client.get("/v1/echo/a:repeat?count=0&code=5")
    assert (answer.status, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("shape", ["status", "problem"])
async def test_a_failure_is_marked_in_every_error_shape(shape: str) -> None:
    async with echo_gateway(errors=shape) as gateway, connected(gateway) as client:
        answer = await client.get("/v1/echo/a:repeat?count=1&code=15")
        assert list(json.loads(answer.body.splitlines()[-1])) == ["error"]


async def test_the_first_message_does_not_wait_for_the_second(gateway: Gateway) -> None:
    async with aiohttp.ClientSession(gateway.url) as session:
        async with session.get("/v1/echo/a:repeat?count=2&interval=20s") as response:
            line = await asyncio.wait_for(response.content.readline(), 3)
        assert json.loads(line)["number"] == 1


async def test_a_client_that_leaves_ends_the_stream(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with echo_gateway(log={"access": str(log)}) as gateway:
        async with aiohttp.ClientSession(gateway.url) as session:
            async with session.get("/v1/echo/a:repeat?count=100&interval=0.1s") as response:
                await response.content.readline()
            response.close()
        await until(lambda: not [t for t in asyncio.all_tasks() if "HttpProtocol" in repr(t)])
    (line,) = log.read_text().splitlines()
    assert json.loads(line)["rpc.response.status_code"] == "CANCELLED"


async def test_a_finished_stream_is_one_line_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with echo_gateway(log={"access": str(log)}) as gateway, connected(gateway) as client:
        answer = await client.get("/v1/echo/a:repeat?count=3")
    (line,) = log.read_text().splitlines()
    entry = json.loads(line)
    assert (entry["http.response.status_code"], entry["rpc.response.status_code"]) == (200, "OK")
    assert entry["http.response.body.size"] == len(answer.body)


async def test_a_slow_reader_holds_the_back_end_back(gateway: Gateway) -> None:
    async with connected(gateway) as client:
        text = "x" * 2_000
        await client.send(f"GET /v1/echo/{text}:repeat?count=100000 HTTP/1.1\r\nHost: t\r\n\r\n")
        buffered = client.reader._buffer  # type: ignore[attr-defined]
        await until(lambda: buffered)
        assert await still(lambda: len(buffered)) < 1_000_000
        client.writer.transport.abort()


async def test_a_deadline_ends_a_stream_with_its_record(client: RawClient) -> None:
    answer = await client.get("/v1/echo/a:repeat?count=100&interval=0.2s", "Grpc-Timeout: 500m")
    last = json.loads(answer.body.splitlines()[-1])
    assert last["error"]["status"] == "DEADLINE_EXCEEDED"


async def test_http_1_0_gets_the_stream_up_to_the_end_of_the_connection(
    client: RawClient,
) -> None:
    await client.send("GET /v1/echo/a:repeat?count=2 HTTP/1.0\r\n\r\n")
    whole = await asyncio.wait_for(client.reader.read(), 5)
    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert len(body.splitlines()) == 2


async def test_head_of_a_stream_ends_the_call(client: RawClient) -> None:
    await client.send("HEAD /v1/echo/a:repeat?count=100000 HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await client.answer(head_only=True)).status == 200
    assert (await client.get("/v1/echo/a")).status == 200


async def test_a_download_has_the_first_messages_type() -> None:
    async with library_gateway() as gateway, aiohttp.ClientSession(gateway.url) as session:
        name = "shelves/fiction/books/solaris/cover"
        whole = await (await session.get(f"/v1/{name}")).read()
        async with session.get(f"/v1/{name}:download") as response:
            assert response.headers["Content-Type"] == "image/png"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert await response.read() == whole


async def test_a_watch_tells_of_what_happens() -> None:
    watch = "/v1/shelves/fiction/books:watch?existing=true"
    async with (
        library_gateway() as gateway,
        aiohttp.ClientSession(gateway.url) as session,
        session.get(watch) as response,
    ):
        for _ in range(3):
            await asyncio.wait_for(response.content.readline(), 5)
        async with session.post("/v1/shelves/fiction/books", json={"title": "Ode"}) as created:
            assert created.status == 200
        event = json.loads(await asyncio.wait_for(response.content.readline(), 5))
        assert event["book"]["title"] == "Ode"

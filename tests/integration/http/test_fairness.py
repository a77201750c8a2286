"""One client that sends as much as it can, while another makes small requests and waits for them.

How long the other waits is measured in CPU time of this process, whatever else the machine does,
and asserted with generous room: each fault that is looked for made it wait for seconds.
"""

import asyncio
import gc
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from socket import SO_RCVBUF, SOL_SOCKET
from time import perf_counter, process_time

import pytest

from gateway.call import Reply
from gateway.schema.catalog import build_schema
from tests.support.front_end import Client, FrontEnd, get, open_front_end, post
from tests.support.http import RawClient
from tests.support.schema import descriptor_set
from tests.support.streaming import open_stage
from tests.unit.exchange.dialects.websocket.test_frames import BINARY, PING, frame

WAITS_S = 0.5
FLOOD_S = 1.5
COUNT = 7_000
FLOODS = {
    "404": get("/nothing"),
    "405": get("/v1/items/a", method="PATCH"),
    "OPTIONS": get("/v1/items/a", method="OPTIONS"),
    "400": get("/v1/items/a?nothing=1"),
    "200": get("/v1/items/a"),
}


@pytest.fixture(autouse=True)
def _no_garbage_of_others() -> None:
    """A server that has settled looks through little; this process holds what tests have left."""
    gc.freeze()


class Victim:
    """Makes small requests one after the other, and keeps how long the longest took."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self.count = 0

    async def run(self, client: Client | RawClient, request: bytes) -> None:
        """Goes on until it is cancelled."""
        while True:
            begun_s = process_time()
            await client.send(request)
            assert (await client.answer()).status == 200
            self.worst_s = max(self.worst_s, process_time() - begun_s)
            self.count += 1
            await asyncio.sleep(0.005)


@asynccontextmanager
async def victim(client: Client | RawClient, request: bytes) -> AsyncIterator[Victim]:
    """A victim of what is done in the block; what it waits for in the end counts as well."""
    found = Victim()
    task = asyncio.create_task(found.run(client, request))
    await asyncio.sleep(0.02)
    begun_s = perf_counter()
    try:
        yield found
        count = found.count
        async with asyncio.timeout(10):
            while found.count < count + 2 and not task.done():  # noqa: ASYNC110 - once
                await asyncio.sleep(0.01)
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])
    print(
        f"worst wait {found.worst_s * 1000:.0f} ms of {found.count} requests"
        f" in {perf_counter() - begun_s:.2f} s"
    )


async def dropping(client: Client | RawClient) -> None:
    """Reads what comes, and forgets it."""
    with suppress(ConnectionError):
        while await client.reader.read(1 << 18):
            pass


async def flood(front_end: FrontEnd, data: bytes) -> None:
    """Sends all of it on one connection, and reads answers for a while."""
    async with front_end.connected() as client:
        reading = asyncio.create_task(dropping(client))
        sending = asyncio.create_task(client.send(data))
        await asyncio.wait([reading, sending], timeout=FLOOD_S)
        for task in (reading, sending):
            task.cancel()
        await asyncio.wait([reading, sending])


@pytest.mark.parametrize(
    ("kind", "connections"), [*((kind, 1) for kind in FLOODS), ("404", 10), ("200", 10)]
)
async def test_pipelined_requests_keep_nobody_waiting(kind: str, connections: int) -> None:
    async with open_front_end() as front_end, front_end.connected() as client:
        async with victim(client, get("/v1/items/small")) as found:
            data = FLOODS[kind] * COUNT
            await asyncio.gather(*(flood(front_end, data) for _ in range(connections)))
        assert found.worst_s < WAITS_S


async def test_all_pipelined_requests_are_answered_in_order() -> None:
    async with open_front_end() as front_end, front_end.connected() as client:
        paths = [f"/v1/items/{number}" for number in range(2_000)]
        sending = asyncio.create_task(
            client.send(
                b"".join(post("/v1/items", json.dumps({"name": p}).encode()) for p in paths)
            )
        )
        for path in paths:
            assert (await client.answer()).json["name"] == path
        await sending


async def test_chunks_of_a_byte_keep_nobody_waiting() -> None:
    async with open_front_end() as front_end, front_end.connected() as client:
        head = get("/v1/items", "Transfer-Encoding: chunked", method="POST")
        async with victim(client, get("/v1/items/small")) as found:
            await flood(front_end, head + b"1\r\n \r\n" * 200_000)
        assert found.worst_s < WAITS_S


def shaken(*headers: str) -> bytes:
    return get(
        "/v1/talk/both",
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers),
    )


def packed(payload: bytes) -> bytes:
    """A compressed binary message (RFC 7692)."""
    packer = zlib.compressobj(wbits=-15)
    data = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(
        b"\x00\x00\xff\xff"
    )
    whole = frame(BINARY, data)
    return bytes([whole[0] | 0x40]) + whole[1:]


@pytest.mark.parametrize(
    ("headers", "data", "connections"),
    [
        pytest.param([], frame(PING) * 350_000, 1, id="pings"),
        pytest.param([], frame(PING) * 350_000, 10, id="pings on ten"),
        pytest.param(
            [
                "Sec-WebSocket-Extensions: permessage-deflate",
                "Sec-WebSocket-Protocol: grpc-rest.protobuf",
            ],
            packed(b"") * 100_000,
            1,
            id="empty compressed messages",
        ),
    ],
)
async def test_a_websocket_keeps_nobody_waiting(
    headers: list[str], data: bytes, connections: int
) -> None:
    async def attack() -> None:
        async with stage.connected() as client:
            await client.send(shaken(*headers))
            await client.reader.readuntil(b"\r\n\r\n")
            reading = asyncio.create_task(dropping(client))
            sending = asyncio.create_task(client.send(data))
            await asyncio.wait([reading], timeout=FLOOD_S)
            for task in (reading, sending):
                task.cancel()
            await asyncio.wait([reading, sending])

    async with open_stage(websocket={"compression": True}) as stage, stage.connected() as client:
        async with victim(client, get("/v1/a/once")) as found:
            await asyncio.gather(*(attack() for _ in range(connections)))
        assert found.worst_s < WAITS_S


SCHEMA = """
syntax = "proto3";
package large.v1;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/struct.proto";

message Large {
  repeated string texts = 1;
  repeated Large larges = 2;
  repeated google.protobuf.Any anys = 3;
  repeated google.protobuf.Value values = 4;
  repeated double numbers = 5;
}
service Larges {
  rpc Send(Large) returns (Large) { option (google.api.http) = {post: "/v1/large" body: "*"}; }
}
"""
ANY = b'{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}'


def filled(name: str, value: bytes, count: int) -> bytes:
    return b'{"%b":[%b]}' % (name.encode(), b",".join([value] * count))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(filled("texts", b'"abc"', 140_000), 200, id="strings"),
        pytest.param(filled("numbers", b"1.5", 140_000), 200, id="numbers"),
        pytest.param(filled("larges", b"{}", 70_000), 200, id="messages"),
        pytest.param(filled("values", b"1", 140_000), 200, id="values"),
        pytest.param(filled("anys", ANY, 30_000), 200, id="anys"),
        pytest.param(filled("texts", b'"abc"', 600_000), 413, id="too many strings"),
        pytest.param(filled("values", b"[[[]]]", 500_000), 413, id="too many lists"),
        pytest.param(filled("larges", b"{}", 1_300_000), 413, id="too many messages"),
        pytest.param(filled("texts", b'"' + b"," * 3_000_000 + b'"', 1), 200, id="one text"),
    ],
)
async def test_a_large_message_keeps_nobody_waiting(body: bytes, status: int) -> None:
    async with open_front_end(serves=build_schema(descriptor_set(large=SCHEMA))) as front_end:
        async with front_end.connected() as client, front_end.connected() as other:
            # What the type needs is made beforehand, as by the first request of any server.
            assert (await client.ask(post("/v1/large", b'{"texts":["a"]}'))).status == 200
            async with victim(other, post("/v1/large", b'{"texts":["a"]}')) as found:
                answer = await client.ask(post("/v1/large", body), within_s=20)
        assert answer.status == status
        if status == 200:
            assert len(answer.body) >= len(body)
        else:
            assert "150000 values" in answer.json["error"]["message"]
        assert found.worst_s < WAITS_S


async def slow_readers(front_end: FrontEnd, count: int, stack: AsyncExitStack) -> list[Client]:
    """Clients that ask for a large reply, and read nothing of it yet."""
    clients = [await stack.enter_async_context(front_end.connected()) for _ in range(count)]
    for client in clients:
        client.writer.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(get("/v1/items/a"))
    return clients


LARGE = 8_000_000


async def test_of_clients_that_read_too_slowly_those_over_the_budget_are_cut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = {"unsent_bytes": 3 * LARGE}
    async with open_front_end(limits=limits) as front_end, AsyncExitStack() as stack:
        front_end.upstream.answers(Reply(b"\x12\x80\xa4\xe8\x03" + b"x" * LARGE))
        await slow_readers(front_end, 12, stack)
        for _ in range(80):
            waiting = [
                client.transport.get_write_buffer_size()
                for client in front_end.listener.port.connections
                if client.transport is not None
            ]
            if "limits.unsent_bytes" in caplog.text and sum(waiting) <= 3 * LARGE:
                break
            await asyncio.sleep(0.1)
        assert LARGE < sum(waiting) <= 3 * LARGE
        assert "reads too slowly" in caplog.text
        front_end.upstream.answers(Reply())
        assert (await front_end.ask(get("/v1/items/a"))).status == 200


async def test_who_reads_less_than_the_least_rate_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    limits = {"reading_bytes_per_s": 50_000_000, "body_timeout_s": 0.5}
    async with open_front_end(limits=limits) as front_end, AsyncExitStack() as stack:
        front_end.upstream.answers(Reply(b"\x12\x80\xa4\xe8\x03" + b"x" * LARGE))
        (client,) = await slow_readers(front_end, 1, stack)
        async with asyncio.timeout(5):
            while front_end.listener.port.connections:
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
                await client.reader.read(200_000)  # a little, so that it is no client that is gone
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(0.1)
        assert "limits.reading_bytes_per_s" in caplog.text


async def test_too_many_requests_a_second_are_refused_and_end_the_connection() -> None:
    async with (
        open_front_end(limits={"connection_requests_per_s": 20}) as front_end,
        front_end.connected() as client,
    ):
        await client.send(get("/v1/items/a") * 30)
        answers = [await client.answer() for _ in range(21)]
        assert [answer.status for answer in answers] == [200] * 20 + [429]
        assert answers[-1].closes
        assert "20 requests a second" in answers[-1].json["error"]["message"]
        assert answers[-1].headers["retry-after"] == "1"
        assert await client.is_closed()
        assert (await front_end.ask(get("/v1/items/a"))).status == 200

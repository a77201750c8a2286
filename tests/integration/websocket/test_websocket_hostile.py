"""Handshakes and frames no decent client would send, over a raw connection."""

import asyncio
import gc
import json

import pytest

from gateway.call import Call, Handler, Reply
from gateway.exchange.dialects.websocket import connection
from gateway.listeners.http1.protocol import HttpProtocol
from gateway.status import Code
from tests.support.http import RawClient
from tests.support.polling import until
from tests.support.streaming import open_stage
from tests.unit.exchange.dialects.websocket.test_frames import CLOSE, PING, TEXT, frame

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
VERSION = "Sec-WebSocket-Version: 13"
ASKED = ("Connection: Upgrade", "Upgrade: websocket")


async def shake(client: RawClient, target: str = "/v1/talk/both", *early: bytes) -> bytes:
    """Shakes hands as RFC 6455 section 1.3 does; what the gateway answers."""
    lines = [f"GET {target} HTTP/1.1", "Host: test", *ASKED, KEY, VERSION]
    await client.send("\r\n".join(lines).encode() + b"\r\n\r\n" + b"".join(early))
    async with asyncio.timeout(5):
        return await client.reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "status", "told"),
    [
        pytest.param([*ASKED, VERSION], 400, "Sec-WebSocket-Key", id="no key"),
        pytest.param([*ASKED, VERSION, "Sec-WebSocket-Key: c2hvcnQ="], 400, "16", id="short key"),
        pytest.param([*ASKED, VERSION, "Sec-WebSocket-Key: ???"], 400, "base64", id="no base64"),
        pytest.param([*ASKED, KEY], 426, "13", id="no version"),
        pytest.param([*ASKED, KEY, "Sec-WebSocket-Version: 8"], 426, "13", id="old version"),
    ],
)
async def test_a_bad_handshake_is_refused(headers: list[str], status: int, told: str) -> None:
    async with open_stage() as stage, stage.connected() as client:
        answer = await client.get("/v1/talk/both", *headers)
        assert answer.status == status
        assert told in answer.json()["error"]["message"]
        if status == 426:
            assert answer.header("Sec-WebSocket-Version") == "13"
            assert answer.header("Upgrade") == "websocket"
        assert not stage.endings.codes


async def test_without_a_connection_header_it_is_an_ordinary_request() -> None:
    async with open_stage() as stage, stage.connected() as client:
        assert (await client.get("/v1/talk/once", "Upgrade: websocket", KEY, VERSION)).status == 200


async def test_the_answer_is_the_one_the_standard_shows() -> None:
    async with open_stage() as stage, stage.connected() as client:
        head = await shake(client)
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert b"X-Request-Id: " in head
        assert b"Content-Length" not in head


async def test_frames_that_come_with_the_handshake_are_read() -> None:
    async with open_stage() as stage, stage.connected() as client:
        await shake(client, "/v1/talk/both", frame(TEXT, b'{"text":"early"}'))
        assert b"early" in await client.reader.read(200)


async def test_frames_that_come_before_the_answer_are_read() -> None:
    """RFC 6455 section 4.1 has a client wait for the answer; what it sends earlier is not lost."""
    asked, decided = asyncio.Event(), asyncio.Event()

    async def deciding(call: Call, proceed: Handler) -> Reply:
        asked.set()
        await decided.wait()
        return await proceed(call)

    async with open_stage(deciding) as stage, stage.connected() as client:
        answer = asyncio.create_task(shake(client))
        await asked.wait()
        await client.send(frame(TEXT, b'{"text":"early"}'))
        async with stage.connected() as other:  # its answer comes after those bytes
            assert (await other.get("/nowhere")).status == 404
        decided.set()
        await answer
        async with asyncio.timeout(5):
            assert b"early" in await client.reader.read(200)


@pytest.mark.parametrize(
    ("sent", "close", "code"),
    [
        pytest.param(frame(TEXT, b"{}", masked=False), 1002, "INVALID_ARGUMENT", id="unmasked"),
        pytest.param(frame(TEXT, b"\xff"), 1007, "INVALID_ARGUMENT", id="no UTF-8"),
        pytest.param(frame(PING, b"", fin=False), 1002, "INVALID_ARGUMENT", id="half a ping"),
        pytest.param(
            b"\x81\xff" + (1 << 62).to_bytes(8, "big"), 1009, "RESOURCE_EXHAUSTED", id="endless"
        ),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n" * 20, 1002, "INVALID_ARGUMENT", id="more HTTP"),
    ],
)
async def test_what_breaks_the_rules_ends_call_and_connection(
    sent: bytes, close: int, code: str
) -> None:
    async with open_stage() as stage, stage.connected() as client:
        await shake(client)
        await client.send(sent)
        async with asyncio.timeout(10):
            said = await client.reader.read()
        assert said[:1] == b"\x88"
        assert int.from_bytes(said[2:4], "big") == close
        await until(lambda: stage.endings.codes == [Code[code]])


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        pytest.param(frame(TEXT, b"{}", masked=False), "expected masked frames", id="unmasked"),
        pytest.param(
            frame(PING, b"", fin=False), "expected control frames in one piece", id="half a ping"
        ),
        pytest.param(
            frame(PING, b"x" * 126), "expected control frames of at most 125 bytes", id="long ping"
        ),
        pytest.param(frame(0, b"{}"), "expected a frame that begins a message", id="continuation"),
        pytest.param(
            frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"),
            "expected a frame that continues the message",
            id="two beginnings",
        ),
        pytest.param(
            frame(3, b""), "expected frames with an opcode of RFC 6455 section 5.2", id="opcode"
        ),
        pytest.param(
            frame(8, b"\x03"), "expected a close frame with a code of two bytes", id="half a code"
        ),
        pytest.param(
            frame(8, b"\x03\xe7"), "expected a close code of RFC 6455 section 7.4", id="close code"
        ),
        pytest.param(frame(8, b"\x03\xe8\xff"), "text is not UTF-8", id="close reason"),
        pytest.param(
            b"\x81\xff" + (1 << 62).to_bytes(8, "big"), "a message is larger than ", id="endless"
        ),
        pytest.param(b"\xc1\x80abcd", "expected frames whose reserved bits are 0", id="reserved"),
    ],
)
async def test_the_reason_of_a_close_says_which_rule_was_broken(sent: bytes, reason: str) -> None:
    async with open_stage() as stage, stage.connected() as client:
        await shake(client)
        await client.send(sent)
        async with asyncio.timeout(10):
            said = await client.reader.read()
        assert said[4 : 2 + said[1]].decode().startswith(reason)


async def test_a_flood_of_pings_fills_no_memory() -> None:
    async with open_stage() as stage, stage.connected() as client:
        await shake(client)
        flood = frame(PING, b"x" * 125) * 1000
        for _ in range(50):
            client.writer.write(flood)
            await asyncio.sleep(0)
        # Nobody reads the answers. What is said afterwards is heard all the same.
        await client.send(frame(TEXT, b'{"text":"after"}'))
        await until(lambda: bool(stage.backend.received))
        assert _unsent_bytes() < 1_000_000


async def test_a_close_behind_unread_messages_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_CLOSE_TIMEOUT_S", 3600)
    message = frame(TEXT, b'{"text":"%b"}' % (b"x" * 1000))
    async with open_stage() as stage, stage.connected() as client:
        await shake(client, "/v1/enough/both", message)
        async with asyncio.timeout(10):
            await client.send(message * 600)
            await client.reader.readuntil(b"\x88\x02\x03\xe8")
            await client.send(frame(CLOSE, b"\x03\xe8"))
            assert await client.reader.read() == b""  # the connection has ended
        await until(lambda: stage.endings.codes == [Code.OK])


async def test_a_frame_that_comes_slowly_is_put_together() -> None:
    async with open_stage() as stage, stage.connected() as client:
        await shake(client)
        for byte in frame(TEXT, b'{"text":"slow"}'):
            await client.send(bytes([byte]))
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            head = await client.reader.readexactly(2)
            assert json.loads(await client.reader.readexactly(head[1]))["text"] == "slow"


def _unsent_bytes() -> int:
    """How much of the gateway's waits for its clients."""
    # By type alone: to ask a dead weak proxy what it is raises.
    found = [one for one in gc.get_objects() if type(one) is HttpProtocol]
    return sum(one.transport.get_write_buffer_size() for one in found if one.transport)

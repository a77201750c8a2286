"""A client that leaves, however it does, is no failure of the gateway's: no log says it is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from gateway.status import Code
from tests.integration.websocket.test_websocket_hostile import shake
from tests.support.polling import until
from tests.support.streaming import Stage, open_stage
from tests.unit.exchange.dialects.websocket.test_frames import TEXT, frame

CLOSE = 8
CLIENTS = 60


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the gateway, not the back end, logged as an error or with a stack trace."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("gateway")
        and (record.levelno >= logging.ERROR or record.exc_info is not None)
    ]


async def leave_a_websocket(stage: Stage, number: int) -> None:
    """Takes some of a flood of replies, and closes: in good order, half of it, or not at all."""
    async with stage.connected() as client:
        await shake(client, "/v1/flood/down")
        await client.reader.read(1000 * (number % 7 + 1))
        match number % 4:
            case 0:
                await client.send(frame(CLOSE, b"\x03\xe8"))
                await drained(client.reader)
            case 1:
                await client.send(frame(CLOSE))
            case 2:
                await client.send(frame(TEXT, b"x", masked=False))  # against RFC 6455 section 5.1
                await drained(client.reader)
            case _:
                assert client.writer.transport is not None
                client.writer.transport.abort()


async def leave_an_exchange(stage: Stage, number: int) -> None:
    """Takes some of a stream over HTTP/1.1, or sends half a request, and is gone."""
    async with stage.connected() as client:
        if number % 2:
            await client.send(b"GET /v1/flood/down HTTP/1.1\r\nHost: t\r\n\r\n")
            await client.reader.read(1000 * (number % 7 + 1))
        else:
            head = (
                b"POST /v1/echo/both HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-ndjson\r\n"
            )
            await client.send(head + b'Transfer-Encoding: chunked\r\n\r\n7\r\n{"text"\r\n')
            await asyncio.sleep(0.01 * (number % 5))
        client.writer.transport.abort()


async def drained(reader: asyncio.StreamReader) -> None:
    """Reads to the end."""
    async with asyncio.timeout(10):
        while await reader.read(65536):
            pass


@pytest.mark.parametrize("leave", [leave_a_websocket, leave_an_exchange])
async def test_clients_that_leave_amid_replies_are_no_errors(
    leave: Callable[[Stage, int], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    async with open_stage() as stage:
        async with asyncio.timeout(40):
            for turn in range(3):
                numbers = range(turn, CLIENTS + turn, 3)
                await asyncio.gather(
                    *(leave(stage, number) for number in numbers), return_exceptions=True
                )
            await until(lambda: len(stage.endings.codes) == CLIENTS)
    assert failures(caplog) == []
    assert Code.INTERNAL not in stage.endings.codes


HALVES = [
    pytest.param("once", "application/json", '{"te', id="unary"),
    pytest.param("once", "application/x-protobuf", "\x0a\x7f", id="protobuf"),
    pytest.param("up", "application/x-ndjson", '{"text":"a"}\n{"te', id="stream"),
    pytest.param("file", "text/plain", "abc", id="upload"),
    pytest.param(
        "form",
        "multipart/form-data; boundary=b",
        '--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nx',
        id="form",
    ),
]


@pytest.mark.parametrize(("method", "media_type", "half"), HALVES)
async def test_clients_that_leave_amid_their_body_are_no_errors(
    method: str, media_type: str, half: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST /v1/echo/{method} HTTP/1.1\r\nHost: t\r\nContent-Type: {media_type}\r\n"

    async def leave(number: int) -> None:
        async with stage.connected() as client:
            await client.send(f"{head}Content-Length: 1000\r\n\r\n{half}".encode())
            await asyncio.sleep(0.02 * (number % 4))
            if number % 2:
                client.writer.transport.abort()

    async with open_stage() as stage:
        async with asyncio.timeout(20):
            await asyncio.gather(*(leave(number) for number in range(12)), return_exceptions=True)
            async with stage.connected() as client:  # what the others left has been seen to
                assert (await client.get("/v1/talk/once")).status == 200
    assert failures(caplog) == []

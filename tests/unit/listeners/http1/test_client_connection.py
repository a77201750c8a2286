"""The flow control of a connection, in both directions."""

import asyncio
import random
from unittest.mock import Mock

import pytest

from gateway.config.limits import Limits
from gateway.listeners.http1.client_connection import ClientConnection
from gateway.listeners.port import Port
from tests.support.polling import until


def connected() -> ClientConnection:
    loop = asyncio.get_running_loop()
    wire = ClientConnection(loop, Port(loop, Limits()))
    transport = Mock(spec=asyncio.Transport)
    transport.get_write_buffer_size.return_value = 0
    wire.connection_made(transport)
    return wire


class Reading(ClientConnection):
    """Notes the parts that are parsed: from the second on all are of one body, if it `uploads`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, uploads: bool) -> None:
        super().__init__(loop, Port(loop, Limits()))
        self.uploads, self.has_room = uploads, True
        self.parts: list[bytes | memoryview] = []
        self.connection_made(Mock(spec=asyncio.Transport))

    def _read(self, data: bytes | memoryview) -> None:
        self.parts.append(data)

    def _is_within_body(self, size: int) -> bool:
        return self.uploads and bool(self.parts)

    def _has_room(self) -> bool:
        return self.has_room


DATA = random.Random(8).randbytes(200_000)


async def test_the_body_in_the_first_read_of_an_upload_is_not_copied() -> None:
    wire = Reading(asyncio.get_running_loop(), uploads=True)
    wire.data_received(DATA)
    head, body = wire.parts
    assert (len(head), b"".join(wire.parts)) == (2048, DATA)
    assert isinstance(body, memoryview)
    assert body.obj is DATA


async def test_much_else_is_parsed_in_small_parts() -> None:
    wire = Reading(asyncio.get_running_loop(), uploads=False)
    wire.data_received(DATA)
    assert len(wire.parts) == 1, "one part at once, and the others in later turns"
    await until(lambda: b"".join(wire.parts) == DATA)
    assert all(len(part) <= 2048 for part in wire.parts)


async def test_nothing_is_parsed_while_the_queue_is_full() -> None:
    wire = Reading(asyncio.get_running_loop(), uploads=True)
    wire.has_room = False
    for at in range(0, len(DATA), 50_000):
        wire.data_received(DATA[at : at + 50_000])
    await asyncio.sleep(0)
    assert not wire.parts
    wire.has_room = True
    wire.data_received(b"end")
    await until(lambda: b"".join(wire.parts) == DATA + b"end")


async def test_who_gave_up_waiting_leaves_nothing_behind_for_the_next() -> None:
    wire = connected()
    wire.pause_writing()
    first = asyncio.create_task(wire.drained())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.create_task(wire.drained())
    await asyncio.sleep(0)
    wire.resume_writing()
    await asyncio.wait_for(second, 1)


async def test_who_waits_is_told_that_the_client_is_gone() -> None:
    wire = connected()
    wire.pause_writing()
    waiting = asyncio.create_task(wire.drained())
    await asyncio.sleep(0)
    wire.connection_lost(OSError())
    with pytest.raises(ConnectionResetError):
        await waiting
    with pytest.raises(ConnectionResetError):
        await wire.drained()

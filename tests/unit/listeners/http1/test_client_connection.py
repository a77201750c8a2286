"""Waiting for a client that is slow to take what is there for it."""

import asyncio
from unittest.mock import Mock

import pytest

from gateway.config.limits import Limits
from gateway.listeners.http1.client_connection import ClientConnection
from gateway.listeners.port import Port


def connected() -> ClientConnection:
    loop = asyncio.get_running_loop()
    wire = ClientConnection(loop, Port(loop, Limits()))
    transport = Mock(spec=asyncio.Transport)
    transport.get_write_buffer_size.return_value = 0
    wire.connection_made(transport)
    return wire


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

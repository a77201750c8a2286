"""A client that leaves is noticed though nothing is read."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.listeners.http1.peer_closed import peer_has_closed
from gateway.listeners.http1.stream_writer import reset
from tests.support.polling import turns, until

Ends = tuple[asyncio.Transport, asyncio.Transport]


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """The two ends of a connection, the first of which does not read."""
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    calling = socket.create_connection(listening.getsockname())
    called, _ = listening.accept()
    transports = []
    for sock in (called, calling):
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
        transports.append(transport)
    ours, theirs = transports
    ours.pause_reading()
    yield ours, theirs
    for transport in transports:
        transport.abort()
    listening.close()
    await turns()


async def test_who_is_there_is_there(ends: Ends) -> None:
    ours, theirs = ends
    theirs.write(b"x" * 1000)
    await asyncio.sleep(0.05)
    assert not peer_has_closed(ours)


async def test_who_closes_behind_what_it_has_sent_is_gone(ends: Ends) -> None:
    ours, theirs = ends
    theirs.write(b"x" * 1000)
    theirs.close()
    await until(lambda: peer_has_closed(ours))


async def test_who_breaks_off_is_gone(ends: Ends) -> None:
    ours, theirs = ends
    theirs.write(b"x" * 1000)
    reset(theirs)
    await until(lambda: peer_has_closed(ours))

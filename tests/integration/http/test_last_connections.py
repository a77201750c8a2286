"""The connections that wait when a listener stops, while no file descriptor is free."""

import asyncio
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from gateway.listeners.listener import Listener
from tests.support.front_end import get, open_front_end
from tests.support.polling import until


@contextmanager
def no_file_descriptor(*, may_reopen: bool = False) -> Iterator[None]:
    """Lets the process open nothing; what is open stays so, and can be opened again if it may."""
    lowest = os.dup(0) if may_reopen else 0
    if may_reopen:
        os.close(lowest)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def few_file_descriptors(count: int) -> Iterator[None]:
    """Lets the process open so many files more."""
    lowest = os.dup(0)
    os.close(lowest)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def waiting(listener: Listener) -> Iterator[socket.socket]:
    """A connection that nobody accepts until the event loop runs, with a request."""
    host, _, port = listener.address.rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(get("/v1/items/1"))
        client.setblocking(False)
        yield client


async def test_they_are_accepted_once_some_are_free(caplog: pytest.LogCaptureFixture) -> None:
    async with open_front_end() as front_end:
        listener, loop = front_end.listener, asyncio.get_running_loop()
        with waiting(listener) as one, waiting(listener) as other:
            with no_file_descriptor():
                listener.stop_accepting(is_port_closed=True, idle_s=5)
                assert listener.has_handshakes
                await asyncio.sleep(0.2)
                assert listener.has_handshakes
            for client in (one, other):
                async with asyncio.timeout(10):
                    assert (await loop.sock_recv(client, 65536)).startswith(b"HTTP/1.1 200 ")
        await until(lambda: not listener.has_handshakes)
        with pytest.raises(ConnectionRefusedError), waiting(listener):
            pass
    said = [one.getMessage() for one in caplog.records if one.name == "gateway"]
    assert len(said) == 1
    assert "no file descriptor is free to accept the last connections" in said[0]


async def test_a_listener_ends_though_none_becomes_free() -> None:
    async with open_front_end() as front_end:
        listener = front_end.listener
        with waiting(listener) as client:
            with no_file_descriptor():
                listener.stop_accepting(is_port_closed=True, idle_s=5)
                await listener.close(0)
                await until(lambda: not listener.has_handshakes)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 5)


async def test_new_ones_wait_while_files_are_short(caplog: pytest.LogCaptureFixture) -> None:
    async with open_front_end() as front_end:
        listener, loop = front_end.listener, asyncio.get_running_loop()
        with ExitStack() as stack:
            clients = [stack.enter_context(waiting(listener)) for _ in range(30)]
            answers = [asyncio.create_task(loop.sock_recv(client, 65536)) for client in clients]
            with few_file_descriptors(20):
                await until(lambda: any(one.done() for one in answers))
                before_s = time.process_time()
                await asyncio.sleep(0.5)
                assert time.process_time() - before_s < 0.25
                assert not all(one.done() for one in answers)
            async with asyncio.timeout(10):
                for answer in answers:  # none was reset
                    assert (await answer).startswith(b"HTTP/1.1 200 ")
    said = [one.getMessage() for one in caplog.records if one.name == "gateway"]
    if isinstance(loop, asyncio.BaseEventLoop):  # it says it itself
        assert not said
    else:
        assert len(said) == 1
        assert "hardly a file descriptor is free" in said[0]


async def test_connections_go_on_while_no_other_can_be_accepted() -> None:
    async with open_front_end() as front_end:
        listener, loop = front_end.listener, asyncio.get_running_loop()

        async def answered(client: socket.socket) -> bool:
            async with asyncio.timeout(10):
                return (await loop.sock_recv(client, 65536)).startswith(b"HTTP/1.1 200 ")

        with waiting(listener) as kept:
            assert await answered(kept)
            with waiting(listener), no_file_descriptor(may_reopen=True):
                before_s = time.process_time()
                await asyncio.sleep(0.5)
                # A loop that tries again without a pause would use all of that time.
                assert time.process_time() - before_s < 0.25
                for _ in range(3):
                    await loop.sock_sendall(kept, get("/v1/items/1"))
                    assert await answered(kept)
            with waiting(listener) as late:
                assert await answered(late)

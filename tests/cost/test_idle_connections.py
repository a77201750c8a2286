"""A kept connection takes little memory while it waits for its next request."""

import asyncio
import gc
import socket
import tracemalloc
from contextlib import ExitStack

from gateway.call import Reply
from tests.support.front_end import FrontEnd, get, open_front_end

CLIENTS = 100
LINES = [f"X-Shared-{number}: the same from all clients" for number in range(9)]


async def test_an_idle_connection_takes_little_memory() -> None:
    async with open_front_end() as front_end:
        front_end.upstream.answers(Reply(b""))
        with ExitStack() as held:
            await _connect(held, front_end)
            gc.collect()
            tracemalloc.start()
            try:
                await _connect(held, front_end)
                front_end.upstream.calls.clear()
                gc.collect()
                kept_bytes, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    # 5.2 kB as plain Python with asyncio's loop, of which a fifth is the client's and the loop's.
    assert kept_bytes / CLIENTS < 5_700


async def _connect(held: ExitStack, front_end: FrontEnd) -> None:
    """Opens connections, each of which stays open after an answer."""
    loop = asyncio.get_running_loop()
    host, _, port = front_end.listener.address.rpartition(":")
    for number in range(CLIENTS):
        client = held.enter_context(socket.socket())
        client.setblocking(False)
        await loop.sock_connect(client, (host, int(port)))
        head = get("/v1/items/a", *LINES, f"X-Request-Id: {number:032x}")
        await loop.sock_sendall(client, head)
        assert (await loop.sock_recv(client, 65_536)).startswith(b"HTTP/1.1 200 OK\r\n")

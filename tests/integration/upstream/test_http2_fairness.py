"""A back end that sends frames as fast as it can, from another thread, beside one that behaves."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from gateway.config.upstreams import Upstream
from gateway.http2 import frames
from gateway.upstream.channels.http2 import Http2Channel
from tests.support import http2_peer as peer
from tests.support.grpc_backend import bytes_backend, method

LASTS_S = 1.0
MOST_S = 0.1
"""How long a call may take while the flood lasts."""

STREAM = method("Flood", server_streaming=True)
OPENING = peer.settings() + peer.response(1)
TINY = peer.data(1, peer.message(b""))


@contextmanager
def flooding(opening: bytes, flood: Callable[[int], bytes]) -> Iterator[str]:
    """A server that sends `opening` to its first caller, then what `flood` says for each round."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                connection.sendall(peer.settings())
                while b"Flood" not in connection.recv(65_536):
                    pass
                connection.sendall(opening)
                connection.setblocking(False)
                number = 0
                while not over.is_set():
                    with suppress(BlockingIOError):
                        connection.recv(65_536)
                    connection.setblocking(True)
                    connection.settimeout(0.2)
                    with suppress(TimeoutError):
                        connection.sendall(flood(number))
                    connection.setblocking(False)
                    number += 1

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.close()
        thread.join(5)


def interims(size: int) -> bytes:
    """Headers of responses to come (100), of about so many bytes and too large to be remembered."""
    pairs = [(f"x-{number}", "y" * 20) for number in range(size // 30)]
    return peer.headers(1, (":status", "100"), *pairs) * (200_000 // size)


FLOODS = [
    pytest.param(lambda _: peer.frame(frames.PING, 0, 0, bytes(8)) * 900, id="pings"),
    pytest.param(
        lambda _: peer.frame(frames.PING, frames.ACK, 0, bytes(8)) * 15_000, id="answers to none"
    ),
    pytest.param(
        lambda n: peer.settings((frames.INITIAL_WINDOW_SIZE, 65_535 + n % 2)) * 500, id="settings"
    ),
    pytest.param(lambda _: peer.data(1, b"") * 25_000, id="empty data"),
    pytest.param(lambda _: TINY * 15_000, id="a message in each frame"),
    pytest.param(lambda _: peer.data(1, peer.message(b"") * 3_276) * 16, id="many in each frame"),
    pytest.param(lambda _: peer.data(1, b"\0") * 25_000, id="messages in crumbs"),
]


@pytest.mark.parametrize("flood", FLOODS)
async def test_others_do_not_wait_for_a_back_end_that_floods(flood: Callable[[int], bytes]) -> None:
    await others_do_not_wait(OPENING, flood)


@pytest.mark.parametrize("size", [1_000, 20_000])
async def test_others_do_not_wait_for_large_headers(size: int) -> None:
    flood = interims(size)
    await others_do_not_wait(peer.settings(), lambda _: flood)


async def others_do_not_wait(opening: bytes, flood: Callable[[int], bytes]) -> None:
    """Calls one back end while another floods its connection; none takes long."""
    loop = asyncio.get_running_loop()
    with flooding(opening, flood) as target:
        async with bytes_backend() as backend:
            bad = Http2Channel("bad", Upstream(target=target))
            good = Http2Channel("good", Upstream(target=backend.target))
            await good.call(method("Echo"), b"x", [], 10)
            reading = asyncio.ensure_future(read_all(bad))
            await asyncio.sleep(0.1)
            took, until_s = [], loop.time() + LASTS_S
            while loop.time() < until_s:
                started_s = loop.time()
                await good.call(method("Echo"), b"x", [], 10)
                took.append(loop.time() - started_s)
                await asyncio.sleep(0.005)
            reading.cancel()
            await asyncio.wait([reading])
            await bad.close()
            await good.close()
    took.sort()
    # One in twenty may be the machine's.
    assert took[len(took) * 19 // 20] < MOST_S, took[-10:]


async def read_all(channel: Http2Channel) -> None:
    with suppress(Exception):
        reply = await channel.call(STREAM, b"", [], 10)
        assert reply.messages is not None
        async for _ in reply.messages:
            pass

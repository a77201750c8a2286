"""Getting through to a back end: addresses that are dead, connections that died, too many calls."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from gateway.config.upstreams import Upstream
from gateway.http2 import frames
from gateway.status import Code
from gateway.upstream.balancing import SETTINGS_ONLY
from gateway.upstream.channels.channel import Channel
from gateway.upstream.channels.http2 import Http2Channel
from gateway.upstream.opening import open_http2
from tests.support import http2_peer as peer
from tests.support.calls import failure
from tests.support.grpc_backend import method
from tests.support.http2_server import Scripted
from tests.support.polling import until


def answer(stream_id: int) -> bytes:
    whole = peer.response(stream_id) + peer.data(stream_id, peer.message(b"ok"))
    return whole + peer.trailers(stream_id)


@asynccontextmanager
async def channel_to(target: str, **settings: Any) -> AsyncIterator[Http2Channel]:
    channel = Http2Channel("library", Upstream(target=target, **settings))
    try:
        yield channel
    finally:
        await channel.close()


def call(channel: Channel, timeout_s: float = 10) -> Any:
    return asyncio.ensure_future(channel.call(method("M"), b"x", [], timeout_s))


@contextmanager
def black_hole() -> Iterator[tuple[str, int]]:
    """An address where nobody answers, as its queue of new connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        try:
            yield listener.getsockname()
        finally:
            for one in waiting:
                one.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["first", "other family"])
async def test_an_address_that_does_not_answer_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, family: socket.AddressFamily
) -> None:
    server = Scripted(answer)
    loop = asyncio.get_running_loop()
    with black_hole() as dead:
        async with server.running() as target:
            port = int(target.rpartition(":")[2])

            async def resolve(host: str, port_: int, **_: Any) -> list[Any]:
                if host != "library.test":  # uvloop asks this of addresses, too
                    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port_))]
                # None of this goes to a resolver; the second of the dead is of another family.
                last = ("127.0.0.1", port)
                hosts = [(family, dead), (socket.AF_INET, dead), (socket.AF_INET, last)]
                return [(kind, socket.SOCK_STREAM, 6, "", address) for kind, address in hosts]

            monkeypatch.setattr(loop, "getaddrinfo", resolve)
            async with channel_to("library.test:1") as channel:
                started_s = loop.time()
                replies = await asyncio.gather(*(call(channel) for _ in range(20)))
                took_s = loop.time() - started_s
    assert [reply.message for reply in replies] == [b"ok"] * 20
    assert took_s < 2


@pytest.mark.parametrize("closes", [False, True], ids=["never", "closes at once"])
async def test_an_address_that_accepts_but_does_not_greet_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    """So does a balancer of connections without a server behind it."""
    server, held = Scripted(answer), []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        if closes:
            writer.transport.abort()

    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(accept, "127.0.0.1", 0) as silent, server.running() as to:
        ports = [silent.sockets[0].getsockname()[1], int(to.rpartition(":")[2])]

        async def resolve(host: str, port_: int, **_: Any) -> list[Any]:
            places = [(host, port_)]
            if host == "library.test":
                places = [("127.0.0.1", port) for port in ports]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        async with channel_to("library.test:1", connect_timeout_s=5) as channel:
            assert (await call(channel, 3)).message == b"ok"
            assert len(held) == 1
        for writer in held:
            writer.close()


async def test_a_back_end_that_is_down_is_named_once_and_says_when_to_try_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        async with channel_to(target) as channel:
            with caplog.at_level(logging.WARNING, "gateway"):
                errors = [await failure(call(channel)) for _ in range(5)]
    for error in errors:
        assert error.code is Code.UNAVAILABLE
        assert dict(error.headers)["Retry-After"] == "1"
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"upstream library is unavailable: {target}: Connection refused"


async def test_a_name_that_cannot_be_looked_up_is_not_tried_over_and_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with channel_to(f"{'a' * 64}.test:1") as channel:
        with caplog.at_level(logging.WARNING, "gateway"):
            errors = [await failure(call(channel, 2)) for _ in range(2)]
    assert [error.code for error in errors] == [Code.UNAVAILABLE] * 2
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith(": it is not a host name")


async def test_calls_that_wait_for_a_connection_are_no_more_than_allowed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with black_hole() as dead, caplog.at_level(logging.WARNING, "gateway"):
        upstream = Upstream(target=f"127.0.0.1:{dead[1]}", max_pending=10)
        channel = open_http2("library", upstream, SETTINGS_ONLY)
        try:
            calls = [call(channel, 0.5) for _ in range(30)]
            done, waiting = await asyncio.wait(calls, timeout=0.2)
            assert (len(done), len(waiting)) == (20, 10)
            for one in done:
                error = await failure(one)
                assert error.code is Code.UNAVAILABLE
                assert dict(error.headers)["Retry-After"] == "1"
                assert error.message == 'too many calls wait for upstream "library"'
            late = [(await failure(one)).code for one in waiting]
        finally:
            await channel.close(0)
    assert late == [Code.DEADLINE_EXCEEDED] * 10
    (line,) = [record.getMessage() for record in caplog.records]
    assert "max_pending" in line


async def test_a_call_after_a_long_silence_does_not_hang_on_a_dead_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Scripted(answer)
    async with server.running() as target, channel_to(target, idle_check_s=0.1) as channel:
        assert (await call(channel)).message == b"ok"
        await asyncio.sleep(0.2)
        with caplog.at_level(logging.WARNING, "gateway"):
            # The server answers no ping: it is as good as gone.
            replies = await asyncio.gather(*(call(channel, 5) for _ in range(3)))
    assert [reply.message for reply in replies] == [b"ok"] * 3
    assert server.connections == 2
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        f"upstream library: the connection to {target} ended: a ping was not answered in 1 s"
    )


async def test_a_call_under_way_outlives_a_ping_that_is_not_answered() -> None:
    server = Scripted(lambda _: b"", answer)
    async with server.running() as target, channel_to(target, idle_check_s=0.1) as channel:
        slow = call(channel)
        await until(lambda: server.calls == 1)
        for opened in channel._connections:
            opened._heard_at_s -= 1_000
        assert (await call(channel)).message == b"ok"
        server.writers[0].write(answer(1))
        assert (await slow).message == b"ok"
    assert server.connections == 2


async def test_a_connection_that_is_alive_after_a_long_silence_is_used_on() -> None:
    server = Scripted(answer, answers_pings=True)
    async with server.running() as target, channel_to(target, idle_check_s=0.1) as channel:
        for _ in range(3):
            assert (await call(channel)).message == b"ok"
            await asyncio.sleep(0.2)
    pings = [kind for kind, _ in server.received if kind == frames.PING]
    assert (server.connections, len(pings)) == (1, 2)


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        pytest.param(
            lambda _: peer.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2"),
            "a push was not asked for (PROTOCOL_ERROR)",
            id="breach",
        ),
        pytest.param(
            lambda _: peer.frame(frames.PRIORITY, 0, 1, bytes(5)) * 20_000,
            "too many idle frames (ENHANCE_YOUR_CALM)",
            id="flood",
        ),
        pytest.param(
            lambda _: peer.frame(frames.GOAWAY, 0, 0, b"\x7f\xff\xff\xff\0\0\0\2"),
            "the back end sent GOAWAY with INTERNAL_ERROR",
            id="goodbye",
        ),
        pytest.param(lambda _: b"", "the back end closed it with 3 calls under way", id="closed"),
    ],
)
async def test_why_a_connection_ended_is_logged_once(
    caplog: pytest.LogCaptureFixture, attack: Any, says: str
) -> None:
    server = Scripted(lambda _: b"", lambda _: b"", attack)
    async with server.running() as target, channel_to(target) as channel:
        with caplog.at_level(logging.WARNING, "gateway"):
            calls = [call(channel) for _ in range(3)]
            await until(lambda: server.calls >= 3)
            await asyncio.sleep(0.1)
            for writer in server.writers:
                writer.close()
            errors = [await failure(one) for one in calls]
            await until(lambda: bool(caplog.records))
    assert {error.code for error in errors} == {Code.UNAVAILABLE}
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"upstream library: the connection to {target} ended: {says}"

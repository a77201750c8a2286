"""The HTTP/2 channel against scripted servers on real sockets, good and bad."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.config.upstreams import TlsClient, Upstream
from gateway.http2 import frames
from gateway.status import Code, StatusError
from gateway.upstream.channels.http2 import Http2Channel
from tests.support import http2_peer as peer
from tests.support.calls import one_endpoint
from tests.support.grpc_backend import bytes_backend, method
from tests.support.http2_server import Script, Scripted
from tests.support.polling import until


@asynccontextmanager
async def channel_to(server: Scripted, **settings: Any) -> AsyncIterator[Http2Channel]:
    async with server.running() as target:
        channel = Http2Channel("library", Upstream(target=target, **settings))
        try:
            yield channel
        finally:
            await channel.close()


def answer(stream_id: int, *more: tuple[str, str]) -> bytes:
    whole = peer.response(stream_id, *more) + peer.data(stream_id, peer.message(b"ok"))
    return whole + peer.trailers(stream_id)


async def call(channel: Http2Channel) -> bytes:
    attempts = one_endpoint(channel)
    return (await asyncio.wait_for(attempts.call(method("M"), b"x", [], 5), 10)).message


def code(number: int) -> bytes:
    return number.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("script", "status", "says"),
    [
        pytest.param(
            lambda s: peer.headers(s, (":status", "503"), end=True),
            Code.UNAVAILABLE,
            "HTTP status 503",
            id="an intermediary's 503",
        ),
        pytest.param(
            lambda s: (
                peer.headers(s, (":status", "404"), ("content-type", "text/html"))
                + peer.data(s, b"<html>", end=True)
            ),
            Code.UNIMPLEMENTED,
            "HTTP status 404",
            id="an intermediary's page",
        ),
        pytest.param(
            lambda s: peer.headers(s, (":status", "200"), ("content-type", "text/html"), end=True),
            Code.UNKNOWN,
            "HTTP status 200",
            id="not gRPC",
        ),
        pytest.param(
            lambda s: peer.response(s) + peer.data(s, peer.message(b"ok"), end=True),
            Code.INTERNAL,
            "broke the gRPC protocol",
            id="no trailers",
        ),
        pytest.param(
            lambda s: (
                peer.response(s, ("grpc-encoding", "gzip"))
                + peer.data(s, b"\x02" + peer.message(gzip.compress(b"ok"))[1:])
                + peer.trailers(s)
            ),
            Code.INTERNAL,
            "broke the gRPC protocol",
            id="a message's flag that is neither 0 nor 1",
        ),
        pytest.param(
            lambda s: peer.response(s) + peer.headers(s, ("x-a", "1"), end=True),
            Code.UNKNOWN,
            "without a status",
            id="no grpc-status",
        ),
        pytest.param(
            lambda s: peer.response(s) + peer.trailers(s),
            Code.INTERNAL,
            "broke the gRPC protocol",
            id="no message",
        ),
        pytest.param(
            lambda s: peer.response(s) + peer.data(s, peer.message(b"ok") * 2) + peer.trailers(s),
            Code.INTERNAL,
            "broke the gRPC protocol",
            id="two messages",
        ),
        pytest.param(
            lambda s: peer.response(s) + peer.data(s, b"\0\0\0\0\x05ab") + peer.trailers(s),
            Code.INTERNAL,
            "broke the gRPC protocol",
            id="half a message",
        ),
        pytest.param(
            lambda s: peer.response(s) + peer.data(s, b"\0\x7f\xff\xff\xff") + peer.trailers(s),
            Code.RESOURCE_EXHAUSTED,
            "larger than",
            id="a huge message announced",
        ),
        *[
            pytest.param(
                lambda s, bad=bad: (
                    peer.response(s, bad) + peer.data(s, peer.message(b"ok")) + peer.trailers(s)
                ),
                Code.INTERNAL,
                "broke the gRPC protocol",
                id=f"a header {bad}",
            )
            for bad in [
                ("x-a", "1\r\nset-cookie: a=b"),
                ("x-a", "\0"),
                ("X-Upper", "1"),
                ("x a", "1"),
                ("", "1"),
                (":path", "/"),
                ("content-length", "6"),
                ("content-length", "8"),
                ("content-length", "7, 7"),
            ]
        ],
        pytest.param(
            lambda s: (
                peer.response(s)
                + peer.data(s, peer.message(b"ok"))
                + peer.trailers(s, "0", ("x-a", "\n"))
            ),
            Code.INTERNAL,
            "broke the gRPC protocol",
            id="a bad trailer",
        ),
        pytest.param(
            lambda s: peer.response(s) + peer.data(s, b"\2\0\0\0\0") + peer.trailers(s),
            Code.INTERNAL,
            "broke the gRPC protocol",
            id="a flag there is not",
        ),
        pytest.param(
            lambda s: peer.frame(frames.RST_STREAM, 0, s, code(8)),
            Code.CANCELLED,
            "ended the call",
            id="reset with CANCEL",
        ),
        pytest.param(
            lambda s: peer.frame(frames.RST_STREAM, 0, s, code(2)),
            Code.INTERNAL,
            "ended the call",
            id="reset with INTERNAL_ERROR",
        ),
        pytest.param(
            lambda s: peer.frame(frames.RST_STREAM, 0, s, code(11)),
            Code.RESOURCE_EXHAUSTED,
            "ended the call",
            id="reset with ENHANCE_YOUR_CALM",
        ),
        pytest.param(
            lambda s: (
                peer.frame(frames.HEADERS, 0, s, b"x")
                + peer.frame(frames.CONTINUATION, 0, s) * 20_000
            ),
            Code.UNAVAILABLE,
            "unavailable",
            id="continuation flood",
        ),
        pytest.param(
            lambda _: peer.frame(frames.PING, 0, 0, bytes(8)) * 5_000,
            Code.UNAVAILABLE,
            "unavailable",
            id="ping flood",
        ),
        pytest.param(lambda _: b"garbage" * 100, Code.UNAVAILABLE, "unavailable", id="garbage"),
        pytest.param(
            lambda s: (
                peer.response(s, ("grpc-encoding", "gzip"))
                + peer.data(s, peer.message(gzip.compress(bytes(5_000_000)), packed=True))
                + peer.trailers(s)
            ),
            Code.RESOURCE_EXHAUSTED,
            "larger than",
            id="gzip bomb",
        ),
        pytest.param(
            lambda s: (
                peer.response(s) + peer.data(s, peer.message(b"zz", packed=True)) + peer.trailers(s)
            ),
            Code.INTERNAL,
            "broke the gRPC protocol",
            id="compressed without saying how",
        ),
    ],
)
async def test_a_bad_answer_is_an_error_in_our_words(
    script: Script, status: Code, says: str
) -> None:
    async with channel_to(Scripted(script), max_message_bytes=1_000_000) as channel:
        with pytest.raises(StatusError) as raised:
            await call(channel)
    assert raised.value.code is status
    assert says in raised.value.message


async def test_an_answer_that_is_as_long_as_it_says_is_taken() -> None:
    def script(stream_id: int) -> bytes:
        opened = peer.response(stream_id, ("content-length", "7"))
        return opened + peer.data(stream_id, peer.message(b"ok")) + peer.trailers(stream_id)

    async with channel_to(Scripted(script)) as channel:
        assert await call(channel) == b"ok"
        assert await call(channel) == b"ok"


async def test_a_compressed_answer_is_inflated() -> None:
    def script(stream_id: int) -> bytes:
        packed = peer.message(gzip.compress(b"hello"), packed=True)
        opened = peer.response(stream_id, ("grpc-encoding", "gzip"))
        return opened + peer.data(stream_id, packed) + peer.trailers(stream_id)

    async with channel_to(Scripted(script)) as channel:
        assert await call(channel) == b"hello"


def begun(stream_id: int) -> bytes:
    """A reply of 3 MB of which nearly a window has come."""
    start = (3_000_000).to_bytes(5, "big") + bytes(16_379)
    rest = peer.data(stream_id, bytes(16_384)) * 39
    return peer.response(stream_id) + peer.data(stream_id, start) + rest


def windows_opened(server: Scripted) -> int:
    return sum(kind == frames.WINDOW_UPDATE for kind, _ in server.received) - 1  # at the start


@pytest.mark.parametrize("ends", ["by the client", "by the back end"])
async def test_large_replies_over_the_budget_wait_at_the_back_end(ends: str) -> None:
    server = Scripted(begun, begun, answer)
    async with channel_to(server, large_replies_bytes=4_000_000) as channel:
        first = asyncio.create_task(call(channel))
        await until(lambda: windows_opened(server) == 1)
        second = asyncio.create_task(call(channel))
        await until(lambda: server.calls == 2)
        assert await call(channel) == b"ok"  # small ones pass, and come after what was sent before
        assert windows_opened(server) == 1
        if ends == "by the client":
            first.cancel()
        else:
            server.writers[0].write(peer.frame(frames.RST_STREAM, 0, 1, code(2)))
        await until(lambda: windows_opened(server) == 2)
        second.cancel()
        await asyncio.wait([first, second])


async def test_all_large_replies_arrive_within_the_budget() -> None:
    size = 2_000_000
    async with bytes_backend() as server:
        upstream = Upstream(target=server.target, large_replies_bytes=3_000_000)
        channel = Http2Channel("library", upstream)

        async def received() -> int:
            """The size of a reply, which is dropped: one that is kept keeps its share."""
            return len((await channel.call(method("Sized"), b"%d" % size, [], 30)).message)

        try:
            sizes = await asyncio.gather(*(received() for _ in range(8)))
        finally:
            await channel.close()
    assert sizes == [size] * 8


async def test_a_refused_stream_is_sent_again() -> None:
    def refuse(stream_id: int) -> bytes:
        return peer.frame(frames.RST_STREAM, 0, stream_id, code(7))

    server = Scripted(refuse, answer)
    async with channel_to(server) as channel:
        assert await call(channel) == b"ok"
    assert server.calls == 2


async def test_a_back_end_that_always_refuses_is_unavailable() -> None:
    server = Scripted(lambda s: peer.frame(frames.RST_STREAM, 0, s, code(7)))
    async with channel_to(server) as channel:
        with pytest.raises(StatusError, match="unavailable"):
            await call(channel)
    assert server.calls == 3


async def test_a_call_that_a_goodbye_left_out_moves_to_another_connection() -> None:
    goodbye = peer.frame(frames.GOAWAY, 0, 0, bytes(8))
    server = Scripted(lambda _: goodbye, answer)
    async with channel_to(server) as channel:
        assert await call(channel) == b"ok"
    assert server.connections == 2


async def test_calls_over_the_peers_limit_wait_or_take_another_connection() -> None:
    server = Scripted(answer, greeting=peer.settings((frames.MAX_CONCURRENT_STREAMS, 1)))
    async with channel_to(server) as channel:
        await call(channel)
        replies = await asyncio.gather(*(call(channel) for _ in range(50)))
    assert replies == [b"ok"] * 50
    assert server.connections <= 8


async def test_a_server_that_allows_no_calls_costs_the_deadline_and_no_more() -> None:
    server = Scripted(answer, greeting=peer.settings((frames.MAX_CONCURRENT_STREAMS, 0)))
    codes = []
    async with channel_to(server) as channel:
        # Some calls may be on their way before the server has said that it allows none.
        for _ in range(10):
            try:
                await asyncio.wait_for(channel.call(method("M"), b"", [], 0.2), 5)
            except StatusError as error:
                codes.append(error.code)
    assert codes
    assert set(codes) == {Code.DEADLINE_EXCEEDED}


async def test_a_server_that_never_greets_costs_the_deadline_and_no_more() -> None:
    server = Scripted(lambda _: b"", greeting=b"")
    async with channel_to(server) as channel:
        with pytest.raises(StatusError) as raised:
            await asyncio.wait_for(channel.call(method("M"), b"", [], 0.3), 5)
    assert raised.value.code is Code.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("size", "is_sent"), [(100, True), (2_000, True), (7_000, False)], ids=["small", "fits", "not"]
)
async def test_metadata_stays_below_what_the_peer_takes(size: int, is_sent: bool) -> None:
    limit = peer.settings((frames.MAX_HEADER_LIST_SIZE, 4_000))
    metadata: list[tuple[str, str | bytes]] = [("x-large", "a" * size)]
    async with channel_to(Scripted(answer, greeting=limit)) as channel:
        await call(channel)  # what is sent before the greeting is read, knows no limit
        if is_sent:
            assert (await channel.call(method("M"), b"", metadata, 5)).message == b"ok"
            return
        with pytest.raises(StatusError, match="larger than the 4000 bytes") as raised:
            await channel.call(method("M"), b"", metadata, 5)
        assert (raised.value.code, raised.value.http_status) == (Code.RESOURCE_EXHAUSTED, 431)
        await call(channel)


async def test_a_tls_server_without_http_2_is_unavailable(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = await asyncio.start_server(Scripted(answer).serve, "127.0.0.1", 0, ssl=context)
    async with server:
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        tls = TlsClient(ca_file=tmp_path / "ca.pem")
        channel = Http2Channel("library", Upstream(target=target, tls=tls))
        with pytest.raises(StatusError) as raised:
            await channel.call(method("M"), b"", [], 5)
        await channel.close()
    assert raised.value.code is Code.UNAVAILABLE


@pytest.mark.parametrize(("resets", "is_served"), [(1, True), (2, False)], ids=["one", "two"])
async def test_one_connection_that_is_reset_fails_no_call(resets: int, is_served: bool) -> None:
    scripted, tries = Scripted(answer), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        if tries <= resets:
            writer.transport.abort()
        else:
            await scripted.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        channel = Http2Channel("library", Upstream(target=target))
        outcome = (await asyncio.gather(call(channel), return_exceptions=True))[0]
        await channel.close()
        await asyncio.sleep(0.05)
    assert (outcome == b"ok") is is_served
    assert tries == 2


@pytest.mark.parametrize("held", [0.15, None], ids=["late", "in time"])
async def test_a_lost_connection_is_no_other_failure_after_the_deadline(held: float | None) -> None:
    server = Scripted(lambda _: b"")
    async with channel_to(server) as channel:
        channel._sweeping = True  # the sweep that would come first, is not what is tested
        pending = asyncio.ensure_future(channel.call(method("M"), b"", [], 0.1 if held else 10))
        await until(lambda: server.calls == 1)
        if held:
            await asyncio.sleep(held)
        server.writers[0].close()
        with pytest.raises(StatusError) as raised:
            await asyncio.wait_for(pending, 5)
    assert raised.value.code is (Code.DEADLINE_EXCEEDED if held else Code.UNAVAILABLE)


async def test_a_hostile_upstream_harms_no_other() -> None:
    flood = Scripted(lambda _: peer.frame(frames.PING, 0, 0, bytes(8)) * 5_000)
    async with bytes_backend() as backend, channel_to(flood) as bad:
        good = Http2Channel("good", Upstream(target=backend.target))
        attacks = asyncio.gather(*(call(bad) for _ in range(20)), return_exceptions=True)
        replies = await asyncio.gather(
            *(good.call(method("Echo"), b"x", [], 10) for _ in range(100))
        )
        assert [reply.message for reply in replies] == [b"x"] * 100
        assert all(isinstance(outcome, StatusError) for outcome in await attacks)
        await good.close()

"""What every channel does alike, against a real gRPC server."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from gateway.call import RequestBytes
from gateway.config.upstreams import TlsClient
from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from tests.support.calls import Open, failure, sent
from tests.support.grpc_backend import Backend, bytes_backend, method
from tests.support.polling import still


def ours(metadata: list[tuple[str, str | bytes]]) -> dict[str, list[bytes] | str]:
    """The values of each `x-` name in order, as they may be joined (RFC 9110 section 5.3).

    grpcio keeps no order between names, grpc-js joins the values of one.
    """
    found: dict[str, list[bytes] | str] = {}
    for name in {name for name, _ in metadata if name.startswith("x-")}:
        values = [v for n, v in metadata if n == name]
        texts = [v for v in values if isinstance(v, str)]
        found[name] = ", ".join(texts) or [v for v in values if isinstance(v, bytes)]
    return found


@pytest.mark.parametrize("message", [b"", b"x", bytes(5_000_000)], ids=["empty", "one", "5 MB"])
async def test_a_unary_message_goes_and_comes_back(channel: Channel, message: bytes) -> None:
    assert (await channel.call(method("Echo"), message, [], 10)).message == message


async def test_metadata_goes_both_ways_in_order(channel: Channel, backend: Backend) -> None:
    metadata: list[tuple[str, str | bytes]] = [
        ("x-a", "1"),
        ("x-b", "two words, and a comma"),
        ("x-a", "2"),
        ("x-data-bin", b"\x00\x01\xff"),
        ("x-data-bin", b""),
    ]
    reply = await channel.call(method("Echo"), b"", metadata, None)
    assert ours(backend.seen.metadata) == ours(metadata)
    assert ours(reply.metadata) == ours(metadata)
    assert ("t-one", "1") in reply.trailers
    assert ("t-bin", b"\x00\xff") in reply.trailers
    assert not [name for name, _ in reply.trailers if name.startswith("grpc-")]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("X-Upper", "1", "'X-Upper' is not a metadata name"),
        ("x y", "1", "'x y' is not a metadata name"),
        ("", "1", "'' is not a metadata name"),
        (":path", "1", "':path' is not a metadata name"),
        ("grpc-timeout", "1S", "'grpc-timeout' is not a metadata name"),
        ("x-a", "1\r\nx-b: 2", "the value of x-a is not printable ASCII"),
        ("x-a", "\x01", "the value of x-a is not printable ASCII"),
        ("x-a", "\N{LATIN SMALL LETTER E WITH ACUTE}", "the value of x-a is not printable ASCII"),
        ("x-a", b"1", "x-a has a value of the wrong kind: bytes go with -bin"),
        ("x-a-bin", "1", "x-a-bin has a value of the wrong kind: bytes go with -bin"),
    ],
)
async def test_metadata_that_grpc_cannot_carry_is_a_clear_failure(
    channel: Channel, caplog: pytest.LogCaptureFixture, name: str, value: str | bytes, says: str
) -> None:
    async def call(kind: str, request: RequestBytes, **sides: bool) -> None:
        reply = await channel.call(method(kind, **sides), request, [(name, value)], 10)
        if reply.messages is not None:
            async for _ in reply.messages:
                pass

    for calling in (
        call("Echo", b""),
        call("Count", b"1", server_streaming=True),
        call("Collect", sent(b"a"), client_streaming=True),
        call("Talk", sent(b"a"), client_streaming=True, server_streaming=True),
    ):
        caplog.clear()
        error = await failure(calling)
        assert error.code is Code.INTERNAL
        assert error.message == f"metadata cannot be sent: {says}"
        (record,) = caplog.records
        assert record.getMessage() == f"a call to upstream library was not sent: {says}"
        assert record.__dict__["gateway_event"] == "gateway.upstream.metadata_invalid"


async def test_the_gateway_names_itself(channel: Channel, backend: Backend) -> None:
    await channel.call(method("Echo"), b"", [], None)
    assert str(dict(backend.seen.metadata)["user-agent"]).startswith("grpc-rest-gateway")


@pytest.mark.parametrize("code", [c for c in Code if c is not Code.OK])
async def test_every_code_arrives_with_message_details_and_metadata(
    channel: Channel, code: Code
) -> None:
    error = await failure(
        channel.call(method("Fail"), f"{int(code)} déjà 100%25 vu\n".encode(), [], 10)
    )
    assert error.code is code
    assert error.message == "déjà 100%25 vu\n"
    assert [d.type_url for d in error.details] == [
        "type.googleapis.com/google.protobuf.StringValue"
    ]
    assert ("x-before", "1") in error.metadata
    assert ("x-after", "2") in error.trailers


async def test_a_reply_of_trailers_only_is_an_error(channel: Channel) -> None:
    error = await failure(channel.call(method("AbortNow"), b"", [], 10))
    assert (error.code, error.message) == (Code.NOT_FOUND, "gone")


async def test_an_unknown_method_is_unimplemented(channel: Channel) -> None:
    error = await failure(channel.call(method("Nothing"), b"", [], 10))
    assert error.code is Code.UNIMPLEMENTED


async def test_a_deadline_ends_the_call_on_both_sides(channel: Channel, backend: Backend) -> None:
    error = await failure(channel.call(method("Hang"), b"", [], 0.2))
    assert error.code is Code.DEADLINE_EXCEEDED
    assert error.message == "the call did not finish in time"
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_cancelling_the_caller_cancels_the_call(channel: Channel, backend: Backend) -> None:
    task = asyncio.ensure_future(channel.call(method("Hang"), b"", [], None))
    await asyncio.wait_for(backend.seen.started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_a_reply_over_the_limit_is_refused(open_channel: Open, backend: Backend) -> None:
    async with open_channel(backend.target, max_message_bytes=1000) as channel:
        assert len((await channel.call(method("Sized"), b"900", [], 5)).message) == 900
        error = await failure(channel.call(method("Sized"), b"1001", [], 5))
        assert error.code is Code.RESOURCE_EXHAUSTED
        assert error.message == "the back end's reply is larger than 1000 bytes"
        assert len((await channel.call(method("Sized"), b"900", [], 5)).message) == 900


async def test_an_unreachable_back_end_is_unavailable_at_once(open_channel: Open) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with open_channel(f"127.0.0.1:{taken.getsockname()[1]}") as channel:
            error = await failure(asyncio.wait_for(channel.call(method("Echo"), b"", [], 20), 5))
    assert error.code is Code.UNAVAILABLE
    assert error.message == 'upstream "library" is unavailable'


async def test_a_server_that_stops_in_mid_call_is_unavailable(
    channel: Channel, backend: Backend
) -> None:
    task = asyncio.ensure_future(channel.call(method("Hang"), b"", [], 20))
    await asyncio.wait_for(backend.seen.started.wait(), 5)
    await backend.stop()
    error = await failure(asyncio.wait_for(task, 5))
    assert error.code in (Code.UNAVAILABLE, Code.CANCELLED)


async def test_a_server_that_comes_back_is_used_again(open_channel: Open) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    async with open_channel(address) as channel:
        async with bytes_backend(address):
            assert (await channel.call(method("Echo"), b"1", [], 5)).message == b"1"
        await failure(channel.call(method("Echo"), b"2", [], 5))
        async with bytes_backend(address):
            await _until_answered(channel)


async def _until_answered(channel: Channel) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await channel.call(method("Echo"), b"3", [], 5)
            except StatusError:
                await asyncio.sleep(0.1)
            else:
                return


async def test_two_hundred_calls_at_once_are_not_mixed_up(channel: Channel) -> None:
    replies = await asyncio.gather(
        *(channel.call(method("Echo"), str(i).encode(), [], 10) for i in range(200))
    )
    assert [reply.message for reply in replies] == [str(i).encode() for i in range(200)]


async def test_a_server_stream_hands_out_its_messages(channel: Channel) -> None:
    reply = await channel.call(method("Count", server_streaming=True), b"5", [], 10)
    assert reply.messages is not None
    assert ("x-count", "5") in reply.metadata
    assert [message async for message in reply.messages] == [b"0", b"1", b"2", b"3", b"4"]


async def test_an_empty_server_stream_ends_well(channel: Channel) -> None:
    reply = await channel.call(method("Count", server_streaming=True), b"0", [], 10)
    assert reply.messages is not None
    assert [message async for message in reply.messages] == []


async def test_a_stream_that_fails_first_is_an_error_of_the_call(channel: Channel) -> None:
    error = await failure(channel.call(method("Count", server_streaming=True), b"0 !", [], 10))
    assert (error.code, error.message) == (Code.DATA_LOSS, "lost")


async def test_a_stream_that_fails_later_hands_out_what_came_before(channel: Channel) -> None:
    reply = await channel.call(method("Count", server_streaming=True), b"3 !", [], 10)
    assert reply.messages is not None
    assert [await anext(reply.messages) for _ in range(3)] == [b"0", b"1", b"2"]
    with pytest.raises(StatusError, match="lost"):
        await anext(reply.messages)


async def test_closing_a_stream_early_cancels_it_at_the_server(
    channel: Channel, backend: Backend
) -> None:
    reply = await channel.call(method("Flood", server_streaming=True), b"", [], None)
    assert reply.messages is not None
    assert len(await anext(reply.messages)) == 100_000
    await reply.messages.aclose()
    await asyncio.wait_for(backend.seen.cancelled.wait(), 1)


async def test_a_slow_reader_holds_the_server_back(channel: Channel, backend: Backend) -> None:
    reply = await channel.call(method("Flood", server_streaming=True), b"", [], None)
    assert reply.messages is not None
    await anext(reply.messages)
    # Flow control stops a producer whose data is not read.
    assert await still(lambda: backend.seen.produced) < 400
    await reply.messages.aclose()


async def test_a_client_stream_is_sent_message_by_message(channel: Channel) -> None:
    streaming = method("Collect", client_streaming=True)
    reply = await channel.call(streaming, sent(b"a", b"", b"c"), [], 10)
    assert reply.message == b"a,,c"


async def test_a_bidi_stream_goes_both_ways_at_once(channel: Channel) -> None:
    questions: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def ask() -> AsyncGenerator[bytes]:
        while (question := await questions.get()) is not None:
            yield question

    questions.put_nowait(b"abc")
    talk = method("Talk", client_streaming=True, server_streaming=True)
    reply = await channel.call(talk, ask(), [], 10)
    assert reply.messages is not None
    assert await anext(reply.messages) == b"cba"
    questions.put_nowait(b"xyz")
    assert await anext(reply.messages) == b"zyx"
    questions.put_nowait(None)
    assert await anext(reply.messages, None) is None


async def test_closing_lets_calls_under_way_finish(open_channel: Open, backend: Backend) -> None:
    async with open_channel(backend.target) as channel:
        task = asyncio.ensure_future(channel.call(method("Brief"), b"", [], 10))
        await asyncio.wait_for(backend.seen.started.wait(), 5)
        await channel.close(5)
        assert (await task).message == b"done"


async def test_a_unix_socket_is_a_target_too(open_channel: Open, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    async with bytes_backend(address), open_channel(address) as channel:
        assert (await channel.call(method("Echo"), b"x", [], 5)).message == b"x"


async def test_an_ipv6_address_is_a_target_too(open_channel: Open) -> None:
    if not has_ipv6():
        pytest.skip("needs IPv6: an address of the machine's own")
    async with bytes_backend("[::1]:0") as backend, open_channel(backend.target) as channel:
        assert (await channel.call(method("Echo"), b"x", [], 5)).message == b"x"


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def test_a_name_is_tried_at_each_of_its_addresses(
    open_channel: Open, backend: Backend
) -> None:
    # localhost may be ::1 too, where nobody listens.
    target = backend.target.replace("127.0.0.1", "localhost")
    async with open_channel(target) as channel:
        assert (await channel.call(method("Echo"), b"x", [], 5)).message == b"x"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def tls_files(authority: trustme.CA, place: Path, *, client: bool = False) -> dict[str, Path]:
    files = {"ca_file": place / "ca.pem"}
    authority.cert_pem.write_to_path(files["ca_file"])
    if client:
        certificate = authority.issue_cert("gateway@example.org")
        files |= {"cert_file": place / "cert.pem", "key_file": place / "key.pem"}
        certificate.private_key_pem.write_to_path(files["key_file"])
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(files["cert_file"], append=True)
    return files


def server_credentials(authority: trustme.CA, name: str, *, mutual: bool) -> Any:
    certificate = authority.issue_cert(name)
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    return grpc.ssl_server_credentials(
        [(certificate.private_key_pem.bytes(), chain)],
        root_certificates=authority.cert_pem.bytes() if mutual else None,
        require_client_auth=mutual,
    )


async def test_tls_with_a_name_of_its_own(
    open_channel: Open, authority: trustme.CA, tmp_path: Path
) -> None:
    credentials = server_credentials(authority, "library.internal", mutual=False)
    tls = TlsClient(server_name="library.internal", **tls_files(authority, tmp_path))
    async with (
        bytes_backend(credentials=credentials) as backend,
        open_channel(backend.target, tls=tls) as channel,
    ):
        assert (await channel.call(method("Echo"), b"x", [], 5)).message == b"x"


@pytest.mark.parametrize("client", [True, False], ids=["certificate", "none"])
async def test_mutual_tls_wants_the_gateways_certificate(
    open_channel: Open, authority: trustme.CA, tmp_path: Path, client: bool
) -> None:
    credentials = server_credentials(authority, "localhost", mutual=True)
    files = tls_files(authority, tmp_path, client=client)
    tls = TlsClient(server_name="localhost", **files)
    async with (
        bytes_backend(credentials=credentials) as backend,
        open_channel(backend.target, tls=tls) as channel,
    ):
        call = channel.call(method("Echo"), b"x", [], 5)
        if client:
            assert (await call).message == b"x"
        else:
            assert (await failure(call)).code is Code.UNAVAILABLE


async def test_a_certificate_of_another_authority_is_not_trusted(
    open_channel: Open, authority: trustme.CA, tmp_path: Path
) -> None:
    credentials = server_credentials(trustme.CA(), "localhost", mutual=False)
    tls = TlsClient(server_name="localhost", **tls_files(authority, tmp_path))
    async with (
        bytes_backend(credentials=credentials) as backend,
        open_channel(backend.target, tls=tls) as channel,
    ):
        error = await failure(channel.call(method("Echo"), b"x", [], 5))
        assert (error.code, error.message) == (
            Code.UNAVAILABLE,
            'upstream "library" is unavailable',
        )

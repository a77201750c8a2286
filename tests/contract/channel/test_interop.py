"""gRPC's own interop cases against grpc-go's interop service, through each channel.

What each case sends and wants is written in gRPC's doc/interop-test-descriptions.md.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import cache
from typing import Any

import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from gateway.call import Metadata, Reply
from gateway.schema.catalog import Method, Source
from gateway.status import Code
from gateway.upstream.channels.channel import Channel
from tests.interop.servers import HERE, foreign_backend
from tests.support.calls import Open, failure, sent
from tests.support.schema import descriptor_pool, descriptor_set

SERVICE = "grpc.testing.TestService"
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


@cache
def pool() -> DescriptorPool:
    text = (HERE / "testing.proto").read_text(encoding="utf-8")
    return descriptor_pool(descriptor_set(testing=text))


def message(name: str, **fields: Any) -> Any:
    return GetMessageClass(pool().FindMessageTypeByName(f"grpc.testing.{name}"))(**fields)


def method(name: str, service: str = SERVICE) -> Method:
    found = pool().FindServiceByName(service).methods_by_name[name]
    sides = found.client_streaming, found.server_streaming
    return Method(service, name, found.input_type, found.output_type, *sides, (), Source("testing"))


def payload(size: int) -> Any:
    return message("Payload", body=bytes(size))


def wanted(*sizes: int, **fields: Any) -> bytes:
    """A request for replies of these sizes."""
    parameters = [message("ResponseParameters", size=size) for size in sizes]
    request = message("StreamingOutputCallRequest", response_parameters=parameters, **fields)
    encoded: bytes = request.SerializeToString()
    return encoded


def size(reply: bytes, name: str = "StreamingOutputCallResponse") -> int:
    return len(message(name).FromString(reply).payload.body)


def replies(reply: Reply) -> AsyncGenerator[bytes]:
    assert reply.messages is not None
    return reply.messages


@pytest.fixture
async def server(open_channel: Open, go_server: int) -> AsyncIterator[Channel]:
    async with foreign_backend(go_server) as backend, open_channel(backend.target) as channel:
        yield channel


async def test_empty_unary(server: Channel) -> None:
    assert (await server.call(method("EmptyCall"), b"", [], 10)).message == b""


async def test_large_unary(server: Channel) -> None:
    request = message("SimpleRequest", response_size=314159, payload=payload(271828))
    reply = await server.call(method("UnaryCall"), request.SerializeToString(), [], 10)
    assert size(reply.message, "SimpleResponse") == 314159


async def test_client_streaming(server: Channel) -> None:
    parts = [
        message("StreamingInputCallRequest", payload=payload(size)).SerializeToString()
        for size in (27182, 8, 1828, 45904)
    ]
    reply = await server.call(method("StreamingInputCall"), sent(*parts), [], 10)
    answer = message("StreamingInputCallResponse").FromString(reply.message)
    assert answer.aggregated_payload_size == 74922


async def test_server_streaming(server: Channel) -> None:
    sizes = [31415, 9, 2653, 58979]
    reply = await server.call(method("StreamingOutputCall"), wanted(*sizes), [], 10)
    assert [size(part) async for part in replies(reply)] == sizes


async def test_ping_pong(server: Channel) -> None:
    pings: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def ask() -> AsyncGenerator[bytes]:
        while (ping := await pings.get()) is not None:
            yield ping

    pings.put_nowait(wanted(31415, payload=payload(27182)))
    talk = await server.call(method("FullDuplexCall"), ask(), [], 10)
    pongs = [size(await anext(replies(talk)))]
    for answer, question in ((9, 8), (2653, 1828), (58979, 45904)):
        pings.put_nowait(wanted(answer, payload=payload(question)))
        pongs.append(size(await anext(replies(talk))))
    pings.put_nowait(None)
    assert pongs == [31415, 9, 2653, 58979]
    assert await anext(replies(talk), None) is None


async def test_empty_stream(server: Channel) -> None:
    talk = await server.call(method("FullDuplexCall"), sent(), [], 10)
    assert [part async for part in replies(talk)] == []


ECHOED: Metadata = [(INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab")]


async def test_custom_metadata_of_a_unary_call(server: Channel) -> None:
    request = message("SimpleRequest", response_size=314159, payload=payload(271828))
    reply = await server.call(method("UnaryCall"), request.SerializeToString(), ECHOED, 10)
    assert ECHOED[0] in reply.metadata
    assert ECHOED[1] in reply.trailers


async def test_custom_metadata_of_a_stream(server: Channel) -> None:
    request = wanted(314159, payload=payload(271828))
    reply = await server.call(method("FullDuplexCall"), sent(request), ECHOED, 10)
    assert ECHOED[0] in reply.metadata
    assert [size(part) async for part in replies(reply)] == [314159]
    assert ECHOED[1] in reply.trailers


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param(2, "test status message", id="status code and message"),
        pytest.param(2, SPECIAL, id="special status message"),
    ],
)
async def test_a_status_arrives_as_it_was_said(server: Channel, code: int, text: str) -> None:
    status = message("EchoStatus", code=code, message=text)
    request = message("SimpleRequest", response_status=status).SerializeToString()
    unary = await failure(server.call(method("UnaryCall"), request, [], 10))
    requests = sent(wanted(response_status=status))
    stream = await failure(server.call(method("FullDuplexCall"), requests, [], 10))
    assert [(error.code, error.message) for error in (unary, stream)] == [(Code(code), text)] * 2


@pytest.mark.parametrize("service", [SERVICE, "grpc.testing.UnimplementedService"])
async def test_what_is_not_there_is_unimplemented(server: Channel, service: str) -> None:
    error = await failure(server.call(method("UnimplementedCall", service), b"", [], 10))
    assert error.code is Code.UNIMPLEMENTED


async def test_cancel_after_begin(server: Channel) -> None:
    never = asyncio.Event()

    async def nothing() -> AsyncGenerator[bytes]:
        await never.wait()
        yield b""

    call = asyncio.ensure_future(server.call(method("StreamingInputCall"), nothing(), [], None))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_cancel_after_first_response(server: Channel) -> None:
    never = asyncio.Event()

    async def ask() -> AsyncGenerator[bytes]:
        yield wanted(31415, payload=payload(27182))
        await never.wait()

    talk = await server.call(method("FullDuplexCall"), ask(), [], None)
    async with aclosing(replies(talk)) as parts:
        assert size(await anext(parts)) == 31415
    with pytest.raises(StopAsyncIteration):
        await anext(replies(talk))


async def test_timeout_on_sleeping_server(server: Channel) -> None:
    async def ask() -> AsyncGenerator[bytes]:
        yield wanted(payload=payload(27182))
        await asyncio.sleep(10)

    error = await failure(server.call(method("FullDuplexCall"), ask(), [], 0.001))
    assert (error.code, error.message) == (
        Code.DEADLINE_EXCEEDED,
        "the call did not finish in time",
    )

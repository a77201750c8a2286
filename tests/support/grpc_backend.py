"""A real gRPC server of bytes: what each method does is a short function; what it saw is kept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.empty_pb2 import DESCRIPTOR as EMPTY
from google.rpc import status_pb2

from gateway.schema.catalog import Method, Source

SERVICE = "test.v1.Bytes"
Context = Any


def method(name: str, *, client_streaming: bool = False, server_streaming: bool = False) -> Method:
    """The record a channel needs to call `name`."""
    message = EMPTY.message_types_by_name["Empty"]
    return Method(
        SERVICE, name, message, message, client_streaming, server_streaming, (), Source("test")
    )


@dataclass
class Seen:
    """What the server saw."""

    metadata: list[tuple[str, str | bytes]] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    produced: int = 0


def _handlers(seen: Seen) -> dict[str, Any]:  # noqa: C901 - many short functions, not one long
    async def notice_cancellation() -> None:
        # grpcio ends a cancelled request stream like a complete one, and cancels a moment later.
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            seen.cancelled.set()
            raise

    async def echo(request: bytes, context: Context) -> bytes:
        seen.metadata = list(context.invocation_metadata())
        answered = [(k, v) for k, v in seen.metadata if k.startswith("x-")]
        await context.send_initial_metadata(answered)
        context.set_trailing_metadata((("t-one", "1"), ("t-bin", b"\x00\xff")))
        return request

    async def sized(request: bytes, context: Context) -> bytes:
        return bytes(int(request))

    async def sized_gzip(request: bytes, context: Context) -> bytes:
        context.set_compression(grpc.Compression.Gzip)
        return bytes(int(request))

    async def fail(request: bytes, context: Context) -> bytes:
        code, _, message = request.decode().partition(" ")
        detail = any_pb2.Any()
        detail.Pack(wrappers_pb2.StringValue(value="why"))
        status = status_pb2.Status(code=int(code), message=message, details=[detail])
        await context.send_initial_metadata((("x-before", "1"),))
        context.set_trailing_metadata(
            (("grpc-status-details-bin", status.SerializeToString()), ("x-after", "2"))
        )
        codes = {c.value[0]: c for c in grpc.StatusCode}
        await context.abort(codes[int(code)], message)
        raise AssertionError("abort raises")

    async def abort_now(request: bytes, context: Context) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        raise AssertionError("abort raises")

    async def refuse(request: bytes, context: Context) -> bytes:
        code, _, message = request.decode().partition(" ")
        codes = {c.value[0]: c for c in grpc.StatusCode}
        await context.abort(codes[int(code)], message)
        raise AssertionError("abort raises")

    async def hang(request: bytes, context: Context) -> bytes:
        seen.started.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.cancelled.set()
            raise
        return b""

    async def brief(request: bytes, context: Context) -> bytes:
        seen.started.set()
        await asyncio.sleep(0.3)
        return b"done"

    async def count(request: bytes, context: Context) -> AsyncIterator[bytes]:
        number, _, code = request.decode().partition(" ")
        await context.send_initial_metadata((("x-count", number),))
        context.set_trailing_metadata((("t-count", number),))
        for i in range(int(number)):
            yield str(i).encode()
        if code:
            await context.abort(grpc.StatusCode.DATA_LOSS, "lost")

    async def flood(request: bytes, context: Context) -> AsyncIterator[bytes]:
        seen.started.set()
        try:
            while True:
                seen.produced += 1
                yield bytes(100_000)
        finally:
            seen.cancelled.set()

    async def large(request: bytes, context: Context) -> AsyncIterator[bytes]:
        number, size = map(int, request.split())
        for _ in range(number):
            yield bytes(size)

    async def large_gzip(request: bytes, context: Context) -> AsyncIterator[bytes]:
        context.set_compression(grpc.Compression.Gzip)
        async for message in large(request, context):
            yield message

    async def collect(requests: AsyncIterator[bytes], context: Context) -> bytes:
        collected = b",".join([request async for request in requests])
        await notice_cancellation()
        return collected

    async def talk(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request[::-1]
        await notice_cancellation()

    async def interrupt(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for _ in requests:
            await context.abort(grpc.StatusCode.DATA_LOSS, "enough")
            yield b""

    unary: dict[str, Callable[[bytes, Context], Awaitable[bytes]]] = {
        "Echo": echo,
        "Sized": sized,
        "SizedGzip": sized_gzip,
        "Fail": fail,
        "AbortNow": abort_now,
        "Refuse": refuse,
        "Hang": hang,
        "Brief": brief,
    }
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(f) for name, f in unary.items()
    }
    handlers |= {
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Large": grpc.unary_stream_rpc_method_handler(large),
        "LargeGzip": grpc.unary_stream_rpc_method_handler(large_gzip),
        "Flood": grpc.unary_stream_rpc_method_handler(flood),
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Talk": grpc.stream_stream_rpc_method_handler(talk),
        "Interrupt": grpc.stream_stream_rpc_method_handler(interrupt),
    }
    return handlers


@dataclass
class Backend:
    """A running server: its target, what it saw, and how to stop it early, with its calls."""

    target: str
    seen: Seen
    stop: Callable[[], Awaitable[None]]


@asynccontextmanager
async def bytes_backend(
    address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[Backend]:
    """The server, on a free port or a unix socket."""
    seen = Seen()
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    )
    handler = grpc.method_handlers_generic_handler(SERVICE, _handlers(seen))
    server.add_generic_rpc_handlers((handler,))
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    await server.start()
    target = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    try:
        yield Backend(target, seen, partial(server.stop, None))
    finally:
        await server.stop(None)

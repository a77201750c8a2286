"""Measures streams: a gigabyte up and down, and many messages in each format.

`python -m benchmarks.streams` takes about a minute. The gateway and the back end run in separate
processes; figures are those of the gateway.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc.aio
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from rich.console import Console
from rich.table import Table

from benchmarks.backends import started
from benchmarks.load import cpu_s, peak_mb
from benchmarks.peers import free_port, running
from gateway.schema.catalog import Schema, build_schema
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package streams.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
message Item { int32 number = 1; string text = 2; }
service Streams {
  rpc Send(stream google.api.HttpBody) returns (Item) {
    option (google.api.http) = {
      post: "/send"
      body: "*"
    };
  }
  rpc Add(stream Item) returns (Item) { option (google.api.http) = {post: "/add" body: "*"}; }
  rpc Fetch(Item) returns (stream google.api.HttpBody) {
    option (google.api.http) = {get: "/fetch"};
  }
  rpc List(Item) returns (stream Item) { option (google.api.http) = {get: "/list"}; }
}
"""
_GIGABYTE = 1_000_000_000
_PIECE = bytes(64 * 1024)
_ITEMS = 10_000
_ITEM = json.dumps({"number": 1, "text": "x" * 20_000}).encode()
_FORMATS = {
    "lines": "application/x-ndjson",
    "array": "application/json",
    "events": "text/event-stream",
    "protobuf": "application/x-protobuf",
}
Context = grpc.aio.ServicerContext[Message, Message]


def schema() -> Schema:
    """The schema of `PROTO`."""
    return build_schema(descriptor_set(streams=PROTO))


async def serve_backend() -> None:
    """Serves until it is killed; prints its address first."""
    found = schema()
    item = GetMessageClass(found.pool.FindMessageTypeByName("streams.v1.Item"))
    # Messages are created once: the back end is not measured.
    body = GetMessageClass(found.pool.FindMessageTypeByName("google.api.HttpBody"))
    piece = body(data=_PIECE).SerializeToString()
    one = item(number=1, text="x" * 60).SerializeToString()

    async def count(requests: AsyncIterator[bytes], _context: Context) -> bytes:
        total = 0
        async for request in requests:
            total += len(request) > 0
        return bytes(item(number=total).SerializeToString())

    async def fetch(_request: bytes, _context: Context) -> AsyncIterator[bytes]:
        for _ in range(_GIGABYTE // len(_PIECE)):
            yield piece

    async def items(_request: bytes, _context: Context) -> AsyncIterator[bytes]:
        for _ in range(_ITEMS):
            yield one

    server = grpc.aio.server()
    handlers: dict[str, Any] = {
        "Send": grpc.stream_unary_rpc_method_handler(count),
        "Add": grpc.stream_unary_rpc_method_handler(count),
        "Fetch": grpc.unary_stream_rpc_method_handler(fetch),
        "List": grpc.unary_stream_rpc_method_handler(items),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("streams.v1.Streams", handlers),)
    )
    print(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    await server.start()
    await server.wait_for_termination()


def send(port: int, head: str, body: Iterator[bytes]) -> bytes:
    """Sends a request with a chunked body, and reads the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock:
        sock.sendall(f"{head}\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for piece in body:
            sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        return sock.recv(65536)


def fetch(port: int, path: str, accept: str) -> int:
    """The number of bytes in the answer to a GET."""
    total = 0
    with socket.create_connection(("127.0.0.1", port), timeout=120) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\nAccept: {accept}\r\n\r\n".encode())
        while piece := sock.recv(1 << 20):
            total += len(piece)
    return total


def upload(port: int, kind: str, pieces: Iterator[bytes]) -> None:
    """Sends a body to the method that counts its messages."""
    path = "/send" if kind == "application/octet-stream" else "/add"
    answer = send(port, f"POST {path} HTTP/1.1\r\nContent-Type: {kind}", pieces)
    assert b" 200 OK" in answer, answer


def gigabyte_of_items(array: bool) -> Iterator[bytes]:  # noqa: FBT001 - internal to the benchmark
    """A gigabyte of JSON messages, as lines or as one array."""
    block = (_ITEM + (b"," if array else b"\n")) * 3
    if array:
        yield b"["
    for _ in range(_GIGABYTE // len(block)):
        yield block
    if array:
        yield _ITEM + b"]"


def measured(pid: int, work: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds, CPU seconds of the gateway, and its peak memory in MB."""
    before_s, started_s = cpu_s(pid), time.monotonic()
    work()
    return time.monotonic() - started_s, cpu_s(pid) - before_s, peak_mb(pid)


def run(channel: str, table: Table) -> None:
    """Adds the rows of a gateway with one kind of channel."""
    with TemporaryDirectory() as folder, started("benchmarks.streams") as backend:
        described = Path(folder, "streams.binpb")
        described.write_bytes(descriptor_set(streams=PROTO).SerializeToString())
        port = free_port()
        settings = {
            "listen": f"127.0.0.1:{port}",
            "descriptors": [str(described)],
            "upstreams": {"b": {"target": backend.strip(), "channel": channel}},
            "log": {"access": "off"},
        }
        config = Path(folder, "gateway.yaml")
        config.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
        with running(command, port) as pid:
            raw = "application/octet-stream"
            works: dict[str, Callable[[], object]] = {
                "1 GB up, raw": lambda: upload(
                    port, raw, (_PIECE for _ in range(_GIGABYTE // len(_PIECE)))
                ),
                "1 GB down, raw": lambda: fetch(port, "/fetch", "*/*"),
                "1 GB up, lines": lambda: upload(
                    port, _FORMATS["lines"], gigabyte_of_items(array=False)
                ),
                "1 GB up, array": lambda: upload(
                    port, _FORMATS["array"], gigabyte_of_items(array=True)
                ),
            }
            for name, media_type in _FORMATS.items():
                works[f"{_ITEMS:,} messages down, {name}"] = lambda kind=media_type: fetch(  # type: ignore[misc]
                    port, "/list", kind
                )
            for name, work in works.items():
                seconds, spent_s, peak = measured(pid, work)
                print(f"{channel}: {name}", file=sys.stderr)
                each = f"{spent_s / _ITEMS * 1e6:.1f}" if "messages" in name else ""
                table.add_row(
                    channel, name, f"{seconds:.1f}", f"{spent_s:.1f}", each, f"{peak:.0f}"
                )


def main() -> int:
    """Prints the table, or serves one side of it."""
    match sys.argv[1:]:
        case ["backend"]:
            asyncio.run(serve_backend())
        case channels:
            columns = ("channel", "", "seconds", "CPU s", "CPU µs a message", "peak MB so far")
            table = Table(*columns, title="Streams", box=None)
            for channel in channels or ("http2",):
                run(channel, table)
            Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures a thousand WebSockets that echo: CPU per message and memory per connection.

`python -m benchmarks.websockets` takes about half a minute. The gateway and the back end run in
separate processes; figures are those of the gateway.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc.aio
import yaml
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.backends import started
from benchmarks.load import cpu_s, resident_mb
from benchmarks.peers import free_port, running
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package echoing.v1;
import "google/api/annotations.proto";
message Item { int32 number = 1; string text = 2; }
service Echoing {
  rpc Echo(stream Item) returns (stream Item) {
    option (google.api.http) = {post: "/echo" body: "*"};
  }
}
"""
_SOCKETS = 1000
_ECHO_S = 12.0
_OPENING_AT_ONCE = 50
_MESSAGE = '{"number":1,"text":"%s"}' % ("x" * 60)
Context = grpc.aio.ServicerContext[Message, Message]


async def serve_backend() -> None:
    """Serves until it is killed; prints its address first."""

    async def echo(requests: AsyncIterator[bytes], _context: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Echo": grpc.stream_stream_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("echoing.v1.Echoing", handlers),)
    )
    print(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    await server.start()
    await server.wait_for_termination()


async def _open(url: str) -> list[ClientConnection]:
    turns = asyncio.Semaphore(_OPENING_AT_ONCE)

    async def one() -> ClientConnection:
        async with turns:
            return await connect(url, proxy=None, compression=None, ping_interval=None)

    return list(await asyncio.gather(*(one() for _ in range(_SOCKETS))))


async def _echo(client: ClientConnection, until_s: float) -> int:
    count = 0
    while time.monotonic() < until_s:
        await client.send(_MESSAGE)
        await client.recv()
        count += 1
    return count


async def measure(port: int, pid: int, table: Table, channel: str) -> None:
    """Adds the row of a gateway with one kind of channel."""
    before_mb = resident_mb(pid)
    clients = await _open(f"ws://127.0.0.1:{port}/echo")
    before_s, started_s = cpu_s(pid), time.monotonic()
    counts = await asyncio.gather(*(_echo(one, started_s + _ECHO_S) for one in clients))
    took_s, used_s, count = time.monotonic() - started_s, cpu_s(pid) - before_s, sum(counts)
    held_kb = (resident_mb(pid) - before_mb) * 1024 / _SOCKETS
    for client in clients:
        client.transport.abort()
    table.add_row(
        channel,
        f"{count:,}",
        f"{count / took_s:,.0f}",
        f"{used_s / count * 1e6:.0f}",
        f"{held_kb:.0f}",
    )


def run(channel: str, table: Table) -> None:
    """Starts a gateway with one kind of channel and measures it."""
    with TemporaryDirectory() as folder, started("benchmarks.websockets") as backend:
        described = Path(folder, "echoing.binpb")
        described.write_bytes(descriptor_set(echoing=PROTO).SerializeToString())
        port = free_port()
        settings = {
            "listen": f"127.0.0.1:{port}",
            "descriptors": [str(described)],
            "upstreams": {"echoing": {"target": backend, "channel": channel}},
            "log": {"access": "off"},
        }
        file = Path(folder, "gateway.yaml")
        file.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(file)]
        with running(command, port) as pid:
            asyncio.run(measure(port, pid, table, channel))


def main() -> None:
    """Prints one table."""
    table = Table(title=f"{_SOCKETS:,} WebSockets that echo {len(_MESSAGE)} bytes")
    for heading in ("channel", "messages", "a second", "CPU µs a message", "KiB a WebSocket"):
        table.add_column(heading, justify="right")
    for channel in ("http2", "grpcio"):
        run(channel, table)
    Console().print(table)


if __name__ == "__main__":
    if sys.argv[1:] == ["backend"]:
        asyncio.run(serve_backend())
    else:
        main()

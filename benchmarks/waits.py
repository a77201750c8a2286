"""Measures how long others wait while this gateway converts one message of some megabytes.

`python -m benchmarks.waits [python] [native]` takes some minutes. While one client sends the
message or receives it, another makes small requests. The wait of each is counted in CPU time of the
gateway, which other processes on the machine do not change. Where native code runs beside the event
loop, its time counts too: the wait was shorter then. The gateway runs as Python.
"""

import asyncio
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, Final

import grpc.aio
from rich.console import Console
from rich.table import Table

from benchmarks.backends import started
from benchmarks.peers import free_port, running
from gateway.config.model import Config
from gateway.schema.catalog import build_schema
from gateway.transcoding.json.codec import Codec
from gateway.transcoding.json.native import VARIABLE
from tests.support.schema import descriptor_set

PROTO: Final = """
syntax = "proto3";
package waits.v1;
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/struct.proto";
message Kind { string name = 1; }
message Large {
  string text = 1;
  repeated string texts = 2;
  map<string, int32> counts = 3;
  google.protobuf.Struct members = 4;
  repeated google.protobuf.Any anys = 5;
}
service Waits {
  rpc Send(Large) returns (Kind) { option (google.api.http) = {post: "/send" body: "*"}; }
  rpc Fetch(Kind) returns (Large) { option (google.api.http) = {get: "/fetch/{name}"}; }
  rpc Small(Kind) returns (Kind) { option (google.api.http) = {get: "/small/{name}"}; }
}
"""
_ANY: Final = b'{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}'
_MEMBERS: Final = b",".join(b'"%d":1' % number for number in range(1_000_000))
KINDS: Final[dict[str, Callable[[], bytes]]] = {
    "15 MB of text": lambda: b'{"text":"%b"}' % (b"x" * 15_000_000),
    "8 MB of control characters": lambda: b'{"text":"%b"}' % (rb"\u0001" * 8_000_000),
    "8 MB of small strings": lambda: b'{"texts":[%b]}' % b",".join([b'"abc"'] * 1_600_000),
    "a map of 1 M": lambda: b'{"counts":{%b}}' % _MEMBERS,
    "a Struct of 1 M": lambda: b'{"members":{%b}}' % _MEMBERS,
    "100,000 Any": lambda: b'{"anys":[%b]}' % b",".join([_ANY] * 100_000),
}
_MOST: Final = 256_000_000
_SETTINGS: Final = {
    "limits": {
        "body_bytes": _MOST,
        "response_bytes": _MOST,
        "unsent_bytes": _MOST,
        "json_values": 10_000_000,
        "response_values": 10_000_000,
    },
    "log": {"access": "off"},
    "compression": {"enabled": False},
}
_ROUNDS: Final = 3


async def serve_backend() -> None:
    """Serves until it is killed; prints its address first."""
    os.environ.pop(VARIABLE, None)
    schema = build_schema(descriptor_set(waits=PROTO))
    codec = Codec(schema.pool, Config().json_)
    read = codec.reader(schema.pool.FindMessageTypeByName("waits.v1.Large"))
    # Made once: the back end is not measured.
    messages = {b"%d" % place: read(make()) for place, make in enumerate(KINDS.values())}

    async def fetch(request: bytes, _context: object) -> bytes:
        return messages[request[2:]]

    async def small(_request: bytes, _context: object) -> bytes:
        return b""

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", _MOST)])
    calls = {"Send": small, "Fetch": fetch, "Small": small}
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(call) for name, call in calls.items()
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("waits.v1.Waits", handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def cpu_ms(pid: int) -> float:
    """The CPU time of a process, in milliseconds."""
    # The clock of a process by its pid, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e6


def ask(port: int, method: str, path: str, body: bytes | None = None) -> int:
    """Sends a request and reads the whole answer; returns its size."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, {"Accept-Encoding": "identity"})
        answer = connection.getresponse()
        size = 0
        while piece := answer.read(1 << 18):
            size += len(piece)
        assert answer.status == 200, answer.status
        return size
    finally:
        connection.close()


@contextmanager
def others(port: int, pid: int) -> Iterator[list[tuple[float, float]]]:
    """Makes small requests in the block; yields the CPU ms and the ms that each waits."""
    waits: list[tuple[float, float]] = []
    ends = Event()

    def run() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while not ends.wait(0.002):
            begun_ms, begun_s = cpu_ms(pid), time.monotonic()
            connection.request("GET", "/small/a")
            connection.getresponse().read()
            waits.append((cpu_ms(pid) - begun_ms, (time.monotonic() - begun_s) * 1e3))
        connection.close()

    thread = Thread(target=run)
    thread.start()
    try:
        yield waits
    finally:
        ends.set()
        thread.join()


def worst(port: int, pid: int, work: Callable[[], object]) -> tuple[float, float]:
    """The longest wait of others in CPU ms and in ms, medians of some rounds."""
    found = []
    for _ in range(_ROUNDS):
        with others(port, pid) as waits:
            time.sleep(0.05)
            work()
            time.sleep(0.05)
        found.append([max(kind) for kind in zip(*waits, strict=True)])
    cpu, wall = zip(*found, strict=True)
    return median(cpu), median(wall)


def run(codec: str, table: Table) -> None:
    """Adds the rows of a gateway with one codec."""
    with TemporaryDirectory() as folder, started("benchmarks.waits") as backend:
        described = Path(folder, "waits.binpb")
        described.write_bytes(descriptor_set(waits=PROTO).SerializeToString())
        port = free_port()
        upstream = {"target": backend, "max_message_bytes": _MOST}
        settings = _SETTINGS | {
            "listen": f"127.0.0.1:{port}",
            "descriptors": [str(described)],
            "upstreams": {"b": upstream},
        }
        config = Path(folder, "gateway.yaml")
        config.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
        with running(["env", f"{VARIABLE}={codec}", *command], port, "0-1") as pid:
            ask(port, "POST", "/send", b"{}")
            for place, (name, make) in enumerate(KINDS.items()):
                body = make()
                for direction, work in (
                    ("in", lambda: ask(port, "POST", "/send", body)),  # noqa: B023 - used at once
                    ("out", lambda: ask(port, "GET", f"/fetch/{place}")),  # noqa: B023
                ):
                    figures = worst(port, pid, work)
                    table.add_row(codec, name, direction, *(f"{ms:.0f}" for ms in figures))


def main() -> int:
    """Prints the table, or serves one side of it."""
    match sys.argv[1:]:
        case ["backend"]:
            asyncio.run(serve_backend())
        case codecs:
            columns = ("codec", "", "", "CPU ms", "ms")
            table = Table(*columns, title="Others wait", box=None)
            for codec in codecs or ("python", "native"):
                run(codec, table)
            Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A gRPC server in a process of its own, which can be killed, stopped, drained and restarted.

Run as a program, it is the server: it notes the id of each call in a file before it answers, so
that a test can count how often each was processed, whatever happened to the process. SIGTERM drains
it, with SIGUSR1 it reports that it no longer serves, and SIGUSR2 makes it slow, and again fast.
"""

import asyncio
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import StringValue

from tests.support.health import NOT_SERVING, Health
from tests.support.schema import descriptor_set

SERVICE = "test.v1.Bytes"
PROTO = """
syntax = "proto3";
package test.v1;
import "google/api/annotations.proto";
message Text { string value = 1; }
service Bytes {
  rpc Read(Text) returns (Text) { option (google.api.http) = { get: "/v1/read/{value}" }; }
  rpc Write(Text) returns (Text) { option (google.api.http) = { post: "/v1/write" body: "*" }; }
}
"""
"""What it serves if it `speaks_messages`."""
_ROOT = Path(__file__).parents[2]
_GRACE_S = 10
_WORK_S = 0.002
"""Seconds of each call, so that some are under way whenever something happens."""
SLOW_S = 0.5
"""Seconds of each call while it is slow."""


class ServerProcess:
    """The server as the test sees it; each answer is its name."""

    def __init__(self, name: str, notes: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.name = name
        self.notes = notes
        self.host = host
        self.port = port
        self.tls: tuple[Path, Path] | None = None
        """The files of its certificate and key, if it speaks TLS."""
        self.fails = False
        """True if it answers UNAVAILABLE after it has noted the call, from its next start on."""
        self.speaks_messages = False
        """True if requests and replies are messages of `PROTO`, and not just bytes."""
        self.place: tuple[str, ...] = ()
        """A command in front of it, which replaces itself by it: for a network namespace."""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def target(self) -> str:
        """Its address."""
        return f"{self.host}:{self.port}"

    async def start(self) -> None:
        """Starts it, at its port of before if it had one, and waits until it listens."""
        arguments = [self.name, str(self.notes), self.target]
        arguments += ["--tls", *map(str, self.tls)] if self.tls else []
        arguments += ["--fails"] if self.fails else []
        arguments += ["--messages"] if self.speaks_messages else []
        self._process = await asyncio.create_subprocess_exec(
            *(*self.place, sys.executable, "-m", "tests.support.server_process", *arguments),
            stdout=asyncio.subprocess.PIPE,
            cwd=_ROOT,
            env=os.environ | {"PYTHONPATH": str(_ROOT)},
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            self.port = int(await self._process.stdout.readline())

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends it a signal that ends it, and waits for the end."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self.send(number)
        await self._process.wait()
        self._process = None


def gateway_settings(place: Path, **upstream: Any) -> dict[str, Any]:
    """The settings of a gateway before servers that speak messages; `place` gets their schema."""
    descriptors = place / "bytes.binpb"
    descriptors.write_bytes(descriptor_set(bytes=PROTO).SerializeToString())
    return {
        "listen": "127.0.0.1:0",
        "descriptors": [str(descriptors)],
        "log": {"access": "off"},
        "upstreams": {"bytes": upstream},
    }


def processed(servers: Sequence[ServerProcess]) -> Counter[str]:
    """The number of times that each call was processed, by its id, over all servers."""
    counted: Counter[str] = Counter()
    for one in servers:
        if one.notes.exists():
            counted.update(one.notes.read_text().split())
    return counted


@asynccontextmanager
async def server_processes(
    place: Path,
    count: int = 3,
    tls: tuple[Path, Path] | None = None,
    *,
    speaks_messages: bool = False,
) -> AsyncIterator[list[ServerProcess]]:
    """So many servers on free ports, which have started; they are killed at the end."""
    servers = [ServerProcess(str(number), place / f"notes-{number}") for number in range(count)]
    async with AsyncExitStack() as stack:
        for one in servers:
            one.tls, one.speaks_messages = tls, speaks_messages
            stack.push_async_callback(one.end)
        await asyncio.gather(*(one.start() for one in servers))
        yield servers


async def _serve(options: Namespace) -> None:
    notes = os.open(options.notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    work_s = cycle((SLOW_S, _WORK_S))
    now_s = [_WORK_S]

    async def answer(request: bytes, context: Any) -> bytes:
        if options.messages:
            request = StringValue.FromString(request).value.encode()
        os.write(notes, request + b"\n")  # one system call: it is kept if the process is killed
        if options.fails:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "as told")
        await asyncio.sleep(now_s[0])
        name = str(options.name)
        return StringValue(value=name).SerializeToString() if options.messages else name.encode()

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler: Any = grpc.unary_unary_rpc_method_handler(answer)
    handlers: dict[str, Any] = {"Read": handler, "Write": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    health = Health()
    server.add_generic_rpc_handlers((health.handler,))
    if options.tls:
        port = server.add_secure_port(options.address, _credentials(*map(Path, options.tls)))
    else:
        port = server.add_insecure_port(options.address)
    await server.start()
    print(port, flush=True)
    drained, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, drained.set)
    loop.add_signal_handler(signal.SIGUSR2, lambda: now_s.__setitem__(0, next(work_s)))
    loop.add_signal_handler(signal.SIGUSR1, lambda: health.becomes(NOT_SERVING))
    await drained.wait()
    await server.stop(_GRACE_S)


def _credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])


def _main() -> None:
    parser = ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("notes")
    parser.add_argument("address")
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--fails", action="store_true")
    parser.add_argument("--messages", action="store_true")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    _main()

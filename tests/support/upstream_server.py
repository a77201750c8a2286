"""A real gRPC server with a name, which can be killed with its connections, and restarted.

The process of the test cannot die, so a port in front of the server resets its connections.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import grpc.aio

from tests.support.grpc_backend import SERVICE
from tests.support.health import Health

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Server:
    """A server that answers with its name, counts its calls, and holds them while paused."""

    def __init__(self, health: Health | None = None) -> None:
        self.health = health
        self.target = ""
        self.calls = 0
        self.waiting = 0
        self.fails_with: grpc.StatusCode | None = None
        """The status of each answer, if it is not the name."""
        self.trailers: tuple[tuple[str, str | bytes], ...] = ()
        """The trailers of such an answer."""
        self.load_report = b""
        """The load report (ORCA) in the trailers of each answer, if there is one."""
        self.seen: list[dict[str, Any]] = []
        """The metadata of each call."""
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._server: grpc.aio.Server | None = None
        self._draining: asyncio.Task[None] | None = None
        self._inner_port = 0
        self._port: asyncio.Server | None = None
        self._writers: list[Writer] = []
        self._pipes: list[asyncio.Task[None]] = []

    @property
    def name(self) -> bytes:
        """The name with which it answers: its address."""
        return self.target.encode()

    def pause(self) -> None:
        """Answers no calls from now on."""
        self._goes_on.clear()

    def go_on(self) -> None:
        """Answers again, also those calls that wait."""
        self._goes_on.set()

    async def start(self) -> None:
        """Starts the server, and the port in front of it."""
        self._server = grpc.aio.server()
        handlers: dict[str, Any] = {
            "Name": grpc.unary_unary_rpc_method_handler(self._answer),
            "Names": grpc.unary_stream_rpc_method_handler(self._stream),
            "Collect": grpc.stream_unary_rpc_method_handler(_collect),
        }
        generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((generic,))
        if self.health is not None:
            self._server.add_generic_rpc_handlers((self.health.handler,))
        self._inner_port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        await self.restart()

    async def stop(self) -> None:
        """Ends everything."""
        self.go_on()
        await self.kill()
        if self._server is not None:
            await self._server.stop(None)
        if self._draining is not None:
            await self._draining

    async def drain(self) -> None:
        """Takes no more calls or connections, and lets the calls under way finish."""
        if self._port is not None:
            self._port.close()
        if self._server is not None:
            self._draining = asyncio.get_running_loop().create_task(self._server.stop(30))

    async def kill(self) -> None:
        """Resets all connections and closes the port, as the death of the process does."""
        if self._port is not None:
            self._port.close()
            self._port = None
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        self._writers.clear()
        self._pipes.clear()
        self.waiting = 0

    async def restart(self) -> None:
        """Opens the port again."""
        port = int(self.target.rpartition(":")[2] or 0)
        self._port = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.target = f"127.0.0.1:{self._port.sockets[0].getsockname()[1]}"

    async def _accept(self, reader: Reader, writer: Writer) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._inner_port)
        self._writers += [writer, inner_writer]
        loop = asyncio.get_running_loop()
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            self._pipes.append(loop.create_task(_pipe(source, sink)))

    async def _answer(self, _request: bytes, context: Any) -> bytes:
        self.calls += 1
        self.seen.append(dict(context.invocation_metadata()))
        self.waiting += 1
        try:
            await self._goes_on.wait()
        finally:
            self.waiting = max(0, self.waiting - 1)
        if self.load_report:
            context.set_trailing_metadata((("endpoint-load-metrics-bin", self.load_report),))
        if self.fails_with is not None:
            await context.abort(self.fails_with, "as told", self.trailers)
        return self.name

    async def _stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield await self._answer(request, context)


async def _pipe(source: Reader, sink: Writer) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()


async def _collect(requests: AsyncIterator[bytes], _context: Any) -> bytes:
    return b",".join([request async for request in requests])


@asynccontextmanager
async def server(health: Health | None = None) -> AsyncIterator[Server]:
    """The server, on a free port."""
    running = Server(health)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()

"""An HTTP/2 server that answers each call with scripted bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gateway.http2 import frames
from gateway.http2.frames import PREFACE
from tests.support import http2_peer as peer

Script = Callable[[int], bytes]
"""What the server says when a call with this stream id has come."""


class Scripted:
    """A server that answers each call as told; it counts who came, and keeps what they sent."""

    def __init__(
        self, *scripts: Script, greeting: bytes = peer.settings(), answers_pings: bool = False
    ) -> None:
        self._scripts = list(scripts)
        self._answers_pings = answers_pings
        self._greeting = greeting
        self.connections = 0
        self.calls = 0
        self.received: list[tuple[int, bytes]] = []
        """The kind and payload of each frame."""
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        writer.write(self._greeting)
        try:
            await reader.readexactly(len(PREFACE))
            while True:
                head = await reader.readexactly(9)
                payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
                self.received.append((head[3], payload))
                if head[3] == frames.PING and self._answers_pings:
                    writer.write(peer.frame(frames.PING, frames.ACK, 0, payload))
                if head[3] == frames.HEADERS:
                    script = self._scripts[min(self.calls, len(self._scripts) - 1)]
                    self.calls += 1
                    writer.write(script(int.from_bytes(head[5:9], "big")))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The server on a free port; yields its address."""
        listener = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        finally:
            listener.close()
            for writer in self.writers:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
            await listener.wait_closed()

"""A connection of an aiohttp application, after a WebSocket has taken it over."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway.http.messages import Takeover
from gateway.listeners.http1.peer_closed import peer_has_closed


class UpgradedConnection:
    """Passes bytes between a connection of aiohttp and a WebSocket; see `SocketConnection`.

    aiohttp passes what it receives after an upgrade to the object that `set_parser` was called
    with, as it does for its own WebSockets.
    """

    def __init__(self, request: web.Request, upgrade: Takeover) -> None:
        self._request = request
        # Its types know only the parser of aiohttp's own WebSockets.
        self._protocol: Any = request.protocol
        self.transport: asyncio.Transport | None = self._protocol.transport
        """The transport; None after the client has left."""
        self._upgrade = upgrade
        self._running: asyncio.Task[None] | None = None
        self._has_begun = False
        self._is_paused = False

    def take(self, running: "asyncio.Task[None]") -> None:
        """Receives all that comes from now on; `running` is cancelled when the client leaves."""
        self._running = running
        self.transport = self._protocol.transport
        if self.transport is not None:
            self._protocol.set_parser(self)

    @property
    def writing_paused(self) -> bool:
        """True while the client reads too slowly and the write buffer is full."""
        return bool(self._protocol.writing_paused)

    def send_now(self, data: bytes) -> None:
        """Sends at once.

        Raises:
            ConnectionError: the client has disconnected.
        """
        self._has_begun = True
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has disconnected")
        transport.write(data)

    async def drained(self) -> None:
        """Returns when the write buffer has room again."""
        await self._request.writer.drain()

    def pause(self) -> None:
        """Stops reading."""
        self._is_paused = True
        self._protocol.pause_reading()

    def resume(self) -> None:
        """Starts reading again."""
        self._is_paused = False
        self._protocol.resume_reading()

    def look_for_the_client(self) -> None:
        """Ends the connection if the client has left while nothing is read."""
        transport = self.transport
        if self._is_paused and transport is not None and peer_has_closed(transport):
            transport.abort()

    def later(self, work: Callable[[], None]) -> None:
        """Runs `work` in a later turn of the event loop, after other connections' work."""
        asyncio.get_running_loop().call_soon(work)

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Receives bytes; the first result is True if nothing more is wanted."""
        self._upgrade.receive(bytes(data))
        return False, b""

    def feed_eof(self) -> None:
        """Called by aiohttp when the client has left; the WebSocket's call is ended."""
        self.transport = None
        # A task that is cancelled before its first step would not end the call. It ends by itself,
        # because it cannot send.
        if self._running is not None and self._has_begun:
            self._running.cancel()

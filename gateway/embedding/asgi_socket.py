"""Carries a WebSocket over the messages of an ASGI server.

The gateway's WebSockets speak frames (RFC 6455), and an ASGI server gives and takes messages. So
this is the client of the gateway's side: it frames the server's messages, and takes the frames of
the gateway apart. Every rule about messages, limits and endings stands in the dialect alone.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLIENT, Protocol, State

from gateway.embedding.asgi_types import Message, Receive, Send
from gateway.embedding.embedded import end, raise_failure
from gateway.http.messages import Takeover

_log = logging.getLogger("gateway.frames")
_QUEUE_BYTES = 64 * 1024
_NORMAL = 1000


async def carry(upgrade: Takeover, acceptance: Message, receive: Receive, send: Send) -> None:
    """Accepts a WebSocket by the message `acceptance`, and carries it to its end."""
    client = _Client(upgrade, acceptance)
    loop = asyncio.get_running_loop()
    running = loop.create_task(upgrade.run(client, b"", b""))
    receiving = loop.create_task(client.receive_from(receive))
    sending = loop.create_task(client.send_to(send))
    try:
        # Sending ends before the call does only if it fails: the client has left.
        await asyncio.wait([running, sending], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            client.finish()
            await asyncio.wait([sending])
    finally:
        await end(running, receiving, sending)
    raise_failure(running)


class _Client:
    """The client's side of the gateway's WebSocket; also its connection: see `SocketConnection`."""

    def __init__(self, upgrade: Takeover, first: Message) -> None:
        """Takes the message that is sent before all others."""
        self.transport: asyncio.Transport | None = asyncio.Transport()
        """It stands for the server's, which is unknown; None after the client has left."""
        self._upgrade = upgrade
        self._loop = asyncio.get_running_loop()
        self._frames = Protocol(CLIENT, state=State.OPEN, max_size=None, logger=_log)
        self._out: deque[tuple[Message, int]] = deque([(first, 0)])
        self._out_bytes = 0
        self._is_finished = False
        self._has_left = False
        """True if the client has closed: servers refuse any message then."""
        self._has_messages = asyncio.Event()
        self._has_messages.set()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._may_receive = asyncio.Event()
        self._may_receive.set()

    @property
    def writing_paused(self) -> bool:
        """True while many messages wait to be sent."""
        return self._out_bytes > _QUEUE_BYTES

    async def drained(self) -> None:
        """Returns when few messages wait."""
        await self._has_room.wait()

    def pause(self) -> None:
        """Stops to receive."""
        self._may_receive.clear()

    def resume(self) -> None:
        """Starts to receive again."""
        self._may_receive.set()

    def later(self, work: Callable[[], None]) -> None:
        """Runs `work` in a later turn of the event loop, after other connections' work."""
        self._loop.call_soon(work)

    def finish(self) -> None:
        """Lets `send_to` end when all messages have been sent."""
        self._is_finished = True
        self._has_messages.set()

    def send_now(self, data: bytes) -> None:
        """Takes frames of the gateway apart, and queues their messages."""
        self._frames.receive_data(data)
        for event in self._frames.events_received():
            if isinstance(event, Frame):
                self._queue(event)
        self._loop.call_soon(self._pass_on)

    async def receive_from(self, receive: Receive) -> None:
        """Frames the messages of the client, until it has left."""
        while True:
            await self._may_receive.wait()
            message = await receive()
            self._has_left = message["type"] == "websocket.disconnect"
            if self._frames.state is not State.OPEN:
                return
            try:
                is_last = self._frame(message)
            except ConnectionClosed:
                return
            self._pass_on()
            if is_last:
                return

    async def send_to(self, send: Send) -> None:
        """Sends the queued messages, one after the other."""
        while True:
            await self._has_messages.wait()
            while self._out:
                message, size = self._out.popleft()
                if not self._has_left:
                    await send(message)
                self._out_bytes -= size
                if not self.writing_paused:
                    self._has_room.set()
            if self._is_finished:
                return
            self._has_messages.clear()

    def _frame(self, message: Message) -> bool:
        """Frames one message; True if it is the last."""
        if self._has_left:
            self.transport = None
            self._frames.send_close(_NORMAL)
            return True
        text = message.get("text")
        if text is not None:
            self._frames.send_text(text.encode("utf-8", "surrogatepass"))
        else:
            self._frames.send_binary(message.get("bytes") or b"")
        return False

    def _queue(self, frame: Frame) -> None:
        data = bytes(frame.data)
        if frame.opcode is Opcode.TEXT:
            message: Message = {"type": "websocket.send", "text": data.decode()}
        elif frame.opcode is Opcode.BINARY:
            message = {"type": "websocket.send", "bytes": data}
        elif frame.opcode is Opcode.CLOSE:
            close = Close.parse(data)
            message = {"type": "websocket.close", "code": close.code, "reason": close.reason}
        else:
            return
        self._out.append((message, len(data)))
        self._out_bytes += len(data)
        if self.writing_paused:
            self._has_room.clear()
        self._has_messages.set()

    def _pass_on(self) -> None:
        """Passes frames on to the gateway: messages, and answers to pings and a close."""
        data = b"".join(self._frames.data_to_send())
        if data:
            self._upgrade.receive(data)

"""The state of the request in progress on a connection, and its end by the gateway's own will."""

import asyncio

from gateway.http.messages import Request, StatusError
from gateway.listeners.http1.client_connection import ClientConnection
from gateway.listeners.http1.request_reader import ReceivedRequest
from gateway.listeners.http1.stream_writer import StreamWriter
from gateway.listeners.port import Port


class ServingConnection(ClientConnection):
    """A connection that serves requests in one task, and can be told to end them."""

    __slots__ = ("_queue", "_request", "_streamed", "_task", "_waiter", "_writer")

    def __init__(self, loop: asyncio.AbstractEventLoop, port: Port) -> None:
        super().__init__(loop, port)
        # A list: a deque takes eight times the memory, also of a connection that waits.
        self._queue: list[ReceivedRequest | StatusError] = []
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        """The future that the task awaits while there is no request to serve."""
        self._request: Request | None = None
        """The request that is being answered, until its response is complete."""
        self._streamed: Request | None = None
        """The request whose response is being streamed, or that became a WebSocket."""
        self._writer: StreamWriter | None = None

    @property
    def is_busy(self) -> bool:
        """True if a request is in progress, or part of a response is not sent yet."""
        unsent = self.transport is not None and self.transport.get_write_buffer_size() > 0
        return self._is_serving or unsent

    @property
    def is_upgraded(self) -> bool:
        """True if another protocol has taken over: a WebSocket."""
        return self._upgrade is not None

    @property
    def _is_serving(self) -> bool:
        return self._task is not None and self._waiter is None

    def in_progress(self) -> list[Request]:
        """Returns the requests that are being answered; their site must stay open."""
        request = self._streamed if self._request is None else self._request
        return [] if request is None else [request]

    def end_upgrade(self) -> None:
        """Ends a WebSocket; its client is told that the gateway shuts down, and may reconnect."""
        if self._upgrade is not None:
            self._upgrade.shut_down()

    def interrupt(self, error: StatusError) -> bool:
        """Ends the request in progress with `error`; returns True if there was one, or if a client
        has not taken all of its answer.

        Its response says `Connection: close`; queued requests are dropped.
        """
        if self._writer is not None:
            return self.interrupt_stream(error)
        request, task = self._request, self._task
        self._closing = True
        self._queue.clear()
        if request is None or task is None:
            return self.transport is not None and self.transport.get_write_buffer_size() > 0
        if request.interruption is not None:
            return False
        request.interruption = error
        task.cancel()
        return True

    def interrupt_stream(self, error: StatusError) -> bool:
        """Ends the streamed response in progress with `error`; returns True if there was one."""
        writer, task = self._writer, self._task
        if writer is None or task is None or writer.is_interrupted:
            return False
        self._closing = True
        self._queue.clear()
        if writer.interrupt(error):
            task.cancel()
        return True

    def close_when_idle(self) -> None:
        """Accepts no more requests; closes after the request in progress is answered."""
        self._closing = True
        self._queue.clear()
        self.end_upgrade()
        if not self._is_serving and self.transport is not None:
            self.transport.close()

    async def abort(self) -> None:
        """Cancels the request in progress and closes the connection."""
        if self.transport is not None:
            self.transport.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

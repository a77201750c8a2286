"""The parts that both kinds of embedded gateway share: opening, and answers by a deadline."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from multidict import CIMultiDict

from gateway.app.site import open_site
from gateway.call import Code, Interceptor, StatusError
from gateway.config.model import Config
from gateway.exchange.exchange import Exchange
from gateway.http.messages import BodyStream, Request, Response, Takeover
from gateway.telemetry.logs.opening import open_logs

__all__ = ["Exchange"]
__all__ += ["EmbeddedGateway", "answer", "end", "header_fields", "raise_failure", "with_heartbeats"]

_SWEEP_S = 0.25
"""The time after which the client's and the gateway's deadlines are looked at again."""
_OVERDUE_AFTER_S = 0.25  # first wait for the more precise DEADLINE_EXCEEDED of the back end


class EmbeddedGateway:
    """A gateway without connections of its own."""

    def __init__(self, config: Config, *, interceptors: Sequence[Interceptor] = ()) -> None:
        """Takes the settings, and interceptors that come after those that the settings name."""
        self._config = config
        self._interceptors = interceptors
        self._exchange: Exchange | None = None
        self._sockets: set[Takeover] = set()
        """The open WebSockets."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Opens the gateway, and closes it at the end of the block.

        Raises:
            StartUpError: it cannot start; the message says why.
        """
        async with AsyncExitStack() as stack:
            logs = await stack.enter_async_context(open_logs(self._config.log))
            opened = await open_site(self._config, logs, stack, self._interceptors)
            self._exchange = Exchange(opened.site)
            try:
                yield
            finally:
                self._exchange = None
                self.end_websockets()

    def end_websockets(self) -> None:
        """Ends the open WebSockets; their clients are told that they may connect again."""
        for socket in list(self._sockets):
            socket.shut_down()

    def exchange_in_use(self, advice: str) -> Exchange:
        """Returns the exchange that answers requests.

        Raises:
            RuntimeError: the gateway is not open; `advice` says what opens it.
        """
        if self._exchange is None:
            raise RuntimeError(f"the gateway is not open: {advice}")
        return self._exchange


async def answer(
    exchange: Exchange, request: Request, gone: "asyncio.Future[None] | None" = None
) -> Response:
    """Returns the response to a request, at the latest shortly after its deadline.

    When `gone` is done, the client has left: the call is ended.

    Raises:
        CancelledError: the client has left.
    """
    loop = asyncio.get_running_loop()
    answering = loop.create_task(exchange.answer(request))
    awaited: set[asyncio.Future[object]] = {answering}  # type: ignore[arg-type]
    if gone is not None:
        awaited.add(gone)  # type: ignore[arg-type]
    try:
        while not answering.done():
            await asyncio.wait(awaited, timeout=_SWEEP_S, return_when=asyncio.FIRST_COMPLETED)
            if gone is not None and gone.done():
                break
            if loop.time() > request.deadline_s + _OVERDUE_AFTER_S and request.interruption is None:
                text = "the call did not finish in time"
                request.interruption = StatusError(Code.DEADLINE_EXCEEDED, text)
                answering.cancel()
    finally:
        await end(answering)
    return answering.result()


async def end(*tasks: "asyncio.Task[object]") -> None:
    """Cancels tasks that are not done, and waits for their ends."""
    open_ones = [task for task in tasks if not task.done()]
    for task in open_ones:
        task.cancel()
    if open_ones:
        await asyncio.wait(open_ones)


def raise_failure(ended: "asyncio.Task[None]") -> None:
    """Raises what a task failed with, unless that is that its client has left."""
    failure = None if ended.cancelled() else ended.exception()
    if failure is not None and not isinstance(failure, ConnectionError):
        raise failure


def header_fields(response: Response) -> CIMultiDict[str]:
    """Returns all header fields of a response but its length."""
    lines = (line.partition(": ") for line in response.fixed.splitlines())
    headers = CIMultiDict([(name, value) for name, _, value in lines])
    headers.extend(response.headers)
    if response.content_type:
        headers["Content-Type"] = response.content_type
    return headers


async def with_heartbeats(stream: BodyStream) -> AsyncGenerator[bytes]:
    """Yields the pieces, and a heartbeat after each long silence."""
    waiting: asyncio.Future[bytes] | None = None
    try:
        while True:
            if waiting is None:
                waiting = asyncio.ensure_future(anext(stream))
            await asyncio.wait([waiting], timeout=stream.heartbeat_s)
            if not waiting.done():
                yield stream.heartbeat
                continue
            done, waiting = waiting, None
            try:
                piece = done.result()
            except StopAsyncIteration:
                return
            if piece:
                yield piece
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait([waiting])

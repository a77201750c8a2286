"""A steady load on a channel or a gateway: calls that may be repeated, and others."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count

from gateway.app.gateway import Gateway
from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from tests.support.balanced import safe
from tests.support.grpc_backend import method
from tests.support.http import connected
from tests.support.polling import until

_PAUSE_S = 0.002
_LAST = 60
"""The number of answers by which it is seen over whom calls spread."""


Call = Callable[[str, str], Awaitable[str]]
"""Calls a method, Read or Write, with an id; returns the name of the server that answered. Raises
StatusError for a failure."""
Caller = Callable[[], AbstractAsyncContextManager[Call]]
"""Opens what one caller needs."""


def over_channel(channel: Channel, timeout_s: float) -> Caller:
    """Calls on a channel, each with this deadline."""

    async def call(name: str, request: str) -> str:
        called = safe(name) if name == "Read" else method(name)
        return (await channel.call(called, request.encode(), [], timeout_s)).message.decode()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Call]:
        yield call

    return opened


def over_http(gateway: Gateway) -> Caller:
    """Requests to a gateway before servers of `server_process`; one connection for each caller."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Call]:
        async with connected(gateway) as client:

            async def call(name: str, request: str) -> str:
                if name == "Read":
                    answer = await client.get(f"/v1/read/{request}")
                else:
                    body = json.dumps({"value": request})
                    await client.send(
                        "POST /v1/write HTTP/1.1\r\nHost: test\r\n"
                        "Content-Type: application/json\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n{body}"
                    )
                    answer = await client.answer()
                if answer.status != 200:
                    raise StatusError(Code.UNKNOWN, f"{answer.status} {answer.body.decode()}")
                return str(answer.json()["value"])

            yield call

    return opened


class Load:
    """What became of the calls."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._ids = count()
        self.answers: Counter[str] = Counter()
        """The number of answers by the name of the server."""
        self.failed: dict[str, list[str]] = {"Read": [], "Write": []}
        """The failures of each method, in words."""
        self.last: deque[str] = deque(maxlen=_LAST)
        self.writes = 0

    async def run(self, name: str) -> None:
        """Calls `name` again and again, each time with an id of its own."""
        async with self._caller() as call:
            while True:
                request = f"{name}-{next(self._ids)}"
                try:
                    server = await call(name, request)
                except StatusError as failure:
                    self.failed[name].append(f"{request}: {failure.code.name} {failure.message}")
                    await asyncio.sleep(_PAUSE_S)
                    continue
                self.writes += name == "Write"
                self.answers[server] += 1
                self.last.append(server)
                await asyncio.sleep(_PAUSE_S)

    async def more(self, calls: int, *, within_s: float = 15.0) -> None:
        """Waits for so many more answers."""
        goal = self.answers.total() + calls
        await until(lambda: self.answers.total() >= goal, within_s=within_s)

    async def spreads_over(self, names: Collection[str], *, within_s: float = 10.0) -> float:
        """Waits until the last answers come from all these servers and no other; seconds it took.

        Raises:
            TimeoutError: they do not within `within_s`.
        """
        started_s = time.monotonic()
        self.last.clear()
        wanted = set(names)
        await until(lambda: len(self.last) == _LAST and set(self.last) == wanted, within_s=within_s)
        return time.monotonic() - started_s


@asynccontextmanager
async def load_on(
    channel: Channel, *, reads: int = 6, writes: int = 2, timeout_s: float = 15.0
) -> AsyncIterator[Load]:
    """So many calls of each kind at a time on a channel, until the end."""
    async with load_by(over_channel(channel, timeout_s), reads=reads, writes=writes) as load:
        yield load


@asynccontextmanager
async def load_by(caller: Caller, *, reads: int = 6, writes: int = 2) -> AsyncIterator[Load]:
    """So many calls of each kind at a time, until the end."""
    load = Load(caller)
    names = ["Read"] * reads + ["Write"] * writes
    tasks = [asyncio.create_task(load.run(name)) for name in names]
    try:
        yield load
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise error

"""A steady load on a channel: calls that may be repeated, and calls that must not be."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from itertools import count

from gateway.status import StatusError
from gateway.upstream.channels.channel import Channel
from tests.support.balanced import safe
from tests.support.grpc_backend import method
from tests.support.polling import until

_PAUSE_S = 0.002
_LAST = 60
"""The number of answers by which it is seen over whom calls spread."""


class Load:
    """What became of the calls."""

    def __init__(self, channel: Channel, timeout_s: float) -> None:
        self._channel = channel
        self._timeout_s = timeout_s
        self._ids = count()
        self.answers: Counter[str] = Counter()
        """The number of answers by the name of the server."""
        self.failed: dict[str, list[str]] = {"Read": [], "Write": []}
        """The failures of each method, in words."""
        self.last: deque[str] = deque(maxlen=_LAST)
        self.writes = 0

    async def run(self, name: str) -> None:
        """Calls `name` again and again, each time with an id of its own."""
        called = safe(name) if name == "Read" else method(name)
        while True:
            request = f"{name}-{next(self._ids)}"
            try:
                reply = await self._channel.call(called, request.encode(), [], self._timeout_s)
            except StatusError as failure:
                self.failed[name].append(f"{request}: {failure.code.name} {failure.message}")
                await asyncio.sleep(_PAUSE_S)
                continue
            self.writes += name == "Write"
            self.answers[reply.message.decode()] += 1
            self.last.append(reply.message.decode())
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
    """So many calls of each kind at a time, until the end."""
    load = Load(channel, timeout_s)
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

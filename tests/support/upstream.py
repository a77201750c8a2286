"""A handler that stands in for interceptors and back end: it plays a part and keeps what it saw."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.call import Call, Reply
from gateway.status import Code

Part = Callable[[Call], Awaitable[Reply]]


async def echo(call: Call) -> Reply:
    """Answers with the request's own message."""
    return Reply(await call.message())


class Upstream:
    """Answers calls by `part`; keeps the calls and how they ended."""

    def __init__(self, part: Part = echo) -> None:
        self.part = part
        self.calls: list[Call] = []
        self.endings: list[Code] = []
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        call.on_end(self.endings.append)
        self.started.set()
        try:
            return await self.part(call)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    @property
    def metadata(self) -> dict[str, str | bytes]:
        """The metadata of the last call."""
        return dict(self.calls[-1].metadata)

    def answers(self, reply: Reply) -> None:
        """Answers every call with `reply` from now on, without reading the request."""

        async def part(call: Call) -> Reply:
            return reply

        self.part = part

    def fails(self, error: Exception) -> None:
        """Fails every call with `error` from now on."""

        async def part(call: Call) -> Reply:
            raise error

        self.part = part

    def hangs(self, *, seconds: float = 30.0) -> None:
        """Answers every call after `seconds` from now on."""

        async def part(call: Call) -> Reply:
            await asyncio.sleep(seconds)
            return Reply()

        self.part = part

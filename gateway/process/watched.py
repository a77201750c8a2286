"""A worker's connection to its supervisor, as the worker holds it."""

import asyncio
from collections.abc import Callable
from multiprocessing.connection import Connection

from gateway.app.gateway import Gateway
from gateway.process.orders import Leaving, Post, Report, StandIn, Started
from gateway.process.pulse import Beating


class Watched:
    """A worker's ties to its supervisor."""

    def __init__(self, post: Post, connection: Connection, pulse: Connection) -> None:
        self.post = post
        self._connection = connection
        self._beating = Beating(pulse)
        self._gateway: Gateway | None = None
        self._wanted: frozenset[int] = frozenset()
        self._standing: set[int] = set()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop, abandoned: Callable[[], None]) -> None:
        """Shows signs of life, and listens; `abandoned` is called when the supervisor is gone."""
        self._loop = loop
        self._beating.start(loop)
        loop.add_reader(self._connection.fileno(), self._heed, abandoned)

    def started(self, gateway: Gateway) -> None:
        """Reports that this worker serves."""
        self._gateway = gateway
        warnings = tuple(gateway.warnings)
        self.report(Started(len(gateway.transcoder.bindings), warnings))

    def leave(self) -> None:
        """Reports that this worker accepts no more, and listens to nobody."""
        if self._loop is not None:
            self._loop.remove_reader(self._connection.fileno())
        if self._task is not None:
            self._task.cancel()
        self.report(Leaving())

    def report(self, report: Report) -> None:
        """Tells the supervisor something, if it is there."""
        try:
            self._connection.send(report)
        except OSError:
            return

    def _heed(self, abandoned: Callable[[], None]) -> None:
        try:
            order = self._connection.recv()
        except (EOFError, OSError):
            assert self._loop is not None  # noqa: S101 - it is the loop that has called
            self._loop.remove_reader(self._connection.fileno())
            abandoned()
            return
        if isinstance(order, StandIn) and self._loop is not None:
            self._wanted = order.numbers
            if self._task is None or self._task.done():
                self._task = self._loop.create_task(self._stand_in())

    async def _stand_in(self) -> None:
        """Accepts the connections of those workers that are wanted now, and no others."""
        gateway = self._gateway
        assert gateway is not None  # noqa: S101 - orders come to workers that serve
        assert gateway.listener is not None  # noqa: S101 - this one was opened with a port
        while self._standing != self._wanted:
            for number in self._standing - self._wanted:
                self._standing.discard(number)
                gateway.listener.cease(number)
            for number in self._wanted - self._standing:
                self._standing.add(number)
                await gateway.listener.accept_from(number, self.post.neighbours[number])

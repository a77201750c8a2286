"""The worker's side of the connection to its supervisor."""

import asyncio
from collections.abc import Callable
from multiprocessing.connection import Connection

from gateway.app.gateway import Gateway
from gateway.process.orders import Assignment, Leaving, Report, StandIn, Started
from gateway.process.pulse import HeartbeatSender


class SupervisorLink:
    """Sends reports and heartbeats to the supervisor, and obeys its orders."""

    def __init__(self, assignment: Assignment, connection: Connection, pulse: Connection) -> None:
        self.assignment = assignment
        self._connection = connection
        self._heartbeats = HeartbeatSender(pulse)
        self._gateway: Gateway | None = None
        self._ordered: frozenset[int] = frozenset()
        self._standing: set[int] = set()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop, abandoned: Callable[[], None]) -> None:
        """Starts heartbeats and takes orders; calls `abandoned` when the supervisor has ended."""
        self._loop = loop
        self._heartbeats.start(loop)
        loop.add_reader(self._connection.fileno(), self._take_order, abandoned)

    def started(self, gateway: Gateway) -> None:
        """Reports that this worker serves."""
        self._gateway = gateway
        warnings = tuple(gateway.warnings)
        self.report(Started(len(gateway.transcoder.bindings), warnings))

    def leave(self) -> None:
        """Reports that this worker accepts no more connections; ignores orders from now on."""
        if self._loop is not None:
            self._loop.remove_reader(self._connection.fileno())
        if self._task is not None:
            self._task.cancel()
        self.report(Leaving())

    def report(self, report: Report) -> None:
        """Sends a report to the supervisor; does nothing if that has ended."""
        try:
            self._connection.send(report)
        except OSError:
            return

    def _take_order(self, abandoned: Callable[[], None]) -> None:
        try:
            order = self._connection.recv()
        except (EOFError, OSError):
            assert self._loop is not None  # noqa: S101 - the loop calls this method
            self._loop.remove_reader(self._connection.fileno())
            abandoned()
            return
        if isinstance(order, StandIn) and self._loop is not None:
            self._ordered = order.numbers
            if self._task is None or self._task.done():
                self._task = self._loop.create_task(self._stand_in())

    async def _stand_in(self) -> None:
        """Accepts the connections of the workers in the last order, and of no others."""
        gateway = self._gateway
        assert gateway is not None  # noqa: S101 - only workers that serve get orders
        assert gateway.listener is not None  # noqa: S101 - this one was opened with a port
        while self._standing != self._ordered:
            for number in self._standing - self._ordered:
                self._standing.discard(number)
                gateway.listener.cease(number)
            for number in self._ordered - self._standing:
                self._standing.add(number)
                await gateway.listener.accept_from(number, self.assignment.neighbours[number])

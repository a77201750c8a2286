"""The worker's side of the connection to its supervisor."""

import asyncio
import select
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway.app.gateway import Gateway
from gateway.process.one_process import Errand, ErrandDone, OneProcess
from gateway.process.orders import (
    Answer,
    Assignment,
    Changed,
    Cut,
    Discard,
    Drain,
    Leaving,
    LogRefusal,
    LogReload,
    Order,
    Prepare,
    Question,
    ReloadAnswer,
    ReloadOrder,
    Report,
    Retire,
    SetLevel,
    SetReady,
    StandIn,
    Started,
    Swap,
    Tell,
)
from gateway.process.pulse import HeartbeatSender
from gateway.process.shutdown import Shutdown

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_TOGETHER_S: Final = 0.005
"""The time in which changes are collected for one report."""
_AGAIN_S: Final = 0.1
_PART_BYTES: Final = 32 * 1024
_PART_AGAIN_S: Final = 0.01
_LONGEST_REPORT: Final = 4096
"""The characters that a report names; if there are more, the other workers drop everything."""

Reload = Callable[[ReloadOrder], Awaitable[ReloadAnswer | None]]
"""Obeys an order of a reload; returns the answer, if it has one."""


class SupervisorLink:
    """Sends reports and heartbeats to the supervisor, and obeys its orders."""

    def __init__(
        self,
        assignment: Assignment,
        connection: "Connection",
        pulse: "Connection",
        *,
        has_admin: bool = False,
    ) -> None:
        self.assignment = assignment
        self.has_admin = has_admin
        """True if the supervisor has an admin listener, which shows the routes."""
        self._connection = connection
        self._heartbeats = HeartbeatSender(pulse)
        self._gateway: Gateway | None = None
        self._operations: OneProcess | None = None
        self._obey_reload: Reload | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._one_errand = asyncio.Lock()
        self._ordered: frozenset[int] = frozenset()
        self._standing: set[int] = set()
        self._changed_paths: set[str] = set()
        self._changed_tags: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop, shutdown: Shutdown) -> None:
        """Starts heartbeats and takes orders; begins a shutdown when the supervisor has ended."""
        self._loop = loop
        self._heartbeats.start(loop)
        loop.add_reader(self._connection.fileno(), self._take_order, shutdown)

    def operate(self, operations: OneProcess, reload: Reload) -> None:
        """Uses these operations to obey orders, and `reload` for those of a reload."""
        self._operations, self._obey_reload = operations, reload

    def started(self, gateway: Gateway) -> None:
        """Reports that this worker serves."""
        self._gateway = gateway
        warnings = tuple(gateway.warnings)
        routes = () if self._operations is None or not self.has_admin else self._operations.routes
        table = tuple((one.http_method, one.path, one.method) for one in routes)
        self.report(Started(len(gateway.transcoder.bindings), warnings, table))

    def leave(self) -> None:
        """Reports that this worker accepts no more connections; stands in for no other any more."""
        self._gateway = None
        if self._task is not None:
            self._task.cancel()
        self.report(Leaving())

    def report(self, report: Report) -> None:
        """Sends a report to the supervisor; does nothing if that has ended."""
        try:
            self._connection.send(report)
        except OSError:
            return

    def changed(self, paths: Collection[str], tags: Collection[str]) -> None:
        """Reports what a call has changed, so that the other workers drop it; does not wait."""
        if self._loop is not None and not (self._changed_paths or self._changed_tags):
            self._loop.call_later(_TOGETHER_S, self._report_changes)
        self._changed_paths.update(paths)
        self._changed_tags.update(tags)

    def _report_changes(self) -> None:
        assert self._loop is not None  # noqa: S101 - the loop calls this method
        # A supervisor that hangs does not read: then this would wait.
        if not self._is_writable():
            self._loop.call_later(_AGAIN_S, self._report_changes)
            return
        paths, tags = frozenset(self._changed_paths), frozenset(self._changed_tags)
        self._changed_paths.clear()
        self._changed_tags.clear()
        is_all = sum(map(len, paths | tags)) > _LONGEST_REPORT
        self.report(Changed(frozenset(), frozenset(), is_all) if is_all else Changed(paths, tags))

    def _is_writable(self) -> bool:
        """True if a report of tens of kilobytes can be sent without a wait, or never again.

        Linux says so of a Unix socket as long as a quarter of its buffer is used at most.
        """
        pipe = select.poll()
        pipe.register(self._connection, select.POLLOUT)
        return bool(pipe.poll(0))

    def _take_order(self, shutdown: Shutdown) -> None:
        try:
            order: Order = self._connection.recv()
        except (EOFError, OSError):
            assert self._loop is not None  # noqa: S101 - the loop calls this method
            self._loop.remove_reader(self._connection.fileno())
            shutdown.begin(is_for_all=True)
            return
        if isinstance(order, Drain):
            shutdown.begin(is_for_all=True)
        elif isinstance(order, Retire):
            shutdown.retire(order)
        elif isinstance(order, Cut):
            shutdown.end_at_once()
        elif isinstance(order, StandIn):
            self._accept_for(order)
        elif isinstance(order, Prepare | Swap | Discard | LogReload | LogRefusal):
            assert self._loop is not None  # noqa: S101 - the loop calls this method
            before = self._reloading
            self._reloading = self._loop.create_task(self._reload(order, before))
        elif self._operations is not None:
            self._obey(order, self._operations)

    def _obey(
        self,
        order: Tell | SetLevel | SetReady | Question | Changed,
        operations: OneProcess,
    ) -> None:
        if isinstance(order, SetLevel):
            operations.set_level(order.level)
        elif isinstance(order, SetReady):
            operations.set_draining(is_draining=not order.is_ready)
        elif isinstance(order, Question):
            self._answer(order, operations)
        elif isinstance(order, Changed):
            operations.drop_changed(order.paths, order.tags, is_all=order.is_all)
        elif operations.counts is not None and operations.tell_details is not None:
            counts = operations.counts()
            if order.wants_details:
                counts = replace(counts, details=operations.tell_details())
            self.report(counts)

    def _answer(self, order: Question, operations: OneProcess) -> None:
        content = order.content
        if not isinstance(content, Errand):
            self.report(Answer(order.number, operations.answer(content)))
            return

        async def run() -> None:
            done = await operations.run(content)
            async with self._one_errand:
                await self._send_parts(order.number, done)

        assert self._loop is not None  # noqa: S101 - the loop calls this method
        task = self._loop.create_task(run())
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _send_parts(self, number: int, done: ErrandDone) -> None:
        """Sends a result that may have megabytes, while requests are answered."""
        for start in range(0, len(done.body) or 1, _PART_BYTES):
            end = start + _PART_BYTES
            while not self._is_writable():  # noqa: ASYNC110 - asyncio reads from the same socket
                await asyncio.sleep(_PART_AGAIN_S)
            part = replace(done, body=done.body[start:end])
            self.report(Answer(number, part, has_more=end < len(done.body)))
            await asyncio.sleep(0)

    async def _reload(self, order: ReloadOrder, before: "asyncio.Task[None] | None") -> None:
        """Obeys an order of a reload, after the one before."""
        if before is not None:
            await asyncio.wait([before])
        assert self._obey_reload is not None  # noqa: S101 - only workers that serve get orders
        answer = await self._obey_reload(order)
        if answer is not None:
            self.report(answer)

    def _accept_for(self, order: StandIn) -> None:
        if self._gateway is not None and self._loop is not None:
            self._ordered = order.numbers
            if self._task is None or self._task.done():
                self._task = self._loop.create_task(self._stand_in())

    async def _stand_in(self) -> None:
        """Accepts the connections of the workers in the last order, and of no others."""
        gateway = self._gateway
        assert gateway is not None  # noqa: S101 - only workers that serve get orders
        while self._standing != self._ordered:
            for number in self._standing - self._ordered:
                self._standing.discard(number)
                gateway.listener.current.cease(number)
            for number in self._ordered - self._standing:
                self._standing.add(number)
                sockets = self.assignment.neighbours[number]
                await gateway.listener.current.accept_from(number, sockets)

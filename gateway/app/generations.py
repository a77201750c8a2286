"""Generations: the site in force, and the one before it until its last request has ended.

A reload composes a new site while the old one serves, and replaces it by one assignment. Requests
in progress finish with the site that they started with; after the last of them, the parts of that
site are closed. At most two generations serve: a further reload ends the older one in a second.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from gateway.app.api_changes import Described, api_changes
from gateway.app.file_limit import fit_connections
from gateway.app.open_site import OpenSite
from gateway.app.route_changes import route_changes
from gateway.config.limits import Limits
from gateway.config.process_settings import process_changes, why_not_in_one_process
from gateway.endpoints.admin.operations import Config, ReloadReport
from gateway.exchange.exchange import Exchange
from gateway.http.messages import Request
from gateway.status import Code, StartUpError, StatusError

logger = logging.getLogger("gateway")

_STEP_S: Final = 0.05
_PATIENCE_S: Final = 1.0
"""Seconds in which the requests of the older generation can end before a further reload ends them:
reloads may follow each other faster than requests end."""
_LAST_ANSWERS_S: Final = 2.0
"""Seconds in which interrupted requests must be answered, before their site is closed."""


class Serving(Protocol):
    """The part of a listener that a reload needs."""

    @property
    def connections(self) -> Collection[Any]:
        """The open connections."""
        ...

    def apply(self, limits: Limits) -> None:
        """Applies new limits."""
        ...

    def stage(self, config: Config) -> Any:
        """Prepares its move to another address or other TLS files; None if it stays."""
        ...

    async def move(self, move: Any) -> None:
        """Moves it."""
        ...


Compose = Callable[[Config, AsyncExitStack, OpenSite | None], Awaitable[OpenSite]]
"""Composes the site of a configuration, after the one in force; its parts are closed with the
stack."""


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A site, its settings, and the stack that closes its parts."""

    number: int
    config: Config
    opened: OpenSite
    stack: AsyncExitStack
    warnings: tuple[str, ...]
    move: Any = None
    """The move of the listener that belongs to it; None if that stays."""
    changes: tuple[str, ...] = ()
    """A line for each setting of the process that differs."""

    @property
    def described(self) -> Described:
        """The parts that describe its API."""
        return Described(self.config, self.opened.schema, self.opened.site)


async def open_generation(
    config: Config,
    compose: Compose,
    number: int = 1,
    former: OpenSite | None = None,
) -> Generation:
    """Composes a site; closes its parts again if that fails.

    Raises:
        StartUpError: the configuration cannot be used; the message says why.
    """
    config, fitted = fit_connections(config)
    async with AsyncExitStack() as stack:
        opened = await compose(config, stack, former)
        return Generation(number, config, opened, stack.pop_all(), (*opened.warnings, *fitted))


class Generations:
    """The generations of one gateway."""

    def __init__(self, first: Generation, compose: Compose, exchange: Exchange) -> None:
        self.current = first
        """The generation that answers new requests."""
        self.on_end: Callable[[], None] = _nothing
        """Called after a former generation was closed, when nothing holds it any more."""
        self.listener: Serving | None = None
        """The listener whose requests the exchange answers; None before it is open."""
        self._compose = compose
        self._exchange = exchange
        self._retirement: asyncio.Task[None] | None = None
        self._cut = asyncio.Event()

    async def reset(self, by: str, name: str) -> None:
        """Makes counters of rate limits new; see `RateLimits.reset`."""
        await self.current.opened.reset_limits(by, name)

    @property
    def count(self) -> int:
        """The number of generations that are open."""
        return 1 if self._retirement is None else 2

    def census(self) -> Counter[tuple[str, str]]:
        """Counts the endpoints of each upstream of the current generation by state."""
        return self.current.opened.pool.census()

    async def prepare(self, config: Config, number: int | None = None) -> Generation:
        """Composes the next generation, and puts nothing in force.

        `number` is given by a supervisor, which starts other processes for settings that this one
        cannot change.

        Raises:
            StartUpError: the configuration cannot be used; the message says why.
        """
        former = self.current.opened
        if number is not None:
            return await open_generation(config, self._compose, number, former)
        number, running = self.current.number + 1, self.current.config
        changes = process_changes(running, config)
        why = why_not_in_one_process(list(changes), running, config)
        if why:
            raise StartUpError(why)
        move = None if self.listener is None else self.listener.stage(config)
        async with AsyncExitStack() as stack:
            if move is not None:
                stack.push_async_callback(move.undo)
            prepared = await open_generation(config, self._compose, number, former)
            if move is not None:
                prepared.stack.push_async_callback(move.undo)
            stack.pop_all()
        return replace(prepared, move=move, changes=tuple(changes.values()))

    async def report(self, prepared: Generation, *, compares: bool = True) -> ReloadReport:
        """Returns the changes that a prepared generation brings.

        With `compares`, also those that break clients, which are looked for in a thread.
        """
        current = self.current
        changes = tuple(route_changes(current.opened.site, prepared.opened.site))
        if compares:
            sides = current.described, prepared.described
            changes = (*await asyncio.to_thread(api_changes, *sides), *changes)
        routes = len(prepared.opened.transcoder.bindings)
        settings = prepared.changes
        return ReloadReport(prepared.number, routes, changes, prepared.warnings, settings)

    async def swap(self, prepared: Generation) -> None:
        """Puts a prepared generation in force; ends what is left of the last but one.

        Raises:
            StartUpError: another program has taken the new address; nothing has changed.
        """
        if self.listener is not None and prepared.move is not None:
            try:
                await self.listener.move(prepared.move)
            except BaseException:
                await prepared.stack.aclose()
                raise
        if self._retirement is not None:
            await asyncio.wait([self._retirement], timeout=_PATIENCE_S)
        # Nothing is retired meanwhile, but the retirement may have ended.
        if self._retirement is not None:
            self._cut.set()
            await asyncio.wait([self._retirement])
        old, self.current = self.current, prepared
        self._exchange.site = prepared.opened.site
        connections: Collection[Any] = ()
        if self.listener is not None:
            self.listener.apply(prepared.config.limits)
            connections = self.listener.connections
        self._cut = asyncio.Event()
        keep_s = prepared.config.reload.keep_s
        pending = [(one, request) for one in connections for request in one.in_progress()]
        retirement = _retire(old, pending, connections, self._cut, keep_s)
        self._retirement = asyncio.create_task(retirement)
        self._retirement.add_done_callback(self._retired)

    async def close(self) -> None:
        """Closes all generations; no request is in progress any more."""
        if self._retirement is not None:
            self._cut.set()
            await asyncio.wait([self._retirement])
        await self.current.stack.aclose()

    def _retired(self, task: "asyncio.Task[None]") -> None:
        if self._retirement is task:
            self._retirement = None
        # Later, because the caller still holds the task, and the task holds the generation.
        asyncio.get_running_loop().call_soon(self.on_end)


_Pending = list[tuple[Any, Request]]
"""Connections (`HttpProtocol`) with their request in progress."""


async def _retire(
    old: Generation,
    pending: _Pending,
    connections: Collection[Any],
    cut: asyncio.Event,
    keep_s: float,
) -> None:
    """Closes a generation after its requests; interrupts those that take longer than `keep_s`."""
    await _wait_for(pending, connections, keep_s, cut)
    for connection, _ in pending:
        connection.end_upgrade()
        connection.interrupt(_replaced())
    if pending:
        await _wait_for(pending, connections, _LAST_ANSWERS_S, None)
    try:
        await old.stack.aclose()
    except Exception:
        logger.exception("a part of the former settings could not be closed")


async def _wait_for(
    pending: _Pending, connections: Collection[Any], timeout_s: float, cut: asyncio.Event | None
) -> None:
    """Removes the requests that have ended from `pending`, until none is left or it is time."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + timeout_s
    while True:
        pending[:] = [
            (connection, request)
            for connection, request in pending
            if connection in connections and request in connection.in_progress()
        ]
        if not pending or loop.time() >= until_s or (cut is not None and cut.is_set()):
            return
        await asyncio.sleep(_STEP_S)


def _replaced() -> StatusError:
    return StatusError(
        Code.UNAVAILABLE, "the gateway has new settings", headers=[("Retry-After", "1")]
    )


def _nothing() -> None:
    """Does nothing."""

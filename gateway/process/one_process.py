"""A gateway of one process, as its operators see it."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from socket import socket

from gateway.endpoints.admin.operations import (
    Details,
    Errand,
    ErrandDone,
    Exposition,
    Follow,
    Followed,
    Inspect,
    Inspected,
    LogLevel,
    Purge,
    PurgeReport,
    ReloadReport,
    RouteRow,
    WorkerState,
)
from gateway.process.inspection import Inspector
from gateway.process.orders import Config, Told
from gateway.process.own_admin import OwnAdmin, served_admin
from gateway.status import Code, StartUpError, StatusError
from gateway.telemetry.event import about
from gateway.telemetry.logs.levels import Levels
from gateway.telemetry.logs.opening import Logs

__all__ = ["Details", "Errand", "ErrandDone", "ReloadReport", "RouteRow", "StartUpError"]
__all__ += ["OneProcess", "log_level", "operated"]

logger = logging.getLogger("gateway")


class OneProcess:
    """The operations on the gateway that this process serves; see `Operations`."""

    def __init__(self, config: Config, levels: Levels) -> None:
        self.config = config
        self.url = ""
        self.routes: Sequence[RouteRow] = ()
        self.generation = 1
        self.exposition: Exposition | None = None
        self.is_draining = False
        self._is_ending = False
        self._levels = levels
        self.counts: Callable[[], Told] | None = None
        """Counts connections and requests; None before the gateway serves."""
        self.tell_details: Callable[[], Details] | None = None
        """Returns the details of this process; None before the gateway serves."""
        self.reloading: Callable[..., Awaitable[ReloadReport]] | None = None
        """Reloads the settings, as `reload`; None before the gateway serves."""
        self.purge_cache: Callable[[Purge], int] | None = None
        """Drops stored replies and returns their number; None before the gateway serves."""
        self.take_followed: Callable[[Follow], Followed] | None = None
        """Returns the requests that an operator follows; None before the gateway serves."""
        self.run_errand: Callable[[Errand], Awaitable[ErrandDone]] | None = None
        """Carries out an errand; None before the gateway serves."""
        self.drop_changed: Callable[..., None] = _drop_nothing
        """Drops the stored replies with the paths or tags that another worker has changed."""
        self.admin: OwnAdmin | None = None
        """The admin listener, which a reload can move; None in a worker."""
        self.has_new_config: Callable[[], None] = _do_nothing
        """Called when a reload has put other settings in force."""
        self._waiting: dict[bool, asyncio.Future[ReloadReport]] = {}
        """The reload that waits for the end of another one, by `dry_run`."""
        self._one_reload = asyncio.Lock()
        self._inspector = Inspector()
        self._set_ready: Callable[[bool], None] | None = None
        self._since_s = time.monotonic()

    def serves(
        self,
        url: str,
        routes: Sequence[RouteRow],
        counts: Callable[[], Told],
        set_ready: Callable[[bool], None],
    ) -> None:
        """Notes that the gateway serves; `set_ready` tells the health check on its port."""
        self.url, self.routes, self.counts, self._set_ready = url, routes, counts, set_ready
        self._tell_health()

    def ends(self) -> None:
        """Notes that the drain has begun, which no operator can undo."""
        self.is_draining = self._is_ending = True
        self._tell_health()

    @property
    def level(self) -> LogLevel:
        """The log level in force."""
        return self._levels.level

    def set_level(self, level: LogLevel) -> None:
        """Changes the log level, and logs the change."""
        if level is not self._levels.level:
            self._levels.set(level)
            log_level(self._levels)

    def set_draining(self, *, is_draining: bool) -> None:
        """Makes the gateway not ready, or ready again."""
        self.is_draining = is_draining or self._is_ending
        self._tell_health()

    async def purge(self, purge: Purge) -> PurgeReport:
        """Drops stored replies."""
        return PurgeReport(self.purge_now(purge))

    def purge_now(self, purge: Purge) -> int:
        """Drops stored replies, and logs it; returns their number."""
        if self.purge_cache is None:
            return 0
        replies = self.purge_cache(purge)
        fields = about(
            "gateway.cache.purged",
            gateway__cache__by=purge.by,
            gateway__cache__soft=purge.soft,
            gateway__cache__replies=replies,
        )
        logger.info("an operator dropped %d stored replies by %s", replies, purge.by, extra=fields)
        return replies

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Reads the settings again and uses them; with `dry_run`, only says what would change.

        Raises:
            StartUpError: the settings cannot be used; those before stay in force.
        """
        if self.reloading is None or self._is_ending:
            raise StartUpError(f"the gateway is {'ending' if self._is_ending else 'starting'}")
        # One that waits will read the same settings: all who ask meanwhile get its answer.
        if dry_run not in self._waiting:
            next_one = self._reload_next(self.reloading, dry_run=dry_run)
            self._waiting[dry_run] = asyncio.ensure_future(next_one)
        # Its client may give up, but the reload must not stop half-way.
        return await asyncio.shield(self._waiting[dry_run])

    async def _reload_next(
        self, reloading: Callable[..., Awaitable[ReloadReport]], *, dry_run: bool
    ) -> ReloadReport:
        """Reloads after the reload that is going on."""
        async with self._one_reload:
            del self._waiting[dry_run]  # from now on it reads the settings
            return await reloading(dry_run=dry_run)

    def why_not_live(self) -> str:
        """Returns an empty text: a process that hangs does not answer at all."""
        return ""

    def why_not_started(self) -> str:
        """Returns the reason why nothing serves yet."""
        return "" if self.counts is not None else "starting"

    def why_not_ready(self) -> str:
        """Returns the reason why clients should go elsewhere."""
        return "draining" if self.is_draining else self.why_not_started()

    async def workers(self) -> Sequence[WorkerState]:
        """Returns the state of this process, as the only worker."""
        counts = None if self.counts is None else self.counts()
        state = "draining" if self._is_ending else "serving" if counts else "starting"
        uptime_s = round(time.monotonic() - self._since_s, 1)
        connections, requests = (counts.connections, counts.requests) if counts else (0, 0)
        return [WorkerState(1, os.getpid(), state, uptime_s, 0, connections, requests)]

    async def details(self) -> Mapping[int, Details]:
        """Returns the details of this process, as the only worker."""
        return {} if self.tell_details is None else {1: self.tell_details()}

    async def run(self, errand: Errand) -> ErrandDone:
        """Carries out an errand.

        Raises:
            StatusError: UNAVAILABLE, before the gateway serves.
        """
        if self.run_errand is None:
            raise StatusError(Code.UNAVAILABLE, "starting", headers=[("Retry-After", "1")])
        return await self.run_errand(errand)

    async def follow(self, follow: Follow) -> Mapping[int, Followed]:
        """Returns the requests that an operator follows, of this process, the only worker."""
        return {1: self.follow_now(follow)}

    async def inspect(self, inspect: Inspect) -> Mapping[int, str]:
        """Returns the state of this process, the only worker."""
        return {1: self._inspector.answer(inspect).text}

    def answer(self, asked: Purge | Follow | Inspect) -> int | Followed | Inspected:
        """Answers a question; see `Question`."""
        if isinstance(asked, Inspect):
            return self._inspector.answer(asked)
        return self.purge_now(asked) if isinstance(asked, Purge) else self.follow_now(asked)

    def follow_now(self, follow: Follow) -> Followed:
        """Returns the requests that an operator follows."""
        return Followed((), 0) if self.take_followed is None else self.take_followed(follow)

    def _tell_health(self) -> None:
        if self._set_ready is not None:
            self._set_ready(not self.is_draining)


def _do_nothing() -> None:
    """Does nothing: before the gateway serves, nothing depends on its settings."""


def _drop_nothing(paths: Collection[str], tags: Collection[str], *, is_all: bool) -> None:
    """Drops nothing: before the gateway serves, it has stored nothing."""


def log_level(levels: Levels) -> None:
    """Logs the level in force, at this level, because the log would leave out a lower one."""
    fields = about("gateway.log.level")
    logger.log(levels.number, "the log level is now %s", levels.level, extra=fields)


@asynccontextmanager
async def operated(
    config: Config, logs: Logs, *, is_worker: bool, sockets: list[socket] | None = None
) -> AsyncIterator[OneProcess]:
    """Serves the admin listener of this process while the block runs; a worker has none.

    `sockets` are those of the admin listener, if a service manager has opened them.

    Raises:
        StartUpError: the admin listener cannot be opened.
    """
    operations = OneProcess(config, logs.levels)
    if is_worker:
        yield operations
        return
    async with served_admin(config, operations, logs.audit, sockets) as operations.admin:
        yield operations

"""A running gateway: a site, an exchange that answers with it, and a listener."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice

from gateway.app.errands import Errands
from gateway.app.generations import Compose, Generations, open_generation
from gateway.app.open_site import OpenSite
from gateway.app.readings import PartsReadings
from gateway.app.site import open_site
from gateway.call import Interceptor
from gateway.endpoints.admin.operations import (
    MOST_ENDPOINTS,
    Config,
    EndpointRow,
    Exposition,
    ReloadReport,
)
from gateway.endpoints.health import Health
from gateway.exchange.exchange import Exchange
from gateway.exchange.health_path import HealthCheckedExchange
from gateway.listeners.movable import MovableListener, open_movable_listener
from gateway.listeners.sockets import Sockets
from gateway.schema.used_files import schema_hash
from gateway.stores.shared import SharedStores
from gateway.telemetry.logs.opening import Logs, Observer, open_logs
from gateway.telemetry.metrics.cells import CellFile, MetricFiles
from gateway.telemetry.metrics.definitions import LOST_LINES, LOST_TRACES, RELOADS
from gateway.telemetry.metrics.metric import Metric
from gateway.telemetry.metrics.metrics import Metrics
from gateway.telemetry.metrics.push import open_push
from gateway.telemetry.metrics.sampling import Sampler
from gateway.telemetry.recent_failures import RecentFailures
from gateway.telemetry.traces.opening import Traces, open_traces
from gateway.transcoding.transcoder import Transcoder
from gateway.upstream.balancing import SETTINGS_ONLY, Balancing

__all__ = ["Changed", "Config", "Gateway", "open_gateway"]

Changed = Callable[[Collection[str], Collection[str]], None]
"""Takes the paths and tags of stored replies that a call has changed."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway."""

    exchange: Exchange
    """Answers the requests; its `site` is replaced by a reload."""
    generations: Generations
    listener: MovableListener
    """The listener that accepts the connections; a reload can move it."""
    exposition: Exposition | None
    """The text of the metrics; None if they are off."""
    health: Health
    """The readiness that the health check on the public port shows."""
    failures: RecentFailures
    """The last failed requests; kept only for an admin listener, which shows them."""
    count_reload: Callable[[str], None]
    """Counts a reload: `applied` or `refused`."""
    errands: Errands
    """Carries out what operators ask of a process that serves."""

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self.generations.current.config

    @property
    def transcoder(self) -> Transcoder:
        """The transcoder in force, with the routes."""
        return self.generations.current.opened.transcoder

    @property
    def warnings(self) -> Sequence[str]:
        """Warnings for the operator about the settings in force, one per line."""
        return self.generations.current.warnings

    @property
    def address(self) -> str:
        """The address it listens on: `host:port` with the real port, or `unix:/path`."""
        return self.listener.current.address

    @property
    def scheme(self) -> str:
        """The scheme of its URL: http or https."""
        return self.config.scheme

    @property
    def url(self) -> str:
        """The URL for clients on this machine, without a trailing slash."""
        return f"{self.scheme}://{self.address}"

    def endpoints(self) -> tuple[EndpointRow, ...]:
        """Returns the endpoints of the upstreams in force; not those of `grpcio` channels."""
        found = self.generations.current.opened.pool.endpoints()
        return tuple(
            EndpointRow(
                *(name, one.address, one.weight, one.state, one.in_flight),
                *(one.failure, one.zone, one.priority),
            )
            for name, one in islice(found, MOST_ENDPOINTS)
        )

    def panics(self) -> frozenset[str]:
        """Returns the upstreams in force whose endpoints that are left out get calls too."""
        found = self.generations.current.opened.pool.panics()
        return frozenset(name for name, panics in found.items() if panics)

    async def reload(self, config: Config) -> ReloadReport:
        """Puts new settings in force while the gateway serves; returns what has changed.

        Requests in progress finish with the settings that they started with. Stores with the same
        URL are kept, and so are their tokens and counters. Reloads must not overlap.

        Raises:
            StartUpError: the settings cannot be used; those before stay in force. The message says
                why, one line per reason.
        """
        try:
            prepared = await self.generations.prepare(config)
        except BaseException:
            self.count_reload("refused")
            raise
        report = await self.generations.report(prepared)
        await self.generations.swap(prepared)
        self.count_reload("applied")
        return report


@asynccontextmanager
async def open_gateway(
    config: Config,
    *,
    interceptors: Sequence[Interceptor] = (),
    sockets: Sockets | None = None,
    logs: Logs | None = None,
    balancing: Balancing = SETTINGS_ONLY,
    metric_files: MetricFiles | None = None,
    changed: Changed | None = None,
    generation: int = 1,
) -> AsyncIterator[Gateway]:
    """Opens a gateway that serves while the block runs; then everything is closed in reverse.

    Calls pass the interceptors of the settings and then `interceptors`, first to last, before they
    leave for their back end. `sockets`, if given, are bound to the configured address already;
    `logs`, if given, are already open; `metric_files` are those of a worker among others.
    `balancing` has resolvers and policies of the program's own. `changed` is called with the paths
    and tags that a call has changed, for workers that store replies; `generation` is the number of
    the settings.

    Raises:
        SchemaError, SelectorError, RulesError, ReflectionError, PoolError, StoreUrlError,
            AuthError, PolicyError, RateLimitError, InterceptorError, LogError, ListenError: it
            cannot start; the message says why.
    """
    async with AsyncExitStack() as stack:
        if logs is None:
            logs = await stack.enter_async_context(open_logs(config.log))
        failures = RecentFailures()
        metrics = _open_metrics(config, metric_files, stack)
        traces = await stack.enter_async_context(open_traces(config.tracing, config.scheme))
        stores = SharedStores(None if metrics is None else metrics.store)
        compose = _composition(
            *(logs, interceptors, balancing, metrics, traces, failures, stores, changed)
        )
        first = await open_generation(config, compose, generation)
        health = Health()
        exchange = _exchange(config, first.opened, health)
        generations = Generations(first, compose, exchange)
        stack.push_async_callback(generations.close)
        listener = await stack.enter_async_context(open_movable_listener(config, exchange, sockets))
        generations.listener = listener
        if metrics is not None:
            readings = PartsReadings(lambda: generations.current, listener.tls_reloads, stores)
            numbers = listener.load, generations.census, _losses(logs, traces)
            sampler = Sampler(metrics, *numbers, scheme=config.scheme, readings=readings)
            _open_push(config, metrics, metric_files, stack)
            stack.callback(sampler.stop)
        yield Gateway(
            exchange,
            generations,
            listener,
            None if metrics is None else metrics.exposition,
            health,
            failures,
            _count_nothing if metrics is None else metrics.by_value(RELOADS, "applied", "refused"),
            Errands(lambda: generations.current.described, stores, logs.audit, generations.reset),
        )


def _exchange(config: Config, opened: OpenSite, health: Health) -> Exchange:
    """Returns what answers requests: also those for the health check, if it has a path."""
    path = config.health.path
    if path is None:
        return Exchange(opened.site)
    return HealthCheckedExchange(opened.site, path, health.answer)


def _composition(  # noqa: PLR0917 - what all sites share
    logs: Logs,
    interceptors: Sequence[Interceptor],
    balancing: Balancing,
    metrics: Metrics | None,
    traces: Traces | None,
    failures: Observer,
    stores: SharedStores,
    changed: Changed | None,
) -> Compose:
    """Returns the composition of a site, with what all sites of the gateway share."""

    async def compose(
        config: Config, stack: AsyncExitStack, former: OpenSite | None = None
    ) -> OpenSite:
        opened = await open_site(
            *(config, logs, stack, interceptors),
            former=former,
            balancing=balancing,
            metrics=metrics,
            traces=traces,
            stores=stores,
            more_observers=[] if config.admin.listen is None else [failures],
        )
        if changed is not None and opened.cache is not None and opened.cache.shared is None:
            opened.cache.tell = changed
        if metrics is None:
            return opened
        # In a thread: a large schema would hold the loop, and with it all requests.
        found = await asyncio.to_thread(schema_hash, opened.schema)
        return replace(opened, schema_hash=found)

    return compose


def _open_metrics(
    config: Config, files: MetricFiles | None, stack: AsyncExitStack
) -> Metrics | None:
    """Opens the metrics of this process; None if they are off."""
    if not config.metrics.enabled:
        return None
    if files is None:
        own = CellFile()
        stack.callback(own.close)
        files = MetricFiles(own, (own,))
    exposition = Exposition(config.metrics, files.shown, config.tracing)
    return Metrics(config.metrics, files, scheme=config.scheme, exposition=exposition)


def _open_push(
    config: Config, metrics: Metrics, files: MetricFiles | None, stack: AsyncExitStack
) -> None:
    """Sends the metrics to a collector, if that is set, and a last time at the end.

    For workers, which have `files`, their supervisor does it.
    """
    push = open_push(config, metrics.exposition.export) if files is None else None
    if push is not None:
        stack.push_async_callback(asyncio.to_thread, push.close)  # it waits for the collector


def _count_nothing(_: str) -> None:
    """Counts nothing."""


def _losses(logs: Logs, traces: Traces | None) -> Mapping[Metric, Callable[[], float]]:
    """Returns what counts the losses of this process."""
    losses: dict[Metric, Callable[[], float]] = {LOST_LINES: logs.lost_lines}
    if traces is not None:
        losses[LOST_TRACES] = traces.exporter.lost
    return losses

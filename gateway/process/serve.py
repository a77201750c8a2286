"""One gateway in this process, from start-up to the end of its last request."""

import asyncio
import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext, suppress
from importlib.metadata import version
from typing import Any

from gateway.app.file_limit import raise_file_limit
from gateway.app.gateway import Config, Gateway, open_gateway
from gateway.process.allocator import give_back_memory, give_back_now, keep_freed_memory
from gateway.process.loop_watch import watch_loop
from gateway.process.one_process import Details, OneProcess, ReloadReport, StartUpError, operated
from gateway.process.orders import CUT, Assignment, Sockets, Told, WantReload
from gateway.process.reflection_watch import watch_reflection
from gateway.process.reloading import Reloader
from gateway.process.service_manager import ServiceManager
from gateway.process.shutdown import Shutdown
from gateway.process.signals import levels_by_signal, reload_when_told
from gateway.process.watched import SupervisorLink
from gateway.telemetry.event import about
from gateway.telemetry.logs.opening import open_logs

logger = logging.getLogger("gateway")

# Few objects of a request are in cycles, so nearly all are freed with it. Searching for cycles
# after 10,000 objects instead of 700 avoids 4 % of the instructions of a request. It costs at most
# one megabyte.
_GARBAGE_THRESHOLDS = (10_000, 20, 50)
# Threads transcode large messages, write documents and metrics, and read reloaded schemas. Each
# time the event loop needs the interpreter lock, it waits this long for such a thread, instead of
# the 5 ms of Python's default; the CPU per request stays the same.
_THREAD_SWITCH_S = 0.0005


async def serve(
    config: Config,
    *,
    started: Callable[[Gateway], None],
    stopping: Callable[[], None],
    sockets: Sockets | None = None,
    admin_sockets: Sockets | None = None,
    is_port_kept: bool = False,
    link: SupervisorLink | None = None,
    read: Callable[[], Config] | None = None,
) -> int:
    """Serves until SIGINT or SIGTERM, or until the supervisor of this process has ended.

    `read` reads the settings again for a reload; None in a worker, which gets them.
    `is_port_kept` says that the `sockets` must still listen after the end.

    Returns the exit code: 0, or 3 if requests had to be cut.

    Raises:
        StartUpError: it cannot start; the message has the reason.
    """
    shutdown = Shutdown()
    loop, is_worker = asyncio.get_running_loop(), link is not None
    shutdown.listen_to(loop, is_worker=is_worker)
    if link is not None:
        link.attach(loop, shutdown)
    manager = ServiceManager({} if is_worker else os.environ)
    keep_freed_memory()
    raise_file_limit()
    async with open_logs(config.log) as logs:
        opening = operated(config, logs, is_worker=is_worker, sockets=admin_sockets)
        with logs.speaking_for_program(), levels_by_signal(logs.levels):
            since_s, assignment = time.monotonic(), None if link is None else link.assignment
            _announce_start(assignment)
            shared = _shared_with_workers(link)
            async with (
                opening as operations,
                open_gateway(config, sockets=sockets, logs=logs, **shared) as gateway,
            ):
                reloader = Reloader(gateway, operations, read)
                _show(gateway, operations, reloader, manager)
                if link is not None:
                    link.operate(operations, reloader.obey)
                _settle()
                _announce(gateway, assignment)
                started(gateway)
                manager.ready(_status(gateway))
                background = _background(manager) + _watching(gateway, operations, link)
                with nullcontext() if read is None else reload_when_told(operations):
                    await shutdown.begun.wait()
                manager.stopping()
                await reloader.close()
                logger.info("finishing the requests under way", extra=about("gateway.draining"))
                operations.ends()
                await shutdown.wait(shutdown.limits(gateway.config.drain).delay_s)
                stopping()
                cut = await _finish(gateway, shutdown, background, is_port_kept=is_port_kept)
            served_s = round(time.monotonic() - since_s, 3)
            logger.info("stopped", extra=about("gateway.stopped", gateway__served=served_s))
    return CUT if cut else 0


def _shared_with_workers(link: SupervisorLink | None) -> dict[str, Any]:
    """Returns the parts of a gateway that it shares with the other workers, as named arguments."""
    if link is None:
        return {}
    task = link.assignment
    return {
        "metric_files": task.metric_files,
        "changed": link.changed,
        "generation": task.generation,
    }


def _background(manager: ServiceManager) -> list[asyncio.Task[None]]:
    """Starts the tasks that run as long as the gateway serves."""

    async def say_alive(every_s: float) -> None:
        while True:
            manager.alive()
            await asyncio.sleep(every_s)

    found = [asyncio.create_task(give_back_memory()), asyncio.create_task(watch_loop())]
    if manager.alive_every_s is not None:
        # The loop itself says it, so a loop that hangs is silent.
        found.append(asyncio.create_task(say_alive(manager.alive_every_s / 2)))
    return found


def _watching(
    gateway: Gateway, operations: OneProcess, link: SupervisorLink | None
) -> list[asyncio.Task[None]]:
    """Starts to ask back ends whether they have changed; of several workers, the first asks."""

    async def reload() -> None:
        if link is not None:
            link.report(WantReload())
            return
        with suppress(StartUpError):  # the log has the reason
            await operations.reload(dry_run=False)

    if link is not None and link.assignment.number != 1:
        return []
    return [asyncio.create_task(watch_reflection(gateway, reload))]


def _status(gateway: Gateway) -> str:
    return f"serving {len(gateway.transcoder.bindings)} routes on {gateway.url}"


async def _finish(
    gateway: Gateway,
    shutdown: Shutdown,
    background: Sequence[asyncio.Task[None]],
    *,
    is_port_kept: bool,
) -> int:
    """Drains the port, and then ends the tasks; returns the number of requests that were cut."""
    is_closed = shutdown.is_for_all and not is_port_kept
    options, keeps = shutdown.limits(gateway.config.drain), shutdown.is_retirement
    cut = await gateway.listener.drain(
        options, shutdown.cut, is_port_closed=is_closed, keeps_upgrades=keeps
    )
    for task in background:
        task.cancel()
    return cut


def _show(
    gateway: Gateway, operations: OneProcess, reloader: Reloader, manager: ServiceManager
) -> None:
    """Shows the gateway to its operators, and its reloads to the service manager."""

    async def reload(*, dry_run: bool) -> ReloadReport:
        if dry_run:
            return await reloader.reload(dry_run=True)
        manager.reloading(is_going_on=True)
        try:
            return await reloader.reload(dry_run=False)
        finally:
            manager.ready(_status(gateway))
            manager.reloading(is_going_on=False)

    def counts() -> Told:
        connections = gateway.listener.connections
        return Told(len(connections), sum(one.is_busy for one in connections))

    def set_ready(is_ready: bool) -> None:  # noqa: FBT001 - its one argument
        gateway.health.is_ready = is_ready

    def details() -> Details:
        failures, down = gateway.failures.latest(), gateway.errands.stores_down()
        return Details(gateway.endpoints(), gateway.panics(), failures, down)

    def drop_changed(paths: Collection[str], tags: Collection[str], *, is_all: bool) -> None:
        cache = gateway.generations.current.opened.cache
        if cache is not None:
            cache.drop(paths, tags, is_all=is_all)

    operations.exposition, operations.tell_details = gateway.exposition, details
    operations.purge_cache = lambda purge: (
        0 if (cache := gateway.generations.current.opened.cache) is None else cache.purge(purge)
    )
    operations.take_followed = gateway.failures.following.take
    operations.run_errand = gateway.errands.run
    operations.drop_changed = drop_changed
    operations.config, operations.reloading = gateway.config, reload
    operations.serves(gateway.url, reloader.routes(), counts, set_ready)


def _settle() -> None:
    """Prepares the interpreter for requests: threads yield sooner, and no garbage collection looks
    at the objects of start-up, which stay."""
    sys.setswitchinterval(_THREAD_SWITCH_S)
    gc.collect()
    give_back_now()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    gc.enable()


def _announce_start(assignment: Assignment | None) -> None:
    """Logs the start of the gateway, or the end of the worker that this one replaces."""
    if assignment is not None and assignment.last_end:
        lost = about("gateway.worker.lost", gateway__worker__stack=assignment.stack or None)
        logger.error("%s", assignment.last_end, extra=lost)
    if assignment is None or assignment.is_first:
        logger.info("starting", extra=about("gateway.started", service__version=_version()))


def _announce(gateway: Gateway, assignment: Assignment | None) -> None:
    """Logs the routes and the address; the later of several workers log only their numbers."""
    if assignment is not None and not assignment.is_first:
        fields = about("gateway.worker.started", gateway__worker__number=assignment.number)
        logger.info("worker %d serves", assignment.number, extra=fields)
        return
    for warning in gateway.warnings:
        logger.warning(warning.removeprefix("warning: "), extra=about("gateway.warning"))
    count = len(gateway.transcoder.bindings)
    about_it = about("gateway.listening", server__address=gateway.address, gateway__routes=count)
    logger.info("serving %d routes on %s", count, gateway.url, extra=about_it)


def _version() -> str:
    return version("grpc-rest-gateway")

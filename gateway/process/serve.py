"""One gateway in this process, from start-up to the end of its last request."""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, TypeVar

from gateway.app.file_limit import raise_file_limit
from gateway.app.gateway import Gateway, open_gateway
from gateway.config.model import Config
from gateway.endpoints.admin.operations import RouteRow
from gateway.listeners.draining import drain
from gateway.listeners.sockets import Sockets
from gateway.process.allocator import give_back_memory, keep_freed_memory
from gateway.process.one_process import OneProcess, operated
from gateway.process.orders import CUT, Assignment, Told
from gateway.process.shutdown import Shutdown
from gateway.process.watched import SupervisorLink
from gateway.telemetry.event import about
from gateway.telemetry.logs.levels import Levels
from gateway.telemetry.logs.opening import open_logs

logger = logging.getLogger("gateway")

T = TypeVar("T")
# Few objects of a request are in cycles, so nearly all are freed with it. Searching for cycles
# after 10,000 objects instead of 700 avoids 4 % of the instructions of a request. It costs at most
# one megabyte.
_GARBAGE_THRESHOLDS = (10_000, 20, 50)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on uvloop, or on asyncio where uvloop is not installed."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def serve(
    config: Config,
    *,
    started: Callable[[Gateway], None],
    stopping: Callable[[], None],
    sockets: Sockets | None = None,
    link: SupervisorLink | None = None,
) -> int:
    """Serves until SIGINT or SIGTERM, or until the supervisor of this process has ended.

    Returns the exit code: 0, or 3 if requests had to be cut.

    Raises:
        StartUpError: it cannot start; the message has the reason.
    """
    shutdown = Shutdown()
    loop = asyncio.get_running_loop()
    shutdown.listen_to(loop, is_worker=link is not None)
    if link is not None:
        link.attach(loop, shutdown)
    keep_freed_memory()
    raise_file_limit()
    async with open_logs(config.log) as logs:
        opening = operated(config, logs.levels, is_worker=link is not None)
        with logs.speaking_for_program(), _levels_by_signal(logs.levels):
            since_s = time.monotonic()
            assignment = None if link is None else link.assignment
            _announce_start(assignment)
            files = None if assignment is None else assignment.metric_files
            async with (
                opening as operations,
                open_gateway(config, sockets=sockets, logs=logs, metric_files=files) as gateway,
            ):
                _show(gateway, operations)
                if link is not None:
                    link.operate(operations)
                _settle()
                _announce(gateway, assignment)
                started(gateway)
                giving_back = asyncio.create_task(give_back_memory())
                await shutdown.begun.wait()
                giving_back.cancel()
                logger.info("finishing the requests under way", extra=about("gateway.draining"))
                operations.ends()
                await shutdown.wait(config.drain.delay_s)
                stopping()
                assert gateway.listener is not None  # noqa: S101 - it was opened with a port
                cut = await drain(
                    gateway.listener,
                    config.drain,
                    shutdown.cut,
                    is_port_closed=shutdown.is_for_all,
                )
            served_s = round(time.monotonic() - since_s, 3)
            logger.info("stopped", extra=about("gateway.stopped", gateway__served=served_s))
    return CUT if cut else 0


def _show(gateway: Gateway, operations: OneProcess) -> None:
    """Shows the gateway to its operators."""
    rows = [
        RouteRow(binding.http_method, str(binding.template), binding.method.full_name)
        for binding in gateway.transcoder.bindings
    ]

    def counts() -> Told:
        connections = () if gateway.listener is None else gateway.listener.port.connections
        return Told(len(connections), sum(one.is_busy for one in connections))

    def set_ready(is_ready: bool) -> None:  # noqa: FBT001 - its one argument
        gateway.health.is_ready = is_ready

    operations.exposition = gateway.exposition
    operations.serves(gateway.url, rows, counts, set_ready)


def _settle() -> None:
    """Exempts the objects of start-up, which stay, from every later garbage collection."""
    gc.collect()
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


@contextmanager
def _levels_by_signal(levels: Levels) -> Iterator[None]:
    """Lowers the log level on SIGUSR1, raises it on SIGUSR2, and resets it on SIGHUP."""
    loop = asyncio.get_running_loop()

    def change(how: Callable[[], None]) -> None:
        how()
        # At the level in force, because the log would leave out a lower one.
        fields = about("gateway.log.level")
        logger.log(levels.number, "the log level is now %s", levels.level, extra=fields)

    changes = {
        signal.SIGUSR1: levels.lower,
        signal.SIGUSR2: levels.raise_,
        signal.SIGHUP: levels.reset,
    }
    for number, how in changes.items():
        loop.add_signal_handler(number, change, how)
    try:
        yield
    finally:
        for number in changes:
            loop.remove_signal_handler(number)


def _version() -> str:
    return version("grpc-rest-gateway")

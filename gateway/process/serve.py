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
from gateway.listeners.sockets import Sockets
from gateway.process.allocator import give_back_memory, keep_freed_memory
from gateway.process.orders import Post
from gateway.process.watched import Watched
from gateway.telemetry.event import about
from gateway.telemetry.logs.levels import Levels
from gateway.telemetry.logs.opening import open_logs

logger = logging.getLogger("gateway")

T = TypeVar("T")
# What a request makes is gone with it, hardly any of it in cycles. To look for cycles after ten
# thousand objects instead of 700 saves 4 % of its instructions, and keeps a megabyte at most.
_GARBAGE_THRESHOLDS = (10_000, 20, 50)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs to the end on uvloop, or on asyncio where there is none."""
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
    watched: Watched | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, or until the supervisor is gone that watches this process.

    Raises:
        StartUpError: it cannot start; the text says why.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if watched is not None:
        watched.attach(loop, stopped.set)
    keep_freed_memory()
    raise_file_limit()
    async with open_logs(config.log) as logs:
        with logs.speaking_for_program(), _levels_by_signal(logs.levels):
            since_s = time.monotonic()
            post = None if watched is None else watched.post
            _announce_start(post)
            async with open_gateway(config, sockets=sockets, logs=logs) as gateway:
                _settle()
                _announce(gateway, post)
                started(gateway)
                giving_back = asyncio.create_task(give_back_memory())
                await stopped.wait()
                giving_back.cancel()
                logger.info("finishing what is under way", extra=about("gateway.draining"))
                stopping()
            served_s = round(time.monotonic() - since_s, 3)
            logger.info("stopped", extra=about("gateway.stopped", gateway__served=served_s))


def _settle() -> None:
    """What start-up made stays: saves looking through it at every collection of garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    gc.enable()


def _announce_start(post: Post | None) -> None:
    """Tells that a gateway starts, or what became of the worker that this one replaces."""
    if post is not None and post.fate:
        lost = about("gateway.worker.lost", gateway__worker__stack=post.stack or None)
        logger.error("%s", post.fate, extra=lost)
    if post is None or post.is_first:
        logger.info("starting", extra=about("gateway.started", service__version=_version()))


def _announce(gateway: Gateway, post: Post | None) -> None:
    """Tells what is served; of several workers the first does, and the others name themselves."""
    if post is not None and not post.is_first:
        said = about("gateway.worker.started", gateway__worker__number=post.number)
        logger.info("worker %d serves", post.number, extra=said)
        return
    for warning in gateway.warnings:
        logger.warning(warning.removeprefix("warning: "), extra=about("gateway.warning"))
    count = len(gateway.transcoder.bindings)
    about_it = about("gateway.listening", server__address=gateway.address, gateway__routes=count)
    logger.info("serving %d routes on %s", count, gateway.url, extra=about_it)


@contextmanager
def _levels_by_signal(levels: Levels) -> Iterator[None]:
    """SIGUSR1 has more written down, SIGUSR2 less, and SIGHUP what the settings say."""
    loop = asyncio.get_running_loop()

    def change(how: Callable[[], None]) -> None:
        how()
        # At the level in force, or it would not be seen.
        said = about("gateway.log.level")
        logger.log(levels.number, "the log writes %s now", levels.level, extra=said)

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

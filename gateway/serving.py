"""One gateway in this process, from start-up to the end of its last request."""

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.app import Gateway, open_gateway
from gateway.config.model import Config
from gateway.frontend.ports import Sockets

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
    until: int | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, or until the pipe `until` is closed at its other end.

    Raises:
        StartUpError: it cannot start; the text says why.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if until is not None:
        loop.add_reader(until, stopped.set)
    async with open_gateway(config, sockets=sockets) as gateway:
        # What start-up made stays: saves looking through it at every collection of garbage.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GARBAGE_THRESHOLDS)
        gc.enable()
        started(gateway)
        await stopped.wait()
        if until is not None:
            loop.remove_reader(until)
        stopping()

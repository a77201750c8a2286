"""The drain of a port: the requests of kept connections are answered, then everything is ended."""

import asyncio
from typing import Final

from gateway.config.drain import DrainOptions
from gateway.listeners.listener import Listener
from gateway.status import Code, StatusError

_STEP_S: Final = 0.01
_RETRY_AFTER_S: Final = 1
_LAST_ANSWERS_S: Final = 2.0
"""Seconds in which interrupted requests must be answered; what is left then is aborted."""


async def drain(
    listener: Listener,
    options: DrainOptions,
    cut: asyncio.Event,
    *,
    is_port_closed: bool = True,
    keeps_upgrades: bool = False,
) -> int:
    """Stops accepting, and returns when all requests have ended; returns how many were cut.

    A kept connection gets an answer to its next request, with `Connection: close` (RFC 9112 section
    9.6). Without one it is closed after `options.idle_s`: closed at once, a request that its client
    is just sending would be lost. `cut` ends all requests at once. With `is_port_closed`, no other
    process accepts connections of these sockets from now on. With `keeps_upgrades`, WebSockets last
    as long as streams do; else they end at once.
    """
    port, loop = listener.port, asyncio.get_running_loop()
    listener.stop_accepting(is_port_closed=is_port_closed, idle_s=options.idle_s)
    if not keeps_upgrades:
        port.end_upgrades()
    since_s = loop.time()
    cut_count: int = 0
    is_streaming_over = False
    while (port.connections or listener.has_handshakes) and not cut.is_set():
        passed_s = loop.time() - since_s
        if passed_s >= options.grace_s:
            break
        if passed_s >= options.streams_s and not is_streaming_over:
            is_streaming_over, error = True, _shutting_down()
            port.end_upgrades()
            cut_count += len([c for c in list(port.connections) if c.interrupt_stream(error)])
        await asyncio.sleep(_STEP_S)
    port.end_upgrades()
    error = _shutting_down()
    cut_count += len([c for c in list(port.connections) if c.interrupt(error)])
    until_s = loop.time() + _LAST_ANSWERS_S
    while loop.time() < until_s and any(one.is_busy for one in port.connections):  # noqa: ASYNC110 - once
        await asyncio.sleep(_STEP_S)
    return cut_count


def _shutting_down() -> StatusError:
    return StatusError(
        Code.UNAVAILABLE,
        "the gateway is shutting down",
        headers=[("Retry-After", str(_RETRY_AFTER_S))],
    )

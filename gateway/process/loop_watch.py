"""Watches the event loop from a thread, and shows where it is while it is blocked."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from typing import Final

from gateway.telemetry.event import about

logger = logging.getLogger("gateway")

_EVERY_S: Final = 0.25
_LATE_S: Final = 0.5
"""The time without a turn of the loop after which it is blocked: two intervals."""
_SAID_EVERY_S: Final = 10.0
_SHOWN_CALLS: Final = 15
"""The innermost calls of a stack that are logged."""


class LoopWatch:
    """Logs the stack of the loop's thread while a turn of the loop takes too long, until `stop`.

    One warning in ten seconds is enough. Code in C that holds the interpreter's lock is not seen.
    """

    def __init__(self, late_s: float = _LATE_S) -> None:
        """Starts the thread; the event loop must be running in this one."""
        self._late_s = late_s
        self._watched = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._said_s = -_SAID_EVERY_S
        self._beat()
        thread = threading.Thread(target=self._watch, name="loop watch", daemon=True)
        thread.start()

    def stop(self) -> None:
        """Ends the watch."""
        self._stopped.set()
        self._timer.cancel()

    def _beat(self) -> None:
        self._beaten_s = time.monotonic()
        self._timer = self._loop.call_later(_EVERY_S, self._beat)

    def _watch(self) -> None:
        looked_s = time.monotonic()
        while not self._stopped.wait(_EVERY_S):
            before_s, looked_s = looked_s, time.monotonic()
            blocked_s = looked_s - self._beaten_s
            # If this thread was late too, the whole process was stopped, or the machine is busy.
            is_own_fault = looked_s - before_s > self._late_s
            if blocked_s < self._late_s or is_own_fault:
                continue
            if looked_s - self._said_s >= _SAID_EVERY_S:
                self._said_s = looked_s
                self._say(blocked_s)

    def _say(self, blocked_s: float) -> None:
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - the documented name
        stack = "".join(traceback.format_stack(frame)[-_SHOWN_CALLS:]).rstrip()
        fields = about("gateway.loop.blocked", gateway__loop__stack=stack)
        logger.warning("the event loop has been blocked for %.1f s", blocked_s, extra=fields)


async def watch_loop() -> None:
    """Watches the loop that runs this, until it is cancelled; see `LoopWatch`."""
    watch = LoopWatch()
    try:
        await asyncio.Event().wait()
    finally:
        watch.stop()

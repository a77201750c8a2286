"""The heartbeats of a worker's event loop, and its stack if it dies of a signal.

Both use one pipe. This module must not import code that serves, because the supervisor uses it.
"""

import faulthandler
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

BEAT_S: Final = 0.25
"""The interval of the heartbeats, in seconds."""
LATE_S: Final = 1.0
"""Seconds without a heartbeat after which other workers accept a worker's connections."""

_BEAT: Final = b"\0"
_THREAD: Final = "(most recent call first)"
_CURRENT: Final = "Current thread"
_MOST_STACK_BYTES: Final = 16 * 1024
_READ_BYTES: Final = 64 * 1024


class HeartbeatReader:
    """The supervisor's end of the pipe."""

    def __init__(self, connection: "Connection", now_s: float) -> None:
        self.connection = connection
        self.last_heard_s = now_s
        """The time at which data last arrived."""
        self.is_over = False
        """True if the other end is closed."""
        self._stack = b""
        # A child process of a worker can keep the pipe open after the worker has ended: a blocking
        # read would wait for it.
        os.set_blocking(connection.fileno(), False)

    @property
    def stack(self) -> str:
        """The stacks of the worker's threads when it died; empty if it wrote none.

        The thread that received the signal comes first. It is nearly always that of the event loop,
        which faulthandler writes last.
        """
        parts = self._stack.decode("utf-8", "replace").split("\n\n")
        threads = [part.strip() for part in parts if _THREAD in part]
        threads.sort(key=lambda thread: _CURRENT not in thread)
        return "\n".join(threads)

    def read(self, now_s: float) -> bool:
        """Reads some of the available data; returns True if there was any."""
        try:
            data = os.read(self.connection.fileno(), _READ_BYTES)
        except OSError:  # with BlockingIOError, no data is available
            return False
        if data:
            self.last_heard_s = now_s
            room = _MOST_STACK_BYTES - len(self._stack)
            self._stack += data.replace(_BEAT, b"")[:room]
        self.is_over = not data
        return bool(data)

    def forgive(self, delay_s: float, now_s: float) -> None:
        """Does not count the last `delay_s` seconds as silence: the reader itself did not run."""
        self.last_heard_s = min(now_s, self.last_heard_s + delay_s)

    def close(self, now_s: float) -> None:
        """Reads the rest and closes the pipe, after the worker has ended."""
        while self.read(now_s):
            pass
        self.connection.close()


class _Loop(Protocol):
    """The part of an event loop that heartbeats need."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> object: ...


class HeartbeatSender:
    """The worker's end of the pipe."""

    def __init__(self, connection: "Connection") -> None:
        """Makes this process write its stack to the pipe if it dies of a fatal signal."""
        self._connection = connection
        # Not blocking: a supervisor that does not read must not delay requests.
        os.set_blocking(connection.fileno(), False)
        faulthandler.enable(connection.fileno())

    def start(self, loop: _Loop) -> None:
        """Sends a heartbeat every `BEAT_S` seconds for as long as the loop runs."""
        try:
            os.write(self._connection.fileno(), _BEAT)
        except BlockingIOError:
            pass
        except OSError:
            return  # the supervisor has ended, which the other pipe reports
        loop.call_later(BEAT_S, lambda: self.start(loop))

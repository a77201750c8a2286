"""The signs of life of a worker: beats of its event loop, and its stack if it dies of a signal.

Both come through one pipe. Imports nothing that serves: the supervisor is at the other end.
"""

import faulthandler
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Final, Protocol

BEAT_S: Final = 0.5
"""A worker's event loop shows so often that it goes round."""
LATE_S: Final = 1.5
"""Other workers accept the connections of one that has shown nothing for so long."""

_BEAT: Final = b"\0"
_THREAD: Final = "(most recent call first)"
_CURRENT: Final = "Current thread"
_MOST_STACK_BYTES: Final = 16 * 1024
_READ_BYTES: Final = 64 * 1024


class Listening:
    """The supervisor's end."""

    def __init__(self, connection: Connection, now_s: float) -> None:
        self.connection = connection
        self.heard_s = now_s
        """When something was heard last."""
        self.is_over = False
        """Whether the other end is closed."""
        self._stack = b""
        # A process that a worker has started may hold the pipe open when the worker is gone.
        os.set_blocking(connection.fileno(), False)

    @property
    def stack(self) -> str:
        """The stacks of the worker's threads when it died; empty if it wrote none.

        The thread that the signal came to is the first: nearly always that of the event loop, which
        faulthandler writes last.
        """
        parts = self._stack.decode("utf-8", "replace").split("\n\n")
        threads = [part.strip() for part in parts if _THREAD in part]
        threads.sort(key=lambda thread: _CURRENT not in thread)
        return "\n".join(threads)

    def hear(self, now_s: float) -> bool:
        """Takes some of what has come; tells whether there was anything."""
        try:
            data = os.read(self.connection.fileno(), _READ_BYTES)
        except OSError:  # nothing, in BlockingIOError's case
            return False
        if data:
            self.heard_s = now_s
            room = _MOST_STACK_BYTES - len(self._stack)
            self._stack += data.replace(_BEAT, b"")[:room]
        self.is_over = not data
        return bool(data)

    def close(self, now_s: float) -> None:
        """Takes what is left and closes the pipe; its worker has ended."""
        while self.hear(now_s):
            pass
        self.connection.close()


class _Loop(Protocol):
    """An event loop, as far as beats need one."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> object: ...


class Beating:
    """The worker's end."""

    def __init__(self, connection: Connection) -> None:
        """Has this process write its stack there if it dies of a fatal signal."""
        self._connection = connection
        # A supervisor that does not read must not hold up what serves.
        os.set_blocking(connection.fileno(), False)
        faulthandler.enable(connection.fileno())

    def start(self, loop: _Loop) -> None:
        """Shows life in every turn of the clock, for as long as the loop runs."""
        try:
            os.write(self._connection.fileno(), _BEAT)
        except BlockingIOError:
            pass
        except OSError:
            return  # the supervisor is gone, which the other pipe tells
        loop.call_later(BEAT_S, lambda: self.start(loop))

"""The work of other threads, and signals, for a thread that waits for sockets."""

import signal
import socket
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress


class Inbox:
    """A queue of work with a socket that becomes readable when there is some."""

    def __init__(self) -> None:
        self.heard, self._sender = socket.socketpair()
        self.heard.settimeout(0)
        self._sender.settimeout(0)
        self._works: deque[Callable[[], None]] = deque()

    def post(self, work: Callable[[], None]) -> None:
        """Adds work, from any thread."""
        self._works.append(work)
        with suppress(BlockingIOError):  # it is readable already
            self._sender.send(b"\0")

    def run(self) -> None:
        """Does all work, in the calling thread."""
        with suppress(BlockingIOError):
            self.heard.recv(4096)
        while self._works:
            self._works.popleft()()

    def close(self) -> None:
        """Closes the sockets."""
        self.heard.close()
        self._sender.close()


@contextmanager
def heard_signals(numbers: Collection[int]) -> Iterator[socket.socket]:
    """Yields a socket that receives each signal as a byte; restores the handlers at the end."""
    heard, sender = socket.socketpair()
    sender.settimeout(0)  # signal.set_wakeup_fd needs it: a signal must not wait
    before = {n: signal.signal(n, _noted) for n in numbers}
    wakeup = signal.set_wakeup_fd(sender.fileno())
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        heard.close()
        sender.close()


def _noted(_number: int, _frame: object) -> None:
    """Does nothing: Python writes the number of a signal with a handler (signal.set_wakeup_fd)."""

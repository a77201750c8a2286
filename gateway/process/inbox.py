"""The work that other threads hand to a thread that waits for sockets."""

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress


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

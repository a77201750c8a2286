"""Sends slow requests, each connection the next when its answer is complete.

`python -m benchmarks.at_once PORT CONNECTIONS SECONDS FILE` prints the number of requests answered,
including those in progress at the end, the number with status 200, and the seconds that it took.
The requests of the file are sent in turn; each stands after its length in eight digits.
"""

import re
import select
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle
from pathlib import Path
from time import perf_counter

_PATIENCE_S = 20.0
# Below the size for which the allocator asks the system each time.
_PIECE_BYTES = 1 << 16
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)").search


class Connection:
    """A keep-alive connection with at most one request in progress."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._left: int | None = None
        """Body bytes to come; negative for a body that marks its own end."""
        self._tail = b""
        self.is_good = False

    def fileno(self) -> int:
        """The descriptor, for `select`."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def send(self, request: bytes) -> None:
        """Sends a request."""
        self._left, self._tail = None, b""
        self._socket.sendall(request)

    def has_all(self) -> bool:
        """Reads the available bytes; returns True if the response is complete."""
        data = self._socket.recv(_PIECE_BYTES)
        if not data:
            raise SystemExit("the gateway closed a connection")
        if self._left is None:
            head, end, data = (self._tail + data).partition(b"\r\n\r\n")
            if not end:
                self._tail = head
                return False
            self._left = content_length(head)
            self.is_good = head.startswith(b"HTTP/1.1 200 ")
        if self._left < 0:
            self._tail = (self._tail + data)[-5:]
            return self._tail == b"0\r\n\r\n"
        self._left -= len(data)
        return self._left <= 0


def content_length(head: bytes) -> int:
    """The length of a response's body; -1 for a chunked body."""
    found = _LENGTH(head)
    return int(found[1]) if found else -1


@contextmanager
def connected(port: int, count: int) -> Iterator[list[Connection]]:
    """Opens connections, and closes them at the end."""
    with ExitStack() as held:
        yield [held.enter_context(closing(Connection(port))) for _ in range(count)]


def read_requests(text: bytes) -> list[bytes]:
    """The requests of a file."""
    found, start = [], 0
    while start < len(text):
        end = start + 8 + int(text[start : start + 8])
        found.append(text[start + 8 : end])
        start = end
    return found


def exhaust(
    port: int, connections: int, seconds: float, made: Iterator[bytes]
) -> tuple[int, int, float]:
    """The number of answers, the number of these with 200, and the seconds that it took."""
    with connected(port, connections) as opened:
        return _exhausted(opened, seconds, made)


def _exhausted(
    connections: Sequence[Connection], seconds: float, made: Iterator[bytes]
) -> tuple[int, int, float]:
    busy = {connection.fileno(): connection for connection in connections}
    answered = good = 0
    poll = select.epoll()
    started_s = perf_counter()
    for number, connection in busy.items():
        poll.register(number, select.EPOLLIN)
        connection.send(next(made))
    while busy:
        ready = poll.poll(_PATIENCE_S)
        if not ready:
            raise SystemExit(f"no answer in {_PATIENCE_S:g} s")
        for number, _ in ready:
            connection = busy[number]
            if not connection.has_all():
                continue
            answered += 1
            good += connection.is_good
            # Requests in progress at the end are awaited: cut off, they would cost but not count.
            if perf_counter() - started_s < seconds:
                connection.send(next(made))
            else:
                del busy[number]
    return answered, good, perf_counter() - started_s


def main(port: str, connections: str, seconds: str, file: str) -> None:
    """Prints the figures."""
    made = cycle(read_requests(Path(file).read_bytes()))
    print(*exhaust(int(port), int(connections), float(seconds), made))


if __name__ == "__main__":
    main(*sys.argv[1:])

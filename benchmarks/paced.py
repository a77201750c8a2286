"""Sends requests at a constant rate, so that the latencies of a slow server are not hidden.

The time of a request starts when it is due, not when a connection is free to send it. One thread
runs `select`, whose timer is finer than an event loop's millisecond. It uses as little time as it
can, because the back end shares its core, and a slow back end would delay the answers.

`python -m benchmarks.paced PORT RATE SECONDS FILE` prints p50 and p99 in milliseconds. The requests
of the file are sent in turn; each stands after its length in eight digits.
With a whole number of connections and `at once` in the place of RATE, it prints instead the number
of requests answered one after another, including those in progress at the end, the number with
status 200, and the seconds that it took.
"""

import re
import select
import socket
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from time import perf_counter

_CONNECTIONS = 32
_PATIENCE_S = 20.0
# Below the size for which the allocator asks the system each time.
_PIECE_BYTES = 1 << 16
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)").search


class Connection:
    """A keep-alive connection with at most one request in progress."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due_s = 0.0
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

    def send(self, request: bytes, due_s: float) -> None:
        """Sends a request; its latency counts from when it was due."""
        self.due_s, self._left, self._tail = due_s, None, b""
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


class Ready:
    """Waits for the connections that have something to read.

    `epoll` does not check all connections each time, and `select` on it waits to the microsecond.
    """

    def __init__(self, connections: Iterable[Connection]) -> None:
        self._by_number = {connection.fileno(): connection for connection in connections}
        self._poll = select.epoll()
        for number in self._by_number:
            self._poll.register(number, select.EPOLLIN)

    def wait(self, patience_s: float) -> list[Connection]:
        """Waits for readable connections, but no longer than this."""
        if not select.select((self._poll,), (), (), patience_s)[0]:
            return []
        return [self._by_number[number] for number, _ in self._poll.poll(0)]


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


def run(port: int, rate: float, seconds: float, made: Iterator[bytes]) -> list[float]:
    """The latencies of all requests, in milliseconds."""
    with connected(port, _CONNECTIONS) as connections:
        return _paced(connections, rate, seconds, made)


def _paced(
    connections: Sequence[Connection], rate: float, seconds: float, made: Iterator[bytes]
) -> list[float]:
    idle, ready = deque(connections), Ready(connections)
    total, sent = max(2, int(rate * seconds)), 0
    latencies_ms: list[float] = []
    started_s = perf_counter()
    while len(latencies_ms) < total:
        wait_s: float | None = None
        while sent < total and idle:
            due_s = started_s + sent / rate
            wait_s = max(0.0, due_s - perf_counter())
            if wait_s:
                break
            connection = idle.popleft()
            connection.send(next(made), due_s)
            sent += 1
        patience_s = _PATIENCE_S if wait_s is None or sent == total else wait_s
        for connection in ready.wait(patience_s):
            if connection.has_all():
                latencies_ms.append((perf_counter() - connection.due_s) * 1e3)
                idle.append(connection)
        if perf_counter() - started_s > seconds + _PATIENCE_S:
            raise SystemExit(f"{len(latencies_ms)} of {total} requests were answered")
    return latencies_ms


def exhaust(
    port: int, connections: int, seconds: float, made: Iterator[bytes]
) -> tuple[int, int, float]:
    """The number of answers, the number of these with 200, and the seconds that it took."""
    with connected(port, connections) as opened:
        return _exhausted(opened, seconds, made)


def _exhausted(
    connections: Sequence[Connection], seconds: float, made: Iterator[bytes]
) -> tuple[int, int, float]:
    busy, ready = set(connections), Ready(connections)
    answered = good = 0
    started_s = perf_counter()
    for connection in busy:
        connection.send(next(made), started_s)
    while busy:
        some = ready.wait(_PATIENCE_S)
        if not some:
            raise SystemExit(f"no answer in {_PATIENCE_S:g} s")
        for connection in some:
            if not connection.has_all():
                continue
            answered += 1
            good += connection.is_good
            # Requests in progress at the end are awaited: cut off, they would cost but not count.
            if perf_counter() - started_s < seconds:
                connection.send(next(made), perf_counter())
            else:
                busy.discard(connection)
    return answered, good, perf_counter() - started_s


def main(port: str, rate: str, seconds: str, file: str) -> None:
    """Prints the requested figures."""
    made = cycle(read_requests(Path(file).read_bytes()))
    connections = re.fullmatch(r"(\d+) at once", rate)
    if connections:
        print(*exhaust(int(port), int(connections[1]), float(seconds), made))
        return
    cuts = quantiles(run(int(port), float(rate), float(seconds), made), n=100)
    print(f"{cuts[49]:.3f} {cuts[98]:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Requests at a constant rate, for latencies that a slow server cannot flatter.

A request's clock starts when it is due, not when a connection is free to send it. One thread around
`select`, whose timer is finer than an event loop's millisecond.

`python -m benchmarks.paced PORT RATE SECONDS REQUEST_FILE` prints p50 and p99 in milliseconds.
"""

import select
import socket
import sys
from collections import deque
from pathlib import Path
from statistics import quantiles
from time import perf_counter

_CONNECTIONS = 32
_PATIENCE_S = 20.0


class Connection:
    """A keep-alive connection with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due_s = 0.0
        self._left: int | None = None
        """Body bytes to come; below zero for a body that says itself where it ends."""
        self._tail = b""

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, request: bytes, due_s: float) -> None:
        """Sends a request; what counts is when it was due."""
        self.due_s, self._left, self._tail = due_s, None, b""
        self._socket.sendall(request)

    def has_all(self) -> bool:
        """Takes what has come; tells whether the response is complete."""
        data = self._socket.recv(1 << 18)
        if not data:
            raise SystemExit("the gateway closed a connection")
        if self._left is None:
            head, end, data = (self._tail + data).partition(b"\r\n\r\n")
            if not end:
                self._tail = head
                return False
            self._left = content_length(head)
        if self._left < 0:
            self._tail = (self._tail + data)[-5:]
            return self._tail == b"0\r\n\r\n"
        self._left -= len(data)
        return self._left <= 0


def content_length(head: bytes) -> int:
    """The length of a response's body; -1 if it comes in chunks."""
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return -1


def run(port: int, rate: float, seconds: float, request: bytes) -> list[float]:
    """The latencies of all requests, in milliseconds."""
    idle = deque(Connection(port) for _ in range(_CONNECTIONS))
    busy: set[Connection] = set()
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
            connection.send(request, due_s)
            busy.add(connection)
            sent += 1
        patience_s = _PATIENCE_S if wait_s is None or sent == total else wait_s
        ready, _, _ = select.select(list(busy), (), (), patience_s)
        for connection in ready:
            if connection.has_all():
                latencies_ms.append((perf_counter() - connection.due_s) * 1e3)
                busy.discard(connection)
                idle.append(connection)
        if perf_counter() - started_s > seconds + _PATIENCE_S:
            raise SystemExit(f"{len(latencies_ms)} of {total} requests were answered")
    return latencies_ms


if __name__ == "__main__":
    port, rate, seconds, file = sys.argv[1:]
    cuts = quantiles(run(int(port), float(rate), float(seconds), Path(file).read_bytes()), n=100)
    print(f"{cuts[49]:.3f} {cuts[98]:.3f}")

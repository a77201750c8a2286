"""The state that all connections of one port share."""

import asyncio
from typing import Any

from gateway.config.limits import Limits
from gateway.http.turns import Turns
from gateway.listeners.http1.response_bytes import http_date
from gateway.listeners.slow_clients import SlowClients
from gateway.listeners.write_batch import WriteBatch
from gateway.status import Code, StatusError

_RETRY_AFTER_S = 1


class Port:
    """The open connections of a port, the date, and the batch of small writes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self.connections: set[Any] = set()
        """The `HttpProtocol` instances; naming the type here would make a circular import."""
        self.date = http_date()
        """The value of the `Date` header, updated while the port is open."""
        self.write_batch = WriteBatch(loop)
        self.turns = Turns(loop)
        """The work that waits for a later turn of the loop."""
        self.slow = SlowClients(loop, limits)
        """The clients whose write buffers are full."""
        self.is_draining = False
        """True if each connection ends with its next answer."""
        self.draining_since_s = 0.0
        """The time since which idle connections are counted as idle while the port drains."""
        self._most_connections = limits.connections

    def apply(self, limits: Limits) -> None:
        """Applies new limits to the port; open connections keep their own."""
        self._most_connections = limits.connections
        self.slow.apply(limits)

    def drain(self, now_s: float) -> None:
        """Lets each connection end with its next answer."""
        self.is_draining, self.draining_since_s = True, now_s

    def end_upgrades(self) -> None:
        """Ends all WebSockets."""
        for connection in list(self.connections):
            connection.end_upgrade()

    def admit(self, connection: asyncio.Protocol) -> StatusError | None:
        """Registers a new connection, or returns the error to reject it with."""
        if len(self.connections) >= self._most_connections:
            return StatusError(
                Code.UNAVAILABLE,
                "too many connections are open",
                headers=[("Retry-After", str(_RETRY_AFTER_S))],
            )
        self.connections.add(connection)
        return None

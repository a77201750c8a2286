"""Whether a client has left whose connection is not being read.

While a back end is slow to take a body, nothing is read off the client's connection, and an event
loop that does not read learns nothing: neither that the client has closed nor that it is gone.
"""

import asyncio
import select

# Where the platform does not tell of a peer that has closed, one that is gone is still noticed.
_CLOSED = getattr(select, "POLLRDHUP", 0)


def peer_has_closed(transport: asyncio.Transport) -> bool:
    """Asks the system, without waiting and without taking anything off the connection."""
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), _CLOSED)
    return bool(poller.poll(0))

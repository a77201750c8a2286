"""Detects that a client has disconnected while its connection is not being read.

While a back end reads a body slowly, nothing is read from the client's connection. An event loop
that does not read a socket is not informed when the client closes it.
"""

import asyncio
import select

# Without POLLRDHUP, only a full disconnect is detected (POLLHUP or POLLERR), not a half-close.
_CLOSED = getattr(select, "POLLRDHUP", 0)


def peer_has_closed(transport: asyncio.Transport) -> bool:
    """Returns True if the peer has closed; does not wait and does not read from the connection."""
    poller = select.poll()
    poller.register(transport.get_extra_info("socket").fileno(), _CLOSED)
    return bool(poller.poll(0))

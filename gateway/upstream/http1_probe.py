"""Asks an endpoint by HTTP/1.1 if it is well, or only connects to it."""

import asyncio
import re
from typing import Final

from gateway.upstream.channels.http2.address import Address
from gateway.upstream.channels.user_agent import USER_AGENT

_MOST_LINE_BYTES: Final = 1024
"""The most bytes read of an answer: a status line is far shorter."""
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r\n]")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def probe_tcp(address: Address) -> None:
    """Connects, and closes the connection.

    Raises:
        OSError: that is not possible.
    """
    _, writer = await _connect(address)
    writer.transport.abort()


async def probe_http1(address: Address, path: str) -> int:
    """Sends GET; returns the status of the answer.

    Raises:
        OSError: there is no answer.
        ValueError: the answer is not HTTP/1.
    """
    reader, writer = await _connect(address)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {address.authority}\r\n"
            f"User-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n".encode()
        )
        line = await reader.readline()
    finally:
        writer.transport.abort()
    if not line:
        raise ConnectionError("the connection was closed")
    status = _STATUS_LINE.match(line)
    if status is None:
        raise ValueError("no status line")
    return int(status[1])


async def _connect(address: Address) -> Streams:
    """A connection to the first place of `address` that answers."""
    tls, limit = address.tls, _MOST_LINE_BYTES
    name = None if tls is None else address.server_name
    if address.path:
        return await asyncio.open_unix_connection(
            address.path, limit=limit, ssl=tls, server_hostname=name
        )
    failure: OSError = ConnectionError()
    for host, port in address.dialled or ((address.host, address.port),):
        try:
            return await asyncio.open_connection(
                host, port, limit=limit, ssl=tls, server_hostname=name
            )
        except OSError as error:
            failure = error
    raise failure

"""Asks an endpoint outside its gRPC connection if it is well: by HTTP, or by connecting alone."""

import asyncio
import os
import re
from collections.abc import Sequence
from typing import Final

from gateway.upstream.channels.user_agent import USER_AGENT
from gateway.upstream.endpoint import Endpoint

_MOST_LINE_BYTES: Final = 1024
"""The most bytes read of an answer: a status line is far shorter."""
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r\n]")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def probe_tcp(endpoint: Endpoint, port: int | None) -> None:
    """Connects, and closes the connection.

    Raises:
        OSError: that is not possible.
    """
    _, writer = await _connect(endpoint, port)
    writer.transport.abort()


async def probe_http(endpoint: Endpoint, port: int | None, path: str) -> int:
    """Sends GET over HTTP/1.1; returns the status of the answer.

    Raises:
        OSError: there is no answer.
        ValueError: the answer is not HTTP/1.
    """
    reader, writer = await _connect(endpoint, port)
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {_named(endpoint, port)}\r\n"
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


def reason_of(status: int, expected: Sequence[int]) -> str:
    """The reason why a status means that an endpoint is not well; empty if it is."""
    if status in expected:
        return ""
    return f"its health check was answered with {status}"


def why(error: OSError) -> str:
    """The reason why there was no answer, without the addresses that asyncio names."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else error.strerror or type(error).__name__


def _named(endpoint: Endpoint, port: int | None) -> str:
    """The name of the endpoint in a request."""
    address = str(endpoint)
    if address.startswith("unix:"):
        return "localhost"
    host, own_port = _split(address)
    return f"[{host}]:{port or own_port}" if ":" in host else f"{host}:{port or own_port}"


async def _connect(endpoint: Endpoint, port: int | None) -> Streams:
    """A connection to the first address of the endpoint that answers."""
    failure: OSError = ConnectionError()
    for address in endpoint.addresses:
        try:
            return await _connect_to(address, port)
        except OSError as error:
            failure = error
    raise failure


async def _connect_to(address: str, port: int | None) -> Streams:
    if address.startswith("unix:"):
        path = address.removeprefix("unix:").replace("//", "", 1)
        return await asyncio.open_unix_connection(path, limit=_MOST_LINE_BYTES)
    host, own_port = _split(address)
    return await asyncio.open_connection(host, port or own_port, limit=_MOST_LINE_BYTES)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        host, port = address, "80"
    return host.strip("[]"), int(port)

"""Asks an endpoint by HTTP/2 if it is well, on a connection of its own."""

import asyncio
from typing import Any, Final

from gateway.http2.headers import string
from gateway.http2.stream import Stream
from gateway.upstream.channels.http2.address import Address

# Fields of the static table (RFC 7541 appendix A); the last three have a value of their own.
_GET: Final = b"\x82"
_SCHEMES: Final = {False: b"\x86", True: b"\x87"}
_AUTHORITY: Final = b"\x01"
_PATH: Final = b"\x04"
_USER_AGENT: Final = b"\x0f\x2b"


async def probe_http2(address: Address, path: str, user_agent: str) -> int:
    """Sends GET; returns the status of the answer, whose body is not awaited.

    Raises:
        OSError: there is no answer, or the server does not speak HTTP/2.
        ValueError: the answer has no status.
    """
    block = _GET + _SCHEMES[address.tls is not None]
    for field, value in (
        (_AUTHORITY, address.authority), (_PATH, path), (_USER_AGENT, user_agent),
    ):  # fmt: skip
        block += field + string(value.encode())
    opened = await address.connect(asyncio.get_running_loop(), lambda _: None)
    try:
        if not opened.connection.can_open:
            raise ConnectionError("the server takes no requests")
        answer = _Answer()
        opened.connection.open(block, answer)
        opened.connection.send(answer, b"", end=True)
        opened.flush()
        status = await answer.status
    finally:
        opened.close()
    if not status.isdigit():
        raise ValueError("no status")
    return int(status)


class _Answer(Stream[Any]):
    """The status of one answer, as soon as it is known."""

    def __init__(self) -> None:
        self.status: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_headers(self, headers: Any, *, ended: bool) -> None:  # noqa: ARG002 - of the interface
        """Takes the status; one of an interim answer is not the last."""
        if not headers.interim and not self.status.done():
            self.status.set_result("" if headers.malformed else headers.http_status)

    def on_data(self, data: bytes, *, ended: bool) -> None:
        """Does nothing: the status decides."""

    def on_writable(self) -> None:
        """Does nothing: there is no body to send."""

    def on_failed(self, code: object, *, unprocessed: bool) -> None:  # noqa: ARG002 - of the interface
        """Ends the wait."""
        if not self.status.done():
            self.status.set_exception(ConnectionError("the server did not answer"))
            self.status.exception()  # marks it as read: the check may have ended

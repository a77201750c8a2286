"""Reads a request's body: in pieces, up to its limit, and out of gzip."""

import asyncio
import zlib
from collections.abc import Mapping

from aiohttp import StreamReader
from aiohttp.web import PayloadAccessError

from gateway.config.model import Limits
from gateway.status import Code, StatusError

_GZIP_WINDOW = 31
# Above this, what comes out can be megabytes, and would hold up every other request.
_OFF_THE_LOOP_BYTES = 32 * 1024
_IDENTITY = ("", "identity")


def content_coding(headers: Mapping[str, str]) -> str:
    """`gzip`, or "" for a body that is sent as it is.

    Raises:
        StatusError: HTTP status 415 for any other coding (RFC 9110 section 8.4.1).
    """
    coding = headers.get("Content-Encoding", "").strip().lower()
    if coding in _IDENTITY:
        return ""
    if coding in ("gzip", "x-gzip"):
        return "gzip"
    raise StatusError(
        Code.INVALID_ARGUMENT,
        "a request body can be sent as it is, or with Content-Encoding: gzip",
        http_status=415,
        headers=[("Accept-Encoding", "gzip")],
    )


def too_large(limit_bytes: int) -> StatusError:
    """The 413 for a body over the limit."""
    return StatusError(
        Code.RESOURCE_EXHAUSTED,
        f"the request body is larger than {limit_bytes} bytes",
        http_status=413,
    )


async def read_body(stream: StreamReader, coding: str, limits: Limits) -> bytes:
    """The whole body, decoded.

    Raises:
        StatusError: it is over the limit, is no gzip though it says so, or broke off.
    """
    pieces: list[bytes] = []
    total = 0
    try:
        while piece := await stream.readany():
            total += len(piece)
            if total > limits.body_bytes:
                raise too_large(limits.body_bytes)
            pieces.append(piece)
    except PayloadAccessError:
        raise StatusError(Code.INVALID_ARGUMENT, "the request body broke off") from None
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if not coding:
        return body
    if len(body) > _OFF_THE_LOOP_BYTES:
        return await asyncio.to_thread(_gunzip, body, limits)
    return _gunzip(body, limits)


def _gunzip(body: bytes, limits: Limits) -> bytes:
    """Decompresses no further than the limits allow, so that a bomb costs nothing."""
    allowed = min(limits.body_bytes, len(body) * limits.decompression_ratio)
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = inflater.decompress(body, allowed)
    except zlib.error:
        raise StatusError(Code.INVALID_ARGUMENT, "the request body is not gzip") from None
    if inflater.unconsumed_tail:
        raise too_large(allowed)
    if not inflater.eof or inflater.unused_data:
        raise StatusError(Code.INVALID_ARGUMENT, "the request body is not one whole gzip stream")
    return text

"""Decompresses the bodies of requests, up to their limits."""

import zlib
from collections.abc import Iterator, Mapping

from gateway.listeners.http1.request_head import Code, Limits, StatusError

_GZIP_WINDOW = 31
_IDENTITY = ("", "identity")
# Decompressing more at once would block the event loop.
_INFLATED_BYTES = 64 * 1024
# Small results are allowed at any compression ratio.
_RATIO_FREE_BYTES = 64 * 1024


class Inflater:
    """Decompresses gzip as it arrives, in pieces of a bounded size."""

    def __init__(self, ratio: int) -> None:
        """Takes the maximum ratio of decompressed to compressed size."""
        self._ratio = ratio
        self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        self._received_bytes = 0
        self._inflated_bytes = 0

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Yields the decompressed pieces of `data`.

        Raises:
            StatusError: the bytes are not gzip, or exceed the compression ratio.
        """
        self._received_bytes += len(data)
        allowed = self._received_bytes * self._ratio + _RATIO_FREE_BYTES
        while data:
            if self._inflater.eof:
                raise _invalid_gzip()
            try:
                text = self._inflater.decompress(data, _INFLATED_BYTES)
            except zlib.error:
                raise _invalid_gzip() from None
            self._inflated_bytes += len(text)
            if self._inflated_bytes > allowed:
                raise too_large(allowed)
            if text:
                yield text
            data = self._inflater.unconsumed_tail or self._inflater.unused_data

    def finish(self) -> None:
        """Checks that the gzip stream ends with the body.

        Raises:
            StatusError: the gzip stream is incomplete.
        """
        if not self._inflater.eof:
            raise _invalid_gzip()


def gunzip(body: bytes, limits: Limits) -> bytes:
    """Decompresses only up to the limits, so that a decompression bomb is stopped early.

    Raises:
        StatusError: the body is not gzip, or exceeds the limits.
    """
    allowed = min(limits.body_bytes, len(body) * limits.decompression_ratio)
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        text = inflater.decompress(body, allowed)
    except zlib.error:
        raise StatusError(Code.INVALID_ARGUMENT, "the request body is not gzip") from None
    if inflater.unconsumed_tail:
        raise too_large(allowed)
    if not inflater.eof or inflater.unused_data:
        raise _invalid_gzip()
    return text


def content_coding(headers: Mapping[str, str]) -> str:
    """Returns `gzip`, or "" for a body without a content coding.

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
        "this Content-Encoding is not supported; expected gzip, or no Content-Encoding",
        http_status=415,
        headers=[("Accept-Encoding", "gzip")],
    )


def too_large(limit_bytes: int) -> StatusError:
    """Returns the error for a body over the limit: HTTP status 413."""
    return StatusError(
        Code.RESOURCE_EXHAUSTED,
        f"the request body is larger than {limit_bytes} bytes",
        http_status=413,
    )


def _invalid_gzip() -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, "the request body is not one whole gzip stream")

"""Compresses response bodies with gzip, if the client accepts it and it makes them smaller."""

import asyncio
from functools import lru_cache

from gateway.config.compression import CompressionOptions
from gateway.deflate import gzipped
from gateway.http.messages import Response

_COMPRESSIBLE = (
    "application/json",
    "text/",
    "application/problem+json",
    "application/xml",
    "application/yaml",
)
# Above this size, compress in a thread: it would block the event loop for milliseconds.
_IN_THREAD_BYTES = 256 * 1024


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: str) -> bool:
    """True if an Accept-Encoding header accepts gzip, and does not prefer `identity`.

    RFC 9110 section 12.5.3.
    """
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        weights[coding.strip()] = _weight(parameter.strip())
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameter: str) -> float:
    try:
        return float(parameter.removeprefix("q=")) if parameter else 1.0
    except ValueError:
        return 0.0


def is_compressible(content_type: str) -> bool:
    """True if gzip makes bodies of this media type smaller."""
    return content_type.startswith(_COMPRESSIBLE)


async def compress(
    response: Response, accept_encoding: str | None, options: CompressionOptions
) -> None:
    """Compresses the body of `response` in place, if its media type and the client allow it."""
    if not is_compressible(response.content_type):
        return
    if accept_encoding is None or not accepts_gzip(accept_encoding):
        return
    if any(name.lower() == "content-encoding" for name, _ in response.headers):
        return  # the body is encoded already
    form = response.form
    if form is not None and form.gzipped:
        compressed = form.gzipped
    elif len(response.body) > _IN_THREAD_BYTES:
        compressed = await asyncio.to_thread(gzipped, response.body, options.level)
    else:
        compressed = gzipped(response.body, options.level)
    if form is not None:
        if form.gzipped or form.keep_gzipped(compressed):
            compressed = form.gzipped
        else:
            response.form = None
    response.body = compressed
    response.headers.append(("Content-Encoding", "gzip"))

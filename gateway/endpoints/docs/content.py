"""Content that is made once, on the first request, and served with an entity tag from then on."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from gateway.deflate import gzipped
from gateway.http.compression import accepts_gzip
from gateway.http.messages import Headers, Request, Response

_TAG: Final = re.compile(r'"[^"]*"')
_GZIP_SUFFIX: Final = ";gzip"
"""The ending that `http/entity_tags.py` gives the tag of a compressed body."""


class _Made(NamedTuple):
    """The bytes of the content, plain and compressed, and their entity tag."""

    plain: bytes
    packed: bytes
    tag: str


class Content:
    """An endpoint with content that `make` returns; it runs once, in a thread.

    A large document takes seconds to make, during which other requests must be answered.
    """

    def __init__(
        self,
        make: Callable[[], bytes],
        media_type: str,
        *,
        level: int,
        headers: Sequence[tuple[str, str]] = (),
        is_private: bool = False,
    ) -> None:
        """`level` is that of the compression, 0 for none; `headers` are those of each response.

        Shared caches must not store what is private (RFC 9111 section 5.2.2.7).
        """
        self._make = make
        self._media_type = media_type
        self._level = level
        # Caches must ask each time: the content changes with the configuration.
        cached = "private, no-cache" if is_private else "no-cache"
        self._headers = (*headers, ("Cache-Control", cached))
        self._making: asyncio.Task[_Made] | None = None

    async def __call__(self, request: Request) -> Response:
        """Answers with the content, or 304 if the client has it (RFC 9110 section 13.1.2)."""
        made = await self._made()
        headers: Headers = [*self._headers, ("ETag", made.tag)]
        if _names(request.headers.get("If-None-Match", ""), made.tag):
            return Response(304, headers)
        if made.packed and accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers.append(("Content-Encoding", "gzip"))
            return Response(200, headers, made.packed, self._media_type)
        return Response(200, headers, made.plain, self._media_type)

    async def _made(self) -> _Made:
        making = self._making
        if making is None or (making.done() and (making.cancelled() or making.exception())):
            making = self._making = asyncio.create_task(asyncio.to_thread(self._build))
        # A client that leaves must not end what others wait for.
        return await asyncio.shield(making)

    def _build(self) -> _Made:
        plain = self._make()
        packed = gzipped(plain, self._level) if self._level else b""
        return _Made(plain, packed, f'"{hashlib.sha256(plain).hexdigest()[:32]}"')


def _names(condition: str, tag: str) -> bool:
    """True if an If-None-Match names the tag, of either representation."""
    if condition.strip() == "*":
        return True
    return tag in {f'"{one[1:-1].removesuffix(_GZIP_SUFFIX)}"' for one in _TAG.findall(condition)}

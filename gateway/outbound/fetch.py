"""Fetches small documents (key sets) from URLs that the configuration names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientError, ClientSession, ClientSSLError, ClientTimeout, DummyCookieJar

from gateway.auth.jwt.fetch import Fetch, FetchError

_TIMEOUT_S = 10.0
"""Seconds for a whole document to arrive."""
_MOST_BYTES = 1024 * 1024
"""The largest document."""


@asynccontextmanager
async def open_fetch() -> AsyncIterator[Fetch]:
    """Opens a function that fetches documents, for as long as the block runs.

    It follows no redirect, because its target is not in the configuration, keeps no cookie, and
    checks certificates with the system's authorities.
    """
    headers = {"Accept": "application/json", "User-Agent": "grpc-rest-gateway"}
    timeout = ClientTimeout(total=_TIMEOUT_S)
    async with ClientSession(
        headers=headers, timeout=timeout, cookie_jar=DummyCookieJar()
    ) as session:

        async def fetch(url: str) -> bytes:
            try:
                return await _get(session, url)
            except TimeoutError:
                raise FetchError(f"there is no answer within {_TIMEOUT_S:g} seconds") from None
            except ClientSSLError:
                raise FetchError("its certificate is not trusted here") from None
            except (ClientError, OSError, ValueError):
                raise FetchError("cannot be reached, or speaks no HTTP") from None

        yield fetch


async def _get(session: ClientSession, url: str) -> bytes:
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise FetchError(f"answers with status {response.status}")
        document = bytearray()
        async for piece in response.content.iter_chunked(64 * 1024):
            document += piece
            if len(document) > _MOST_BYTES:
                raise FetchError(f"is longer than {_MOST_BYTES} bytes")
        return bytes(document)

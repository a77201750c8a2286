"""From a URL to an open store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

from gateway.status import StartUpError
from gateway.stores.base import Store
from gateway.stores.memory import MemoryStore
from gateway.stores.sqlite import SqliteStore


class StoreUrlError(StartUpError):
    """A store's URL that means nothing; the text says what would."""


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """The store at `url`, closed in the end.

    It need not answer yet: what it is asked fails until it does.

    Raises:
        StoreUrlError: the URL names none, or its driver is not installed.
    """
    store = make_store(url)
    try:
        yield store
    finally:
        await store.close()


def make_store(url: str) -> Store:
    """The store at `memory:`, `sqlite:///path`, or `redis://host:port/database`.

    Raises:
        StoreUrlError: as `open_store`.
    """
    parts = urlsplit(url)
    if url == "memory:":
        return MemoryStore()
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        # sqlite:///relative.db and sqlite:////absolute.db, as is usual for such URLs.
        return SqliteStore(Path(parts.path[1:]))
    if parts.scheme in ("redis", "rediss", "unix"):
        return _redis_store(url)
    # The URL itself is not shown: it may hold a password.
    raise StoreUrlError("no such store: expected memory:, sqlite:///file.db or redis://host:6379/0")


def _redis_store(url: str) -> Store:
    try:
        from gateway.stores.redis import RedisStore  # noqa: PLC0415 - the driver is an extra
    except ImportError:
        raise StoreUrlError(
            "a redis:// store needs the driver: pip install 'grpc-rest-gateway[redis]'"
        ) from None
    parts = urlsplit(url)
    options = parse_qs(parts.query)
    prefix = options.pop("prefix", ["gateway:"])[-1]
    query = "&".join(f"{name}={value}" for name, values in options.items() for value in values)
    return RedisStore(urlunsplit(parts._replace(query=query)), prefix)

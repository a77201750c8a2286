"""From a URL to an open store."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit, urlunsplit

from gateway.status import StartUpError
from gateway.stores.base import Store
from gateway.stores.memory import MemoryStore
from gateway.stores.sqlite.store import SqliteStore


class StoreUrlError(StartUpError):
    """A store's URL that means nothing; the text says what would."""


_DATABASE = re.compile(r"/?|/[0-9]{1,9}")
_MASTER = re.compile(r"/[^/]+(/[0-9]{1,9})?")
# A secured connection (rediss) to a Redis, to what sentinels name, to a cluster; or a socket.
_REDIS = re.compile(r"rediss?(\+(?P<kind>sentinel|cluster))?|unix")
# redis.io, "Hash tags": the first braces that hold anything.
_TAG = re.compile(r"[^{]*\{[^}]+\}")


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

    Of Redis there are `redis+sentinel://host,host/master` and `redis+cluster://host,host` too.

    Raises:
        StoreUrlError: as `open_store`.
    """
    if url == "memory:":
        return MemoryStore()
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = SplitResult("", "", "", "", "")  # brackets around what is no address
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        # sqlite:///relative.db and sqlite:////absolute.db, as is usual for such URLs.
        return SqliteStore(Path(parts.path[1:]))
    if _REDIS.fullmatch(parts.scheme):
        return _redis_store(parts)
    # The URL itself is not shown: it may hold a password.
    raise StoreUrlError("no such store: expected memory:, sqlite:///file.db or redis://host:6379/0")


def _redis_store(parts: SplitResult) -> Store:
    try:
        from gateway.stores.redis.store import RedisStore  # noqa: PLC0415 - the driver is an extra
    except ImportError:
        raise StoreUrlError(
            "a redis:// store needs the driver: pip install 'grpc-rest-gateway[redis]'"
        ) from None
    options = parse_qs(parts.query)
    kind = parts.scheme.partition("+")[2]
    prefix = options.pop("prefix", ["{gateway}:" if kind == "cluster" else "gateway:"])[-1]
    if kind == "cluster" and not _TAG.match(prefix):
        raise StoreUrlError(
            "the prefix of a redis+cluster:// store needs braces, as in prefix={name}: "
            "(they keep what is changed together on one node)"
        )
    url = urlunsplit(parts._replace(query=urlencode(options, doseq=True)))
    try:
        if _is_clear(parts, kind) and not parts.fragment:
            return RedisStore(url, prefix)
    except (TypeError, ValueError):
        pass  # what they say can quote a password
    raise StoreUrlError(f"{_FORMS[kind]}, {_ENCODING}")


_FORMS = {
    "": "a redis:// store is at redis://[:password@]host[:port][/database]",
    "sentinel": "a redis+sentinel:// store is at "
    "redis+sentinel://[:password@]host[:port][,host[:port]...]/master[/database]",
    "cluster": "a redis+cluster:// store is at "
    "redis+cluster://[:password@]host[:port][,host[:port]...]",
}
_ENCODING = (
    "with options the driver knows, and what a URL does not allow in a password percent-encoded"
)


def _is_clear(parts: SplitResult, kind: str) -> bool:
    """Whether the path can only be meant as one thing, and is no part of a password."""
    if kind == "sentinel":
        return _MASTER.fullmatch(parts.path) is not None
    return parts.scheme == "unix" or _DATABASE.fullmatch(parts.path) is not None

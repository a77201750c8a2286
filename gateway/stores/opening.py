"""Opens the store that a URL names."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit, urlunsplit

from gateway.status import StartUpError
from gateway.stores.base import Store, StoreUnavailableError
from gateway.stores.memory import MemoryStore

# With what an opened store is, and the errors of opening and using it.
__all__ = [
    "PATIENCE_S",
    "StartUpError",
    "Store",
    "StoreUnavailableError",
    "StoreUrlError",
    "is_remote",
    "make_store",
    "open_store",
]

PATIENCE_S = 3.0
"""Seconds that a command waits for a store; requests have less patience."""


class StoreUrlError(StartUpError):
    """The URL of a store is invalid; the message says which are valid."""


_DATABASE = re.compile(r"/?|/[0-9]{1,9}")
_MASTER = re.compile(r"/[^/]+(/[0-9]{1,9})?")
# With TLS (rediss) for one Redis, the servers that sentinels name, or a cluster; or a socket.
_REDIS = re.compile(r"rediss?(\+(?P<kind>sentinel|cluster))?|unix")
# redis.io, "Hash tags": the first braces that are not empty.
_TAG = re.compile(r"[^{]*\{[^}]+\}")


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    """Opens the store at `url`, and closes it at the end of the block.

    The store need not be reachable yet: until it is, operations fail.

    Raises:
        StoreUrlError: the URL is invalid, or its driver is not installed.
    """
    store = make_store(url)
    try:
        yield store
    finally:
        await store.close()


def is_remote(url: str) -> bool:
    """True for the URL of a store that is reached over a network."""
    return not url.startswith(("memory:", "sqlite:"))


def make_store(url: str, timeout_s: float = PATIENCE_S) -> Store:
    """The store at `memory:`, `sqlite:///path`, or `redis://host:port/database`.

    Also `redis+sentinel://host,host/master`, `redis+cluster://host,host` and
    `postgres://host/database`.
    `timeout_s` bounds each operation over a network.

    Raises:
        StoreUrlError: as `open_store`.
    """
    if url == "memory:":
        return MemoryStore()
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = SplitResult("", "", "", "", "")  # brackets that enclose no address
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        # sqlite:///relative.db and sqlite:////absolute.db, as usual for such URLs.
        from gateway.stores.sqlite.store import SqliteStore  # noqa: PLC0415 - few need it at start

        return SqliteStore(Path(parts.path[1:]))
    if _REDIS.fullmatch(parts.scheme):
        return _redis_store(parts, timeout_s)
    if parts.scheme in {"postgres", "postgresql"}:
        return _postgres_store(parts, timeout_s)
    # The URL itself is not shown: it may hold a password.
    raise StoreUrlError(
        "no such store: expected memory:, sqlite:///file.db, redis://host:6379/0 or "
        "postgres://host/database"
    )


def _without_driver(extra: str) -> StoreUrlError:
    return StoreUrlError(
        f"a {extra}:// store needs the driver: pip install 'grpc-rest-gateway[{extra}]'"
    )


def _postgres_store(parts: SplitResult, timeout_s: float) -> Store:
    try:
        from gateway.stores.postgres.database import address_of  # noqa: PLC0415 - the driver is an extra
        from gateway.stores.postgres.store import PostgresStore  # noqa: PLC0415 - the same
    except ImportError:
        raise _without_driver("postgres") from None
    try:
        return PostgresStore(address_of(parts), timeout_s)
    except ValueError:
        pass  # the message is dropped: it can quote a password
    raise StoreUrlError(
        "a postgres:// store is at "
        "postgres://[user[:password]@]host[:port][,host[:port]...]/database, "
        "with the options sslmode, sslrootcert, sslcert, sslkey and prefix, "
        "and reserved characters of a password percent-encoded"
    )


def _redis_store(parts: SplitResult, timeout_s: float) -> Store:
    try:
        from gateway.stores.redis.store import RedisStore  # noqa: PLC0415 - the driver is an extra
    except ImportError:
        raise _without_driver("redis") from None
    options = parse_qs(parts.query)
    kind = parts.scheme.partition("+")[2]
    prefix = options.pop("prefix", ["{gateway}:" if kind == "cluster" else "gateway:"])[-1]
    if kind == "cluster" and not _TAG.match(prefix):
        raise StoreUrlError(
            "the prefix of a redis+cluster:// store needs braces, as in prefix={name}, "
            "so that all of its data is on one node"
        )
    url = urlunsplit(parts._replace(query=urlencode(options, doseq=True)))
    try:
        if _is_clear(parts, kind) and not parts.fragment:
            return RedisStore(url, prefix, timeout_s)
    except (TypeError, ValueError):
        pass  # the message is dropped: it can quote a password
    raise StoreUrlError(f"{_FORMS[kind]}, {_ENCODING}")


_FORMS = {
    "": "a redis:// store is at redis://[:password@]host[:port][/database]",
    "sentinel": "a redis+sentinel:// store is at "
    "redis+sentinel://[:password@]host[:port][,host[:port]...]/master[/database]",
    "cluster": "a redis+cluster:// store is at "
    "redis+cluster://[:password@]host[:port][,host[:port]...]",
}
_ENCODING = (
    "with options the driver supports, and reserved characters of a password percent-encoded"
)


def _is_clear(parts: SplitResult, kind: str) -> bool:
    """True if the path has one meaning, and cannot be part of a password."""
    if kind == "sentinel":
        return _MASTER.fullmatch(parts.path) is not None
    return parts.scheme == "unix" or _DATABASE.fullmatch(parts.path) is not None

"""Makes the driver's client from the URL of a store: a single Redis, Sentinel, or a cluster.

A Redis that has become a replica keeps answering its existing connections. So a connection that
returns one of the errors of `_NOT_THE_MASTER` is treated as broken: it is closed, and the command
is repeated once over a new connection, to the server that the address leads to now.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlencode, urlsplit, urlunsplit

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, MovedError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

Client = Redis | RedisCluster

TIMEOUT_S = 1.0
"""The most seconds for Redis to connect, and to answer."""
CONNECTIONS = 50
"""The most connections of a worker; in a cluster, to each node."""

SENTINEL, CLUSTER = "+sentinel", "+cluster"
_SENTINEL_PORT, _REDIS_PORT = 26379, 6379
# A sentinel that is down must not delay the answer of the next one.
_SENTINEL_PART = 0.3
# The driver reports LOADING and a closed connection as its ConnectionError.
_NOT_THE_MASTER = (ReadOnlyError, MovedError, MasterDownError)
_BROKEN = (RedisConnectionError, RedisTimeoutError, *_NOT_THE_MASTER)
# One retry at once: an idle connection may be closed, or lead to a former master.
_TRIES_AGAIN = 1
_OF_SENTINELS = "sentinel_"


@dataclass(frozen=True, slots=True)
class Addresses:
    """The parts of a URL with several hosts."""

    hosts: list[tuple[str, int]]
    path: str
    options: dict[str, Any]
    """The driver's connection options, including user and password."""
    sentinel_options: dict[str, Any]
    is_secured: bool


def make_client(url: str, timeout_s: float = TIMEOUT_S) -> Client:
    """Makes the client for a URL; it does not connect yet.

    `timeout_s` is for a connection, and for an answer.

    Raises:
        TypeError, ValueError: the URL is invalid.
    """
    parts = urlsplit(url)
    if parts.scheme.endswith(SENTINEL):
        return _behind_sentinel(_addresses(parts, _SENTINEL_PORT), timeout_s)
    if parts.scheme.endswith(CLUSTER):
        return _of_cluster(_addresses(parts, _REDIS_PORT), timeout_s)
    pool = ConnectionPool.from_url(url, max_connections=CONNECTIONS, **_options(timeout_s))
    # The driver checks the names of options only at this point.
    pool.connection_class(**pool.connection_kwargs)
    return Redis.from_pool(pool)


async def close_client(client: Client) -> None:
    """Closes the connections of a client, including those to sentinels."""
    await client.aclose()
    if isinstance(client, Redis) and isinstance(client.connection_pool, SentinelConnectionPool):
        await client.connection_pool.sentinel_manager.aclose()


def hosts_of(url: str) -> str:
    """The hosts of a URL, without user and password, so that messages may show them."""
    netloc = urlsplit(url).netloc.rpartition("@")[2]
    hosts = [_host(one, 0)[0] for one in netloc.split(",")] if netloc else ["localhost"]
    return ",".join(dict.fromkeys(hosts))


def _options(timeout_s: float, tries_again: int = _TRIES_AGAIN) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), tries_again, supported_errors=_BROKEN),
    }


def _addresses(parts: SplitResult, port: int) -> Addresses:
    credentials, at, hosts = parts.netloc.rpartition("@")
    options = parse_qs(parts.query, keep_blank_values=True)
    of_sentinels = {
        name.removeprefix(_OF_SENTINELS): values
        for name, values in options.items()
        if name.startswith(_OF_SENTINELS)
    }
    own = {name: values for name, values in options.items() if not name.startswith(_OF_SENTINELS)}
    return Addresses(
        [_host(one, port) for one in hosts.split(",")],
        parts.path,
        _parsed(credentials + at, own),
        _parsed("", of_sentinels),
        parts.scheme.startswith("rediss"),
    )


def _parsed(credentials: str, options: dict[str, list[str]]) -> dict[str, Any]:
    """Parses options by the driver's own rules, which know their types."""
    query = urlencode(options, doseq=True)
    parsed = dict(parse_url(urlunsplit(("redis", f"{credentials}localhost", "", query, ""))))
    del parsed["host"]
    return parsed


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path or "@" in text:
        raise ValueError("expected host or host:port, separated by commas")
    return unquote(parts.hostname), parts.port or port


def _behind_sentinel(addresses: Addresses, timeout_s: float) -> Redis:
    service, _, database = addresses.path.removeprefix("/").partition("/")
    if not service or "/" in database:
        raise ValueError("expected /service or /service/database")
    options = {**addresses.options, "db": int(database or 0)}
    of_sentinels = {**_options(timeout_s * _SENTINEL_PART, 0), **addresses.sentinel_options}
    if addresses.is_secured:
        options["ssl"] = of_sentinels["ssl"] = True
    _check(options, is_secured=addresses.is_secured)
    make: Any = Sentinel  # the driver has no types for it
    client: Redis = make(addresses.hosts, sentinel_kwargs=of_sentinels).master_for(
        unquote(service), max_connections=CONNECTIONS, **{**_options(timeout_s), **options}
    )
    return client


def _of_cluster(addresses: Addresses, timeout_s: float) -> RedisCluster:
    if addresses.path not in ("", "/", "/0"):
        raise ValueError("a cluster has only the database 0")
    _check(addresses.options, is_secured=addresses.is_secured)
    try:
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in addresses.hosts],
            max_connections=CONNECTIONS,
            ssl=addresses.is_secured,
            **{**_options(timeout_s), **addresses.options},
        )
    except RedisError as error:
        raise ValueError(str(error)) from None


def _check(options: dict[str, Any], *, is_secured: bool) -> None:
    """Makes the driver check the names of options, which it otherwise does when it connects."""
    kind = SSLConnection if is_secured else ConnectionPool().connection_class
    kind(**{name: value for name, value in options.items() if name != "ssl"})

"""Connections to a PostgreSQL database: their address, their pool, and their failures."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit, urlunsplit

import asyncpg

from gateway.stores.base import StoreUnavailableError
from gateway.stores.postgres import sql

T = TypeVar("T")

CONNECTIONS = 10
"""The most connections of a worker; PostgreSQL allows 100 by default, for all its clients."""

_PORT = 5432
_PREFIX = re.compile(r"[a-z_][a-z0-9_]{0,30}")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey")
# PostgreSQL's errors 25006 and 57P01 to 57P03: the server is a standby, or stops, or starts. The
# statement had no effect, so it can be repeated.
_NOT_THE_MASTER = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)
_BROKEN = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Address(NamedTuple):
    """A database, and the prefix of the tables of one store in it."""

    dsn: str
    hosts: str
    """The hosts without user and password, so that messages may show them."""
    prefix: str


def address_of(parts: SplitResult) -> Address:
    """Parses `postgres://[user[:password]@]host[:port][,host[:port]...]/database`.

    Raises:
        ValueError: the URL is invalid.
    """
    options = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    prefix = options.pop("prefix", [sql.PREFIX])[-1]
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("expected a prefix of small letters, digits and _")
    if not set(options) <= set(_OPTIONS) or parts.fragment:
        raise ValueError("unknown options")
    if options.get("sslmode", ["prefer"])[-1] not in _SSL_MODES:
        raise ValueError("unknown sslmode")
    if not re.fullmatch(r"/[^/@]+", parts.path):
        raise ValueError("expected one database")
    hosts = [_host(one) for one in parts.netloc.rpartition("@")[2].split(",")]
    # Several hosts are a primary and its standbys: only the primary can write.
    several = {"target_session_attrs": "primary"} if len(hosts) > 1 else {}
    query = urlencode({name: values[-1] for name, values in options.items()} | several)
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, query, ""))
    return Address(dsn, ",".join(dict.fromkeys(hosts)), prefix)


def _host(text: str) -> str:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or (parts.port or _PORT) < 1:
        raise ValueError("expected host or host:port, separated by commas")
    return parts.hostname


class Database:
    """Runs work on connections to a database, in which it creates the missing tables."""

    def __init__(self, address: Address) -> None:
        """Does not connect yet."""
        self._address = address
        self._pool: Any = None
        self._has_tables = False
        self._creating = asyncio.Lock()

    def named(self, statement: str) -> str:
        """The statement with the names of this store's tables."""
        return statement.replace(sql.PREFIX, self._address.prefix)

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Runs `work` with a connection, and returns its result.

        It runs once more, on a new connection, if the server is not, or no longer, the primary.

        Raises:
            StoreUnavailableError: the database cannot be used.
        """
        try:
            try:
                return await self._attempt(work)
            except _NOT_THE_MASTER:
                await self._pool.expire_connections()
                return await self._attempt(work)
        except _BROKEN as error:
            reason = type(error).__name__
            raise StoreUnavailableError(f"postgres at {self._address.hosts}: {reason}") from None

    async def close(self) -> None:
        """Closes the connections, without waiting for a server that is silent."""
        if self._pool is not None:
            self._pool.terminate()

    async def _attempt(self, work: Callable[[Any], Awaitable[T]]) -> T:
        if self._pool is None:
            self._pool = asyncpg.create_pool(
                self._address.dsn,
                min_size=0,
                max_size=CONNECTIONS,
                reset=_keep_session,
                server_settings={"application_name": "grpc-rest-gateway"},
            )
            await self._pool  # connects to nothing yet
        connection = await self._pool.acquire()
        try:
            if not self._has_tables:
                await self._create_tables(connection)
            return await work(connection)
        except asyncio.CancelledError:
            # Otherwise the pool waits until the server has confirmed that it stopped the statement,
            # for ever if the server is silent.
            connection.terminate()
            raise
        finally:
            await self._pool.release(connection)

    async def _create_tables(self, connection: Any) -> None:
        async with self._creating:
            exists = "SELECT to_regclass($1) IS NOT NULL"
            if not await connection.fetchval(exists, self.named(sql.LAST_TABLE)):
                async with connection.transaction():
                    # IF NOT EXISTS does not stop two that create the same table at once.
                    await connection.execute(self.named(sql.LOCK), "tables")
                    await connection.execute(self.named(sql.TABLES))
            self._has_tables = True


async def _keep_session(_connection: Any) -> None:
    """Replaces the driver's statements after each use: nothing here changes a session."""

"""Reads what the metrics show of the parts of a gateway, once a second."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from gateway.app.open_site import OpenSite
from gateway.config.model import Config
from gateway.endpoints.admin.certificates import Ends, own_certificates
from gateway.stores.shared import SharedStores
from gateway.telemetry.metrics.definitions import (
    CACHE_BYTES,
    CACHE_ENTRIES,
    CACHE_FILLS,
    CERTIFICATE_EXPIRES,
    CERTIFICATE_RELOADS,
    GENERATION,
    IN_FLIGHT,
    SCHEMA,
    STORE_UP,
    UPSTREAM_OPEN,
    UPSTREAM_PANIC,
    UPSTREAM_UP,
)
from gateway.telemetry.metrics.sampling import Reading

_USABLE: Final = ("idle", "connecting", "ready")
"""The states of endpoints that take calls."""


class Current(Protocol):
    """The generation in force (`Generation`)."""

    @property
    def number(self) -> int:
        """Its number since the start, from 1."""
        ...

    @property
    def config(self) -> Config:
        """Its settings."""
        ...

    @property
    def opened(self) -> OpenSite:
        """Its site."""
        ...


class PartsReadings:
    """The readings of one gateway; see `Readings`."""

    def __init__(
        self,
        current: Callable[[], Current],
        tls_reloads: Callable[[], tuple[int, int]],
        stores: SharedStores,
    ) -> None:
        """Takes `tls_reloads`, the number of changes of TLS files: put into use, and refused."""
        self._current = current
        self._tls_reloads = tls_reloads
        self._stores = stores
        self._ends = Ends()

    def __call__(self) -> Iterator[Reading]:
        """Yields the readings as they are now."""
        current = self._current()
        yield GENERATION, (), current.number
        for purpose, is_available in self._stores.available().items():
            yield STORE_UP, (purpose,), float(is_available)
        yield SCHEMA, (current.opened.schema_hash,), 1.0
        in_flight: Counter[str] = Counter()
        usable: Counter[str] = Counter()
        for name, endpoint in current.opened.pool.endpoints():
            in_flight[name] += endpoint.in_flight
            usable[name] += endpoint.state in _USABLE
        for name, count in in_flight.items():
            yield IN_FLIGHT, (name,), count
        for name, limit, is_refusing in current.opened.pool.limits():
            yield UPSTREAM_OPEN, (name, limit), float(is_refusing)
        for name, panics in current.opened.pool.panics().items():
            yield UPSTREAM_PANIC, (name,), float(panics)
            yield UPSTREAM_UP, (name,), float(usable[name] > 0)
        cache = current.opened.cache
        if cache is not None:
            yield CACHE_ENTRIES, (), len(cache.memory)
            yield CACHE_BYTES, (), cache.memory.size_bytes
            yield CACHE_FILLS, (), cache.fills
        if current.config.tls is not None:
            applied, refused = self._tls_reloads()
            yield CERTIFICATE_RELOADS, ("applied",), applied
            yield CERTIFICATE_RELOADS, ("refused",), refused
        for file in own_certificates(current.config):
            end_s = self._ends.of(file)
            if end_s is not None:
                yield CERTIFICATE_EXPIRES, (str(file),), end_s

"""Reads what the metrics show of the parts of a gateway, once a second."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from gateway.app.open_site import OpenSite
from gateway.config.model import Config
from gateway.endpoints.admin.certificates import expires_at_s, own_certificates
from gateway.stores.shared import SharedStores
from gateway.telemetry.metrics.definitions import (
    CACHE_BYTES,
    CACHE_ENTRIES,
    CACHE_FILLS,
    CERTIFICATE_EXPIRES,
    CERTIFICATE_RELOADS,
    GENERATION,
    IN_FLIGHT,
    STORE_UP,
)
from gateway.telemetry.metrics.sampling import Reading


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
        self._ends: dict[Path, tuple[object, float | None]] = {}

    def __call__(self) -> Iterator[Reading]:
        """Yields the readings as they are now."""
        current = self._current()
        yield GENERATION, (), current.number
        for purpose, is_available in self._stores.available().items():
            yield STORE_UP, (purpose,), float(is_available)
        in_flight: Counter[str] = Counter()
        for name, endpoint in current.opened.pool.endpoints():
            in_flight[name] += endpoint.in_flight
        for name, count in in_flight.items():
            yield IN_FLIGHT, (name,), count
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
            end_s = self._end_s(file)
            if end_s is not None:
                yield CERTIFICATE_EXPIRES, (str(file),), end_s

    def _end_s(self, file: Path) -> float | None:
        """Returns the end of the certificate of a file, which is read when it has changed."""
        try:
            found = file.stat()
        except OSError:
            return None
        state = found.st_ino, found.st_size, found.st_mtime_ns
        seen, end_s = self._ends.get(file, (None, None))
        if seen != state:
            try:
                end_s = expires_at_s(file)
            except (OSError, ValueError):
                end_s = None
            self._ends[file] = state, end_s
        return end_s

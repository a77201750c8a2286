"""The common part of services that keep the digests of secrets in a store."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.audit import NO_AUDIT, Audit

S = TypeVar("S")


class Stored(Generic[S]):
    """A service on a store, with the audit log for its changes and the clock for its times.

    Every method raises `StoreUnavailableError` while the store is unavailable.
    """

    def __init__(
        self, store: S, audit: Audit = NO_AUDIT, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock

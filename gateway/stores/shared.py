"""Stores that several users hold at once, such as the sites before and after a reload."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from gateway.stores.measured import MeasuredStore, Observe
from gateway.stores.opening import Store, StoreUrlError, is_remote, make_store

SETTINGS = {
    "credentials": "auth.store",
    "counters": "rate_limits.store",
    "cache": "cache.store",
    "idempotency": "idempotency.store",
}
"""The setting of the store of each purpose."""


class SharedStores:
    """Opens each store once; closes it when its last user has left.

    A store in memory keeps its tokens and counters as long as one user holds it.
    """

    def __init__(self, observe_of: Callable[[str], Observe] | None = None) -> None:
        """Takes `observe_of`, what is told about each operation of the store of a purpose.

        A store in memory is not timed, because nothing but the processor can delay it.
        """
        self._observe_of = observe_of
        self._open: dict[tuple[str, str, float], tuple[Store, int]] = {}
        """The open stores with the number of their users, by purpose, URL and time limit."""

    @asynccontextmanager
    async def open(self, purpose: str, url: str, timeout_s: float) -> AsyncIterator[Store]:
        """Holds the store at `url` during the block. Two purposes never share a store.

        `timeout_s` bounds each operation of a store that is reached over a network.

        Raises:
            StoreUrlError: the URL is invalid, or its driver is not installed; it names the setting.
        """
        # Without a network there is nothing to bound: a new limit must not lose what is in memory.
        key = purpose, url, timeout_s if is_remote(url) else 0.0
        store, users = self._open[key] if key in self._open else (self._made(*key, timeout_s), 0)
        self._open[key] = store, users + 1
        try:
            yield store
        finally:
            users = self._open[key][1] - 1
            if users:
                self._open[key] = store, users
            else:
                del self._open[key]
                await store.close()

    def available(self) -> Mapping[str, bool]:
        """Returns whether the stores of each purpose can be asked, as far as is known."""
        found: dict[str, bool] = {}
        for (purpose, _, _), (store, _) in self._open.items():
            found[purpose] = store.is_available and found.get(purpose, True)
        return found

    def _made(self, purpose: str, url: str, _: float, timeout_s: float) -> Store:
        try:
            store = make_store(url, timeout_s)
        except StoreUrlError as error:
            raise StoreUrlError(f"{SETTINGS[purpose]}: {error}") from None
        if self._observe_of is None or url == "memory:":
            return store
        return MeasuredStore(store, self._observe_of(purpose))

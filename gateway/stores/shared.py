"""Stores that several users hold at once, such as the sites before and after a reload."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.stores.base import Store
from gateway.stores.opening import is_remote, make_store


class SharedStores:
    """Opens each store once; closes it when its last user has left.

    A store in memory keeps its tokens and counters as long as one user holds it.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, str, float], tuple[Store, int]] = {}
        """The open stores with the number of their users, by purpose, URL and time limit."""

    @asynccontextmanager
    async def open(self, purpose: str, url: str, timeout_s: float) -> AsyncIterator[Store]:
        """Holds the store at `url` during the block. Two purposes never share a store.

        `timeout_s` bounds each operation of a store that is reached over a network.

        Raises:
            StoreUrlError: the URL is invalid, or its driver is not installed.
        """
        # Without a network there is nothing to bound: a new limit must not lose what is in memory.
        key = purpose, url, timeout_s if is_remote(url) else 0.0
        store, users = self._open[key] if key in self._open else (make_store(url, timeout_s), 0)
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

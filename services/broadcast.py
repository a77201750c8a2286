"""Hands what happens on a topic to everyone who listens to it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Listener(Generic[T]):
    """One who listens: an async iterator over what comes, until it ends."""

    def __init__(self) -> None:
        self._coming: asyncio.Queue[T | _End] = asyncio.Queue()

    def put(self, item: T) -> None:
        """Adds an item, after those still waiting."""
        self._coming.put_nowait(item)

    def end(self, failure: Exception | None = None) -> None:
        """Ends the iteration after the items still waiting, with a failure if one is given."""
        self._coming.put_nowait(_End(failure))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        item = await self._coming.get()
        if not isinstance(item, _End):
            return item
        raise item.failure or StopAsyncIteration


class Broadcast(Generic[T]):
    """Topics by name, and who listens to each."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Listener[T]]] = defaultdict(set)

    def __repr__(self) -> str:
        return f"<Broadcast { ({topic: len(all_) for topic, all_ in self._listeners.items()}) }>"

    @contextmanager
    def listen(self, topic: str) -> Iterator[Listener[T]]:
        """Listens to a topic for as long as the `with` lasts."""
        listener: Listener[T] = Listener()
        self._listeners[topic].add(listener)
        try:
            yield listener
        finally:
            self._listeners[topic].discard(listener)
            if not self._listeners[topic]:
                del self._listeners[topic]

    def send(self, topic: str, item: T) -> None:
        """Hands an item to everyone who listens to the topic now."""
        for listener in self._listeners.get(topic, ()):
            listener.put(item)

    def end(self, topic: str, failure: Exception) -> None:
        """Ends the topic for everyone who listens to it now."""
        for listener in self._listeners.get(topic, ()):
            listener.end(failure)


class _End:
    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure

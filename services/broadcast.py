"""Delivers the events of a topic to all of its listeners."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Listener(Generic[T]):
    """A subscription: an async iterator over the items, until the topic ends."""

    def __init__(self) -> None:
        self._coming: asyncio.Queue[T | _End] = asyncio.Queue()

    def put(self, item: T) -> None:
        """Appends an item to the queue."""
        self._coming.put_nowait(item)

    def end(self, failure: Exception | None = None) -> None:
        """Ends the iteration after the queued items, with a failure if one is given."""
        self._coming.put_nowait(_End(failure))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        item = await self._coming.get()
        if not isinstance(item, _End):
            return item
        raise item.failure or StopAsyncIteration


class Broadcast(Generic[T]):
    """Topics by name, with their listeners."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Listener[T]]] = defaultdict(set)

    def __repr__(self) -> str:
        return f"<Broadcast { ({topic: len(all_) for topic, all_ in self._listeners.items()}) }>"

    @contextmanager
    def listen(self, topic: str) -> Iterator[Listener[T]]:
        """Subscribes to a topic while the `with` block runs."""
        listener: Listener[T] = Listener()
        self._listeners[topic].add(listener)
        try:
            yield listener
        finally:
            self._listeners[topic].discard(listener)
            if not self._listeners[topic]:
                del self._listeners[topic]

    def send(self, topic: str, item: T) -> None:
        """Delivers an item to all current listeners of the topic."""
        for listener in self._listeners.get(topic, ()):
            listener.put(item)

    def end(self, topic: str, failure: Exception) -> None:
        """Ends the topic for all current listeners."""
        for listener in self._listeners.get(topic, ()):
            listener.end(failure)


class _End:
    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure

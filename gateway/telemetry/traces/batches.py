"""Encoded spans on their way from the requests to the thread that sends them, in batches."""

import threading
from collections import deque
from typing import Final

SIZE: Final = 256
"""The requests of one batch: at most 512 spans, the batch of OpenTelemetry's SDKs."""
_MOST_BATCHES: Final = 16


class Batch:
    """The encoded spans of several requests."""

    __slots__ = ("requests", "spans")

    def __init__(self) -> None:
        # One memory that grows: an object for each request, alive among short-lived ones, makes it
        # slower to find memory for those.
        self.spans = bytearray()
        self.requests = 0
        """The number of requests."""


class Batches:
    """A queue of at most 4,096 requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Batch] = deque([Batch()])
        """All but the last are full."""

    def __len__(self) -> int:
        """Returns the number of requests."""
        with self._lock:
            return (len(self._waiting) - 1) * SIZE + self._waiting[-1].requests

    @property
    def has_room(self) -> bool:
        """True if one more request can be added."""
        return len(self._waiting) <= _MOST_BATCHES

    def add(self, spans: bytes) -> bool:
        """Adds the spans of a request; returns True if a batch is full now."""
        with self._lock:
            last = self._waiting[-1]
            last.spans += spans
            last.requests += 1
            is_full = last.requests == SIZE
            if is_full:
                self._waiting.append(Batch())
            return is_full

    def take(self, *, only_full: bool) -> Batch | None:
        """Removes and returns the oldest batch; None if nothing waits, or with `only_full` less."""
        with self._lock:
            first = self._waiting[0]
            if first.requests < (SIZE if only_full else 1):
                return None
            self._waiting.popleft()
            if not self._waiting:
                self._waiting.append(Batch())
            return first

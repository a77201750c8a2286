"""The interface of stores that list the nodes which share them; a node that is silent vanishes."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Heartbeat(NamedTuple):
    """The last heartbeat of a node."""

    record: bytes
    """The description that the node gives of itself."""
    age_s: float
    """The seconds since then by the clock of the store: nodes' clocks are never compared."""


class NodeStore(Protocol):
    """Lists nodes. Every operation raises `StoreUnavailableError` if the store is unavailable."""

    async def beat(self, node: str, record: bytes, ttl_s: float) -> None:
        """Stores the record of a node, which vanishes after `ttl_s`."""
        ...

    async def leave(self, node: str) -> None:
        """Forgets a node."""
        ...

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Returns the last heartbeat of up to `MOST_NODES` nodes."""
        ...


MOST_NODES = 1000
"""The most nodes that a store lists: more would hold Redis up."""

"""A streaming request that is held by the failure of a call."""

from abc import ABC, abstractmethod


class HeldRequest(ABC):
    """A streaming request that can be sent again from its start, by another call."""

    __slots__ = ()

    @abstractmethod
    async def stop(self) -> None:
        """Drops the request: takes no further message of it, and returns once that is done."""

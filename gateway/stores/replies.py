"""The interface of stores that keep replies of back ends for several gateways.

A store numbers the changes that it is told of. A reply belongs to names, such as its path and its
tags, and to the number of the last change before its call began. It is outdated by each later
change of one of its names, also by one that came before the reply itself: so neither a slow call
nor a lost message brings back what was changed, whatever the clocks of the nodes say.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

KEPT_S: Final = 86_400.0
"""The longest time for which a reply is kept."""
CALL_S: Final = 300.0
"""The longest time from the look-up before a call to the end of the call: after that, its reply
must not be kept, because changes before it may have been forgotten."""


class FoundReply(NamedTuple):
    """The answer to a look-up."""

    number: int
    """The number of the last change so far."""
    value: bytes | None = None
    """The reply; None if there is none that is not outdated."""
    since: int = 0
    """The number of the last change before its call began."""
    age_s: float = 0.0
    """The seconds since it was kept, by the clock of the store."""
    stale_s: float | None = None
    """The seconds since an operator made it stale, by the same clock; None if none did."""


@dataclass(frozen=True, slots=True)
class KeptReply:
    """A reply to keep."""

    key: str
    value: bytes
    names: Sequence[str]
    """Digests, as hexadecimal texts of one length."""
    since: int
    """The number of the last change before its call began."""
    life_s: float
    owner: str
    """The digest of the principal to whose share the reply counts; empty for replies of all."""
    most_bytes: int
    """The limit of all replies with this owner; those used longest ago are removed for it."""


class ReplyStore(Protocol):
    """Keeps replies for several gateways.

    Every operation raises `StoreUnavailableError` if the store is unavailable.
    """

    async def find(self, key: str, name: str) -> FoundReply:
        """Looks a reply up for a request of the path `name`, which it then also belongs to."""
        ...

    async def keep(self, reply: KeptReply) -> bool:
        """Keeps a reply in place of the one with its key; False if it is outdated or too large."""
        ...

    async def forget(self, key: str) -> None:
        """Removes a reply."""
        ...

    async def change(self, names: Sequence[str], message: bytes, *, soft: bool) -> None:
        """Outdates the replies of these names; all who `listen` get the message.

        With `soft` they become stale instead.
        """
        ...

    def listen(self) -> AsyncGenerator[bytes]:
        """Yields the messages of changes from now on.

        Messages that are sent while the store is unavailable are lost.
        """
        ...

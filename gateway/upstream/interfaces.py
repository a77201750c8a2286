"""The interfaces of channels: to one endpoint, and to an upstream with all its endpoints."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.call import CallHead, Metadata, Reply
from gateway.schema.catalog import Method
from gateway.upstream.channels.channel import KeyedChannel
from gateway.upstream.channels.failures import HeldRequest
from gateway.upstream.endpoint import State


class EndpointChannel(Protocol):
    """A channel that makes one attempt at one endpoint, and knows its state."""

    def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes] | HeldRequest,
        metadata: Metadata | CallHead,
        timeout_s: float | None,
    ) -> Awaitable[Reply]:
        """Calls `method` once, also with a streaming request of another attempt; see `Channel`."""
        ...

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channel; see `Channel.close`."""
        ...

    @property
    def in_flight(self) -> int:
        """The number of calls that have started and not ended."""
        ...

    @property
    def state(self) -> State:
        """The state of its connections."""
        ...

    @property
    def failure(self) -> str:
        """The reason why it takes no calls; empty if it does."""
        ...

    def keep_open(self) -> None:
        """Connects now, and again whenever no connection is left, with back-off."""
        ...

    def on_change(self, told: Callable[[], None]) -> None:
        """Calls `told` from now on when `state` has changed."""
        ...


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """One endpoint as `gateway upstreams` shows it."""

    address: str
    state: str
    weight: int
    in_flight: int
    failure: str
    """The reason why it takes no calls; empty if it does."""
    zone: str = ""
    """Where it runs; empty if that is not known."""
    priority: int = 0

    @property
    def is_settled(self) -> bool:
        """True once it is connected, or a connection has failed."""
        return self.state not in {State.IDLE, State.CONNECTING}


@runtime_checkable
class UpstreamChannel(KeyedChannel, Protocol):
    """The channel to an upstream, which knows its endpoints."""

    async def resolve(self) -> None:
        """Waits for the first lookup of the endpoints, but not longer than `dns.start_s`."""
        ...

    async def connect(self, timeout_s: float) -> object:
        """Resolves the endpoints, for at most `timeout_s`, and begins to connect to all."""
        ...

    def report(self) -> list[EndpointReport]:
        """The endpoints as they are now; connects to nothing."""
        ...

    @property
    def refusing(self) -> Callable[[], Mapping[str, bool]]:
        """Returns the limits of the upstream, by their settings, and whether each refuses calls
        now."""
        ...

    @property
    def panics(self) -> Callable[[], bool]:
        """Returns true while endpoints that are left out get calls too."""
        ...

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channel; see `Channel.close`."""
        ...


@runtime_checkable
class ChecksMethods(Protocol):
    """A channel with settings for single methods."""

    def check(self, methods: Sequence[Method]) -> None:
        """Compares its settings with the methods whose calls it gets.

        Raises:
            StartUpError: they do not go together.
        """
        ...

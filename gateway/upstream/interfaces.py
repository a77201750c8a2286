"""The interfaces of channels: to one endpoint, and to an upstream with all its endpoints.

`Around` and `AroundUpstream` are the bases of the channels that add something to another one.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from gateway.call import Call, CallMetadata, Code, Method, Reply, RequestBytes, StatusError
from gateway.upstream.channels.failures import (
    AnyRequest,
    ConnectionLost,
    LateAttempt,
    Progress,
    Unprocessed,
    late_before_sending,
    overloaded,
    unreachable,
)
from gateway.upstream.endpoint import Endpoint, State
from gateway.upstream.watched_messages import WatchedMessages

__all__ = ["AnyRequest", "CallMetadata", "Code", "ConnectionLost", "Endpoint", "LateAttempt"]
__all__ += ["Method", "Progress", "Reply", "RequestBytes", "State", "StatusError", "Unprocessed"]
__all__ += ["WatchedMessages", "late_before_sending", "overloaded", "unreachable"]
__all__ += ["Around", "AroundUpstream", "AroundWithEnds", "ChecksMethods", "EndpointChannel"]
__all__ += ["EndpointReport", "Trailers", "UpstreamCall", "UpstreamChannel", "counting"]


class EndpointChannel(Protocol):
    """A channel that makes one attempt at one endpoint, and knows its state."""

    def call(
        self, method: Method, request: AnyRequest, metadata: CallMetadata, timeout_s: float | None
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
    def is_full(self) -> bool:
        """True if a call would wait behind others."""
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

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` from now on when `state` has changed."""
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
class UpstreamChannel(Protocol):
    """The channel to an upstream, which knows its endpoints, and chooses one for each call."""

    key_of: Callable[[Call], int] | None
    """Makes the key of a call, of 64 bits; None if no key is wanted."""

    def call(
        self,
        method: Method,
        request: RequestBytes,
        metadata: CallMetadata,
        timeout_s: float | None,
        key: int | None = None,
    ) -> Awaitable[Reply]:
        """Calls `method` once, at the endpoint for `key`; see `Channel.call`."""
        ...

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


class UpstreamCall(NamedTuple):
    """A call to an upstream: the parts that a channel needs to send it."""

    method: Method
    request: RequestBytes
    metadata: CallMetadata
    timeout_s: float | None
    key: int | None
    """Chooses the endpoint, if the channel has `key_of`."""


class AroundUpstream:
    """The base of channels to an upstream that do what another one does, apart from calls."""

    def __init__(self, name: str, channel: UpstreamChannel) -> None:
        self._name = name
        self._channel = channel
        self.key_of = channel.key_of

    def call(
        self,
        method: Method,
        request: RequestBytes,
        metadata: CallMetadata,
        timeout_s: float | None,
        key: int | None = None,
    ) -> Awaitable[Reply]:
        """Calls `method` once; see `UpstreamChannel.call`."""
        return self.send(UpstreamCall(method, request, metadata, timeout_s, key))

    @abstractmethod
    async def send(self, call: UpstreamCall) -> Reply:
        """Sends `call` over the other channel, and does what this one is for."""

    def pass_on(self, call: UpstreamCall) -> Awaitable[Reply]:
        """Sends `call` over the other channel."""
        return self._channel.call(*call)

    async def resolve(self) -> None:
        """Waits for the first lookup of the endpoints; see `UpstreamChannel.resolve`."""
        await self._channel.resolve()

    async def connect(self, timeout_s: float) -> object:
        """Resolves the endpoints and begins to connect; see `UpstreamChannel.connect`."""
        return await self._channel.connect(timeout_s)

    def report(self) -> list[EndpointReport]:
        """The endpoints as they are now; connects to nothing."""
        return self._channel.report()

    def refusing(self) -> Mapping[str, bool]:
        """The limits of the upstream, and whether each refuses calls now."""
        return self._channel.refusing()

    def panics(self) -> bool:
        """True while endpoints that are left out get calls too."""
        return self._channel.panics()

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channel; see `Channel.close`."""
        await self._channel.close(grace_s)


@runtime_checkable
class ChecksMethods(Protocol):
    """A channel with settings for single methods."""

    def check(self, methods: Sequence[Method]) -> None:
        """Compares its settings with the methods whose calls it gets.

        Raises:
            StartUpError: they do not go together.
        """
        ...


Trailers = Sequence[tuple[str, str | bytes]]


class Around:
    """An `EndpointChannel` that does what another one does."""

    def __init__(self, channel: EndpointChannel) -> None:
        self.channel = channel
        self._listener: Callable[[], None] | None = None

    def call(
        self, method: Method, request: AnyRequest, metadata: CallMetadata, timeout_s: float | None
    ) -> Awaitable[Reply]:
        """Calls `method` once; see `EndpointChannel.call`."""
        return self.channel.call(method, request, metadata, timeout_s)

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channel; see `Channel.close`."""
        await self.channel.close(grace_s)

    @property
    def in_flight(self) -> int:
        """The number of calls that have started and not ended."""
        return self.channel.in_flight

    @property
    def is_full(self) -> bool:
        """True if a call would wait behind others."""
        return self.channel.is_full

    @property
    def state(self) -> State:
        """The state of its connections, or the reason why they are not used."""
        return self.channel.state

    @property
    def failure(self) -> str:
        """The reason why it takes no calls; empty if it does."""
        return self.channel.failure

    def keep_open(self) -> None:
        """Connects now, and again whenever no connection is left, with back-off."""
        self.channel.keep_open()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` from now on when `state` has changed."""
        self._listener = listener
        self.channel.on_change(self.tell)

    def tell(self) -> None:
        """Reports that `state` may have changed."""
        if self._listener is not None:
            self._listener()


def counting(channel: EndpointChannel) -> EndpointChannel:
    """Returns the channel whose `in_flight` that of `channel` is: pickers ask it for each call."""
    while isinstance(channel, Around) and type(channel).in_flight is Around.in_flight:
        channel = channel.channel
    return channel


class AroundWithEnds(Around):
    """A channel around another one that sees the trailers of each call."""

    @abstractmethod
    def ended(self, trailers: Trailers) -> None:
        """Takes the trailers of a call that has ended, well or not; it must not wait or raise."""

    async def call(
        self, method: Method, request: AnyRequest, metadata: CallMetadata, timeout_s: float | None
    ) -> Reply:
        """Calls `method` once, and `ended` at its end; see `EndpointChannel.call`."""
        try:
            reply = await super().call(method, request, metadata, timeout_s)
        except StatusError as error:
            self.ended(error.trailers)
            raise
        if reply.messages is None:
            self.ended(reply.trailers)
        else:
            trailers = reply.trailers

            def stream_ended(error: BaseException | None) -> None:
                if error is None:
                    self.ended(trailers)
                elif isinstance(error, StatusError):
                    self.ended(error.trailers)

            reply.messages = WatchedMessages(reply.messages, stream_ended).as_generator()
        return reply

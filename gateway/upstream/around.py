"""A channel around another one: passes everything on, for subclasses that add to it."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from gateway.call import CallHead, Metadata, Reply
from gateway.schema.catalog import Method
from gateway.status import StatusError
from gateway.upstream.channels.failures import HeldRequest
from gateway.upstream.endpoint import State
from gateway.upstream.interfaces import EndpointChannel
from gateway.upstream.watched_messages import WatchedMessages

Trailers = Sequence[tuple[str, str | bytes]]


class Around:
    """An `EndpointChannel` that does what another one does."""

    def __init__(self, channel: EndpointChannel) -> None:
        self.channel = channel
        self._told: Callable[[], None] | None = None

    def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes] | HeldRequest,
        metadata: Metadata | CallHead,
        timeout_s: float | None,
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

    def on_change(self, told: Callable[[], None]) -> None:
        """Calls `told` from now on when `state` has changed."""
        self._told = told
        self.channel.on_change(self.tell)

    def tell(self) -> None:
        """Reports that `state` may have changed."""
        if self._told is not None:
            self._told()


class AroundWithEnds(Around):
    """A channel around another one that sees the trailers of each call."""

    @abstractmethod
    def ended(self, trailers: Trailers) -> None:
        """Takes the trailers of a call that has ended, well or not; it must not wait or raise."""

    async def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes] | HeldRequest,
        metadata: Metadata | CallHead,
        timeout_s: float | None,
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

            reply.messages = WatchedMessages(reply.messages, stream_ended)
        return reply

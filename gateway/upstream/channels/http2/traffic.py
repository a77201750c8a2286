"""The bytes of the messages of one call."""

from gateway.upstream.channels.http2.calls import RpcCall


class Traffic:
    """The bytes of the messages of one call, without gRPC's prefixes, as they are sent."""

    def __init__(self) -> None:
        self.call: RpcCall | None = None
        """The call, once it has a stream."""

    @property
    def sent(self) -> int:
        """The bytes that were given to the connection."""
        return 0 if self.call is None else self.call.sent_bytes

    @property
    def received(self) -> int:
        """The bytes of whole messages."""
        return 0 if self.call is None else self.call.received_bytes

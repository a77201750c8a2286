"""The `Channel` protocol: connections to one endpoint, wire bytes in, wire bytes out."""

from collections.abc import AsyncGenerator, Awaitable
from typing import Protocol

from gateway.call import Metadata, Reply
from gateway.schema.catalog import Method

QUIET_S = 1.0
"""How long a streaming reply may be quiet before it is handed out without its first message."""


class Channel(Protocol):
    """Sends a call's wire bytes to one endpoint and brings back its reply's.

    Every failure is a `StatusError` with the back end's code, message and details (from
    grpc-status-details-bin), its metadata and trailers; an unreachable endpoint is UNAVAILABLE.
    `failures.progress_of` says of each how far the call came.
    Cancelling the awaiting task, or closing a reply's generator, cancels the RPC.
    """

    def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes],
        metadata: Metadata,
        timeout_s: float | None,
    ) -> Awaitable[Reply]:
        """Calls `method` once; `request` is a generator where the method streams its request.

        A reply that streams is returned as soon as its first message, its end, or a failure is
        there, so that a failure before the first message is raised here and not by the generator;
        but one that stays quiet is returned after `QUIET_S`, and its metadata comes later.
        An exception of the `request` generator cancels the RPC and is raised as it is.
        """
        ...

    async def close(self, grace_s: float = 0.0) -> None:
        """Takes no more calls, lets those under way finish for `grace_s`, then ends them."""
        ...

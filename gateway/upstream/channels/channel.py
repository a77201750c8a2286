"""The `Channel` protocol: connections to one endpoint, wire bytes in, wire bytes out."""

from collections.abc import Awaitable
from typing import Protocol

from gateway.call import CallMetadata, Method, Reply, RequestBytes

QUIET_S = 1.0
"""Seconds without a message after which a streaming reply is returned without its first one."""


class Channel(Protocol):
    """Sends the wire bytes of a call to one endpoint and returns those of the reply.

    Every failure is a `StatusError` with the back end's code, message and details (from
    grpc-status-details-bin), its metadata and trailers; an unreachable endpoint is UNAVAILABLE.
    `failures.progress_of` gives the progress of the failed call.
    Cancelling the awaiting task, or closing a reply's generator, cancels the RPC.
    """

    def call(
        self, method: Method, request: RequestBytes, metadata: CallMetadata, timeout_s: float | None
    ) -> Awaitable[Reply]:
        """Calls `method` once; `request` is a generator where the method streams its request.

        A reply that streams is returned as soon as its first message, its end, or a failure has
        arrived, so that a failure before the first message is raised here and not by the generator.
        One that stays quiet is returned after `QUIET_S`, and its metadata comes later.
        An exception of the `request` generator cancels the RPC and is raised as it is.
        """
        ...

    async def close(self, grace_s: float = 0.0) -> None:
        """Refuses new calls, lets those in progress finish for `grace_s`, then ends them."""
        ...

"""The channel to an upstream: makes the attempts of each call, each on an endpoint chosen for it.

A call that no back end has processed is sent again, on another endpoint if there is one (gRFC A6,
transparent retries). No call is processed twice by that: `Unprocessed` is raised only if the
attempt was not.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from gateway.call import CallHead, Metadata, Reply
from gateway.schema.catalog import Method
from gateway.schema.idempotency import may_repeat
from gateway.upstream.channels.failures import (
    ConnectionLost,
    HeldRequest,
    Progress,
    Unprocessed,
    late_before_sending,
    no_addresses,
    unreachable,
)
from gateway.upstream.endpoints import EndpointReport, Endpoints, Member
from gateway.upstream.resolving import Refresh

MAX_ATTEMPTS: Final = 3
"""The most attempts of one call on endpoints that refuse it: more would hide that all of them do,
and add to the load of an upstream that has too much."""


class Balanced:
    """Calls the one endpoint, or one of several, chosen anew for each call.

    `refresh` resolves them, from the first call on; without it they stay as they are. With
    `repeats_safe`, a call whose connection was lost is repeated once on another endpoint, if its
    method may be repeated.
    """

    def __init__(
        self,
        name: str,
        endpoints: Endpoints,
        refresh: Refresh | None,
        *,
        repeats_safe: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._endpoints = endpoints
        self._refresh = refresh
        self._repeats_safe = repeats_safe
        self._clock = clock
        self._is_closed = False
        self._may_repeat: dict[Method, bool] = {}
        if refresh is not None:
            endpoints.on_loss = refresh.ask_soon

    def __repr__(self) -> str:
        return f"<Balanced {self._name}, {len(self._endpoints)} endpoints>"

    async def call(
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes],
        metadata: Metadata | CallHead,
        timeout_s: float | None,
    ) -> Reply:
        """Calls `method` on one endpoint, or on others if no back end processes it there."""
        started_s = self._clock()
        member = self._endpoints.only or self._endpoints.pick()
        if member is None:
            member = await self._first_member(timeout_s)
            if timeout_s is not None:
                timeout_s -= self._clock() - started_s
                started_s = self._clock()
        try:
            return await member.channel.call(method, request, metadata, timeout_s)
        except (Unprocessed, ConnectionLost) as failure:
            first: Unprocessed | ConnectionLost = failure
        until_s = None if timeout_s is None else started_s + timeout_s
        return await self._call_again(method, request, metadata, until_s, first, member)

    async def connect(self, timeout_s: float) -> Endpoints:
        """Resolves the endpoints, for at most `timeout_s`, and begins to connect to all."""
        if self._refresh is not None:
            await self._refresh.first(timeout_s)
        self._endpoints.start()
        self._endpoints.connect()
        return self._endpoints

    def report(self) -> list[EndpointReport]:
        """The endpoints as they are now; connects to nothing."""
        return self._endpoints.report()

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channels to all endpoints; see `Channel.close`."""
        self._is_closed = True
        if self._refresh is not None:
            await self._refresh.close()
        await self._endpoints.close(grace_s)

    async def _first_member(self, timeout_s: float | None) -> Member:
        """A member, after the first lookup; a later call without any fails at once."""
        if self._is_closed:
            raise unreachable(self._name)
        if self._refresh is not None:
            self._refresh.ask_soon()
            if not await self._refresh.first(timeout_s):
                raise late_before_sending()
        self._endpoints.start()
        member = self._endpoints.pick()
        if member is None:
            raise no_addresses(self._name)
        return member

    async def _call_again(  # noqa: PLR0917 - a call and its failure
        self,
        method: Method,
        request: bytes | AsyncGenerator[bytes] | HeldRequest,
        metadata: Metadata | CallHead,
        until_s: float | None,
        failure: Unprocessed | ConnectionLost,
        member: Member,
    ) -> Reply:
        tried, attempts = [member], 1
        lost: ConnectionLost | None = None
        while True:
            if isinstance(failure, Unprocessed):
                next_member = self._after_unprocessed(failure, attempts, tried)
                if not isinstance(request, bytes):
                    if failure.request is None:
                        break
                    request = failure.request
            elif lost is None and isinstance(request, bytes) and self._is_safe(method):
                next_member, lost = self._endpoints.another(tried), failure
            else:
                break
            if next_member is None:
                break
            tried.append(next_member)
            attempts += 1
            timeout_s = None if until_s is None else until_s - self._clock()
            try:
                return await next_member.channel.call(method, request, metadata, timeout_s)
            except (Unprocessed, ConnectionLost) as next_failure:
                failure = next_failure
        if isinstance(failure, Unprocessed) and failure.request is not None:
            await failure.request.stop()
        # A back end may have seen the first attempt, even if the last one was never sent.
        raise lost or failure

    def _after_unprocessed(
        self, failure: Unprocessed, attempts: int, tried: Sequence[Member]
    ) -> Member | None:
        """The member for a call that none has processed; None to give up.

        Where the failure lies in the call, another endpoint would not take it either. A refusal is
        repeated as often as on a single endpoint, so that an overloaded upstream gets no more.
        """
        if not failure.may_go_elsewhere:
            return None
        if failure.progress is Progress.REFUSED and attempts >= MAX_ATTEMPTS:
            return None
        member = self._endpoints.another(tried)
        if member is None and failure.may_repeat_here and attempts < MAX_ATTEMPTS:
            member = self._endpoints.only or self._endpoints.pick()
        return member

    def _is_safe(self, method: Method) -> bool:
        if not self._repeats_safe:
            return False
        safe = self._may_repeat.get(method)
        if safe is None:
            safe = self._may_repeat[method] = may_repeat(method)
        return safe

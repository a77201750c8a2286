"""The channel to an upstream: makes the attempts of each call, each on an endpoint chosen for it.

A call that no back end has processed (`Unprocessed`) is sent again, on another endpoint if there is
one (gRFC A6, transparent retries). A call that one may have processed is repeated if the policy
of its method says so. Nothing is repeated once its reply, or a message of it, was handed out.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from gateway.call import Attempt, Call, CallMetadata, Metadata, Method, Parts, Reply, RequestBytes
from gateway.telemetry.event import about
from gateway.upstream.channels.failures import (
    PREVIOUS_ATTEMPTS,
    AnyRequest,
    BackendError,
    ConnectionLost,
    Progress,
    Unprocessed,
    late_before_sending,
    no_addresses,
    unreachable,
)
from gateway.upstream.channels.http2.calls import UnaryCall
from gateway.upstream.endpoints import Endpoints, Member
from gateway.upstream.interfaces import Code, EndpointReport, StatusError
from gateway.upstream.measure import Measure
from gateway.upstream.repeats import UNWATCHED, NotRepeated, Repeats, WatchRepeats
from gateway.upstream.resolving import Refresh
from gateway.upstream.retrying import Retrying

logger = logging.getLogger("gateway.upstream")

MAX_ATTEMPTS: Final = 3
"""The most attempts of one call on endpoints that refuse it: more would hide that all of them do,
and add to the load of an upstream that has too much."""


class Balanced:
    """Calls the one endpoint, or one of several, chosen anew for each call.

    `refresh` resolves them, from the first call on; without it they stay as they are. `retrying`
    repeats calls that a back end has seen, if their methods may be repeated; None for never.
    `retrying_of` gives that of each method instead.
    """

    def __init__(
        self,
        name: str,
        endpoints: Endpoints,
        refresh: Refresh[Any] | None,
        *,
        retrying: Retrying | None = None,
        retrying_of: Callable[[Method], Retrying | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._endpoints = endpoints
        self._refresh = refresh
        self._retrying, self._retrying_by_method = retrying, retrying_of
        self._clock = clock
        self._is_closed = False
        self._called_s = clock()
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.key_of: Callable[[Call], int] | None = None
        """Makes the key of a call, if the endpoint is chosen by it; see `UpstreamChannel`."""
        self.watch: WatchRepeats = UNWATCHED
        """The observer of calls that are repeated."""
        self.refusing: Callable[[], Mapping[str, bool]] = dict
        """Returns the limits of calls, and whether each refuses some now."""
        if refresh is not None:
            endpoints.on_loss = refresh.ask_soon
            refresh.called_s = lambda: self._called_s

    def __repr__(self) -> str:
        return f"<Balanced {self._name}, {len(self._endpoints)} endpoints>"

    async def call(  # noqa: PLR0917 - see `UpstreamChannel.call`
        self,
        method: Method,
        request: RequestBytes | Parts,
        metadata: CallMetadata,
        timeout_s: float | None,
        key: int | None = None,
        call: Call | None = None,
        measure: Measure | None = None,
    ) -> Reply:
        """Calls `method` on one endpoint, or on others if no back end processes it there.

        `key` chooses the endpoint if `key_of` is set; `measure` is told how `call` ends.
        """
        began_s = started_s = self._called_s = self._clock()
        first: StatusError | None = None
        sent: Awaitable[Reply] | None = None
        try:
            member = self._endpoints.only or self._pick(key)
            if member is None:
                member = await self._first_member(timeout_s, key)
                if timeout_s is not None:
                    started_s = self._clock()
                    timeout_s -= started_s - began_s
            try:
                sent = member.channel.call(method, request, metadata, timeout_s)
                if isinstance(sent, UnaryCall):
                    await sent.done
                    taken = sent.reply()
                    reply = taken if isinstance(taken, Reply) else await taken
                else:
                    reply = await sent
            except StatusError as failure:
                is_seen = not isinstance(failure, Unprocessed)
                if is_seen and not self._may_retry(method, request, failure):
                    raise
                first = failure
            if first is not None:
                until_s = None if timeout_s is None else started_s + timeout_s
                retry = Retry(key, member, first, self._clock() - started_s)
                reply = await self._call_again(method, request, metadata, until_s, first, retry)
        except BaseException as error:
            if isinstance(sent, UnaryCall) and isinstance(error, asyncio.CancelledError):
                sent.give_up()
            if call is not None and measure is not None:
                measure.ended(call, error, began_s)
            raise
        if call is not None and measure is not None:
            measure.ended(call, reply, began_s)
        return reply

    async def resolve(self) -> None:
        """Waits for the first lookup of the endpoints, but not longer than `dns.start_s`."""
        if self._refresh is not None:
            await self._refresh.start()

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

    def panics(self) -> bool:
        """True while endpoints that are left out get calls too, as too few others are there."""
        return self._endpoints.panics

    async def close(self, grace_s: float = 0.0) -> None:
        """Closes the channels to all endpoints; see `Channel.close`."""
        self._is_closed = True
        if not self._end.done():
            self._end.set_result(None)  # calls that wait for a repeat fail now
        if self._refresh is not None:
            await self._refresh.close()
        await self._endpoints.close(grace_s)

    def _pick(self, key: int | None) -> Member | None:
        """The member for a call, also if there is only one."""
        endpoints = self._endpoints
        return endpoints.only or (endpoints.pick() if key is None else endpoints.pick_for(key))

    async def _first_member(self, timeout_s: float | None, key: int | None) -> Member:
        """A member, after the first lookup; a later call without any fails at once."""
        if self._is_closed:
            raise unreachable(self._name)
        if self._refresh is not None:
            self._refresh.ask_soon()
            if not await self._refresh.first(timeout_s):
                raise late_before_sending()
        self._endpoints.start()
        member = self._pick(key)
        if member is None:
            raise no_addresses(self._name)
        return member

    async def _call_again(  # noqa: PLR0917 - a call and its failure
        self,
        method: Method,
        request: AnyRequest,
        metadata: CallMetadata,
        until_s: float | None,
        failure: StatusError,
        retry: "Retry",
    ) -> Reply:
        tried, key = retry.tried, retry.key
        seen: StatusError | None = None
        retrying = self._retrying_of(method)
        try:
            while True:
                if isinstance(failure, Unprocessed):
                    next_member = self._after_unprocessed(failure, len(tried), tried, key)
                    if not isinstance(request, (bytes, list)):
                        if failure.request is None:
                            break
                        request = failure.request
                else:
                    seen = failure
                    next_member = None
                    if retrying is not None and self._may_retry(method, request, failure):
                        next_member = await self._after_failure(failure, retrying, retry, until_s)
                if next_member is None:
                    break
                self._repeats_after(failure, len(tried), next_member)
                tried.append(next_member)
                sent = after(metadata, retry.repeats) if retry.repeats else metadata
                outcome = await self._once_more(method, request, sent, until_s, retry)
                if isinstance(outcome, Reply):
                    return outcome
                failure = outcome
        finally:
            if retry.is_in_budget and retrying is not None:
                retrying.end()
            if len(tried) > 1:
                self.watch.ended(method.path[1:], retry.counted())
        if isinstance(failure, Unprocessed) and failure.request is not None:
            await failure.request.stop()
        # A back end has seen an earlier attempt, even if the last one was never sent.
        final = seen or failure
        final.attempts = retry.attempts if len(tried) > 1 else ()
        raise final

    def _repeats_after(self, failure: StatusError, attempts: int, member: Member) -> None:
        """Counts an attempt at `member`; logs one that no policy has asked for."""
        self.watch.repeated(name_of(failure))
        if isinstance(failure, Unprocessed):
            self._say_again("repeated", attempts, member, failure.progress)

    async def _once_more(
        self,
        method: Method,
        request: AnyRequest,
        metadata: CallMetadata,
        until_s: float | None,
        retry: "Retry",
    ) -> Reply | StatusError:
        """The outcome of an attempt at the last member that was tried."""
        timeout_s = None if until_s is None else until_s - self._clock()
        started_s = time.time()
        try:
            reply = await retry.tried[-1].channel.call(method, request, metadata, timeout_s)
        except StatusError as failure:
            retry.ended(failure, started_s)
            return failure
        retry.ended(None, started_s)
        reply.attempts = retry.attempts
        return reply

    def _may_retry(self, method: Method, request: object, failure: StatusError) -> bool:
        """True if a call that a back end has seen may be repeated, and that may help."""
        retrying = self._retrying_of(method)
        if retrying is None or not retrying.covers(failure):
            return False
        return isinstance(request, (bytes, list)) and (retrying.takes_any or method.may_repeat)

    def _retrying_of(self, method: Method) -> Retrying | None:
        by_method = self._retrying_by_method
        return self._retrying if by_method is None else by_method(method)

    async def _after_failure(
        self,
        failure: StatusError,
        retrying: Retrying,
        retry: "Retry",
        until_s: float | None,
    ) -> Member | None:
        """The member for a call that failed at another, after the pause; None to give up.

        Repeats need no budget where they are not more than the calls that one endpoint had: after
        a lost connection, and if the endpoint gets no calls any more. Otherwise the fault of one
        server would be seen by the clients of all calls that it had.
        """
        member = self._endpoints.another(retry.tried, retry.key)
        if member is None and retrying.here:
            member = self._pick(retry.key)
        if member is None:
            self.watch.refused(NotRepeated.ENDPOINTS)
            return None
        pause_s = self._pause(failure, retrying, retry, until_s)
        if isinstance(pause_s, NotRepeated):
            self.watch.refused(pause_s)
            return None
        retry.repeats += 1
        if isinstance(failure, BackendError) and failure.pushback_ms is not None:
            retry.pushed = retry.repeats
        self._say_again("repeated", retry.repeats, member, failure.code.name)
        if pause_s:
            await asyncio.wait((self._end,), timeout=pause_s)
            retry.waited_s += pause_s
        return None if self._is_closed else member

    def _pause(
        self,
        failure: StatusError,
        retrying: Retrying,
        retry: "Retry",
        until_s: float | None,
    ) -> float | NotRepeated:
        """Returns the seconds before the next attempt, which has its place in the budget; or the
        reason why there is none."""
        pause_s = retrying.pause_s(failure, retry.repeats + 1, retry.pushed)
        if isinstance(pause_s, NotRepeated):
            return pause_s
        if until_s is not None and self._clock() + pause_s >= until_s:
            return NotRepeated.DEADLINE
        failed = retry.tried[-1]
        is_bounded = isinstance(failure, ConnectionLost) or self._endpoints.leaves_out(failed)
        if not is_bounded and not retry.is_in_budget:
            if not retrying.begin(self._endpoints.in_flight):
                return NotRepeated.BUDGET
            retry.is_in_budget = True
        return pause_s

    def _say_again(self, how: str, number: int, member: Member, code: str = "no answer") -> None:
        """Logs an attempt that is not the first of its call; `number` were before it."""
        extra = about(
            f"gateway.upstream.call_{how}",
            gateway__upstream=self._name,
            server__address=str(member.endpoint),
            gateway__attempt=number + 1,
        )
        text = "upstream %s: a call is %s at %s after %s"
        logger.debug(text, self._name, how, member.endpoint, code, extra=extra)

    def _after_unprocessed(
        self, failure: Unprocessed, attempts: int, tried: Sequence[Member], key: int | None
    ) -> Member | None:
        """The member for a call that none has processed; None to give up.

        Where the failure lies in the call, another endpoint would not take it either. A refusal is
        repeated as often as on a single endpoint, so that an overloaded upstream gets no more.
        """
        is_last = failure.progress is Progress.REFUSED and attempts >= MAX_ATTEMPTS
        if is_last or not failure.may_go_elsewhere:
            return None
        member = self._endpoints.another(tried, key)
        if member is None and failure.may_repeat_here and attempts < MAX_ATTEMPTS:
            member = self._pick(key)
        return member


class Retry:
    """The repeats of one call."""

    __slots__ = (
        *("_after_unprocessed", "attempts", "is_in_budget", "key", "pushed", "repeats", "tried"),
        "waited_s",
    )

    def __init__(
        self, key: int | None, member: Member, failure: StatusError, took_s: float
    ) -> None:
        """Takes the first attempt: the member, the failure, and its time."""
        self.tried = [member]
        """The members of all attempts."""
        self.attempts: list[Attempt] = []
        """The attempts that have ended."""
        self.key = key
        """The key of the call, if its endpoint is chosen by one."""
        self.repeats = 0
        """The attempts that a back end has seen, without the last."""
        self.pushed = 0
        """The number of the last one whose time the back end chose."""
        self.is_in_budget = False
        """True if the budget counts it."""
        self.waited_s = 0.0
        """The time that the call has waited between attempts."""
        self._after_unprocessed = False
        self.ended(failure, time.time() - took_s)

    def ended(self, failure: StatusError | None, started_s: float) -> None:
        """Notes the end of the attempt at the last member; None for a reply."""
        code = Code.OK if failure is None else failure.code
        endpoint, replaces = str(self.tried[-1].endpoint), self._after_unprocessed
        attempt = Attempt(endpoint, self.repeats, replaces, started_s, time.time(), code)
        self.attempts.append(attempt)
        self._after_unprocessed = isinstance(failure, Unprocessed)

    def counted(self) -> Repeats:
        """The kinds of the attempts."""
        transparent = len(self.tried) - 1 - self.repeats
        return Repeats(self.repeats, transparent, delay_s=self.waited_s)


def name_of(failure: StatusError) -> str:
    """The name by which a failure is counted as the reason of the next attempt."""
    return "unprocessed" if isinstance(failure, Unprocessed) else failure.code.name


def after(metadata: CallMetadata, attempts: int) -> Metadata:
    """The metadata of an attempt after so many others."""
    plain = metadata if isinstance(metadata, list) else metadata.metadata()
    return [*plain, (PREVIOUS_ATTEMPTS, str(attempts))]

"""Hedged calls (gRFC A6): attempts of one call at several endpoints, of which one answer counts."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from functools import partial

from gateway.call import Attempt, Call, CallMetadata, Code, Method, Reply, RequestBytes, StatusError
from gateway.message_stream import Parts
from gateway.upstream.attempts import Balanced, after, name_of
from gateway.upstream.measure import Measure
from gateway.upstream.repeats import NO_ANSWER, NotRepeated, Repeats, WatchRepeats
from gateway.upstream.retrying import Hedging, Retrying

Send = Callable[[int], "asyncio.Task[Reply] | None"]
"""Sends an attempt, after so many others, to an endpoint that was not tried; None if all were."""


class Hedged(Balanced):
    """Calls several endpoints for a call whose method declares that this does no harm.

    Only calls with one request message are hedged; all others are calls of `Balanced`.
    """

    hedging_of: Callable[[Method], Hedging | None]
    """Gives the policy of a method; None if its calls are not hedged. Has to be set."""

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
        """Calls `method` on one endpoint, and on others if it does not answer soon."""
        hedging = self.hedging_of(method) if isinstance(request, (bytes, list)) else None
        if hedging is None or not isinstance(request, (bytes, list)):
            return await super().call(method, request, metadata, timeout_s, key, call, measure)
        if call is not None and measure is not None:
            return await measure(
                call, lambda _: self.call(method, request, metadata, timeout_s, key)
            )
        now_s = self._called_s = self._clock()
        until_s = None if timeout_s is None else now_s + timeout_s
        first = self._pick(key) or await self._first_member(timeout_s, key)
        endpoints, untried, tried = self._endpoints, [first], [first]

        def send(number: int) -> asyncio.Task[Reply] | None:
            member = untried.pop() if untried else endpoints.another(tried, key)
            if member is None:
                return None
            tried.append(member)
            left_s = None if until_s is None else until_s - self._clock()
            sent = after(metadata, number) if number else metadata
            if number:
                self._say_again("hedged", number, member)
            task = asyncio.ensure_future(member.channel.call(method, request, sent, left_s))
            task.set_name(str(member.endpoint))  # for the log
            return task

        def has_time(pause_s: float) -> bool:
            return until_s is None or self._clock() + pause_s < until_s

        race = Race(hedging, send, has_time, lambda: endpoints.in_flight, self.watch, self._end)
        try:
            return await race.run()
        finally:
            race.end()
            if race.hedges or race.transparent:
                repeats = Repeats(transparent=race.transparent, hedges=race.hedges)
                self.watch.ended(method.path[1:], repeats)


class Race:
    """The attempts of one call."""

    def __init__(  # noqa: PLR0917 - the parts of a call that it needs
        self,
        hedging: Hedging,
        send: Send,
        has_time: Callable[[float], bool],
        in_flight: Callable[[], int],
        watch: WatchRepeats,
        end: asyncio.Future[None],
    ) -> None:
        """Takes how to send an attempt, and what is done when no more may begin."""
        self._end = end
        self._hedging = hedging
        self._watch = watch
        self.hedges = 0
        """The attempts that have begun because of the policy."""
        self.transparent = 0
        """The attempts in place of those that no back end has processed."""
        self._send = send
        self._has_time = has_time
        self._in_flight = in_flight
        self._count = 0
        """The attempts that a back end may have seen."""
        self._sent = 0
        """All attempts."""
        self._begun: dict[asyncio.Task[Reply], tuple[int, bool, float]] = {}
        """The attempts under way: the number of those before, whether each replaces one that was
        not processed, and the time at which it began."""
        self._ended: list[Attempt] = []
        self._running: set[asyncio.Task[Reply]] = set()
        self._may_start = True
        self._is_pushed = False
        """True if a back end has chosen the time of the next attempt."""
        self._next_in_s = hedging.delay_s
        self._failure: StatusError | None = None

    async def run(self) -> Reply:
        """The first answer.

        Raises:
            StatusError: the first fatal status, or the last one if no attempt is left.
        """
        try:
            reply = await self._run()
        except StatusError as failure:
            failure.attempts = self._attempts()
            raise
        reply.attempts = self._attempts()
        return reply

    def _attempts(self) -> Sequence[Attempt]:
        """All attempts, the one that decided at the end; those under way are cancelled now."""
        if self._sent < 2:
            return ()
        lost = [self._attempt(one, Code.CANCELLED) for one in list(self._begun)]
        return [*self._ended[:-1], *lost, *self._ended[-1:]]

    def _attempt(self, task: "asyncio.Task[Reply]", code: Code) -> Attempt:
        previous, replaces, started_s = self._begun.pop(task)
        return Attempt(task.get_name(), previous, replaces, started_s, time.time(), code)

    async def _run(self) -> Reply:
        self._start()
        while self._running or self._is_pushed:
            wait_s = self._next_in_s if self._may_start else None
            done: set[asyncio.Task[Reply]] = set()
            if self._running:
                done, _ = await asyncio.wait(
                    self._running, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
                )
            else:
                await asyncio.wait((self._end,), timeout=self._next_in_s)
                if self._end.done():
                    break
            if not done:
                self._start_another(NO_ANSWER)
                continue
            reply = self._first_reply(done)
            if reply is not None:
                return reply
        assert self._failure is not None, "an attempt without a reply has failed"  # noqa: S101
        raise self._failure

    def end(self) -> None:
        """Cancels the attempts under way; the reply of one that ends all the same is closed."""
        for task in self._running:
            task.add_done_callback(_drop)
            task.cancel()
        self._running.clear()

    def _first_reply(self, done: Iterable["asyncio.Task[Reply]"]) -> Reply | None:
        """The reply of one of the attempts that have ended; others become failures of the call."""
        for task in sorted(done, key=_has_failed):
            try:
                reply = task.result()
            except StatusError as failure:
                self._ended.append(self._attempt(task, failure.code))
                self._running.discard(task)
                self._failed(failure)
            else:
                self._ended.append(self._attempt(task, Code.OK))
                self._running.discard(task)
                return reply
        return None

    def _failed(self, failure: StatusError) -> None:
        """Takes a failure: raises one that is fatal, and starts another attempt after others."""
        if failure.was_processed is False:
            # Unprocessed: it does not count, and goes elsewhere (A6, transparent retries).
            if failure.code is not Code.UNAVAILABLE:
                raise failure
            self._failure = self._failure or failure
            self._count -= 1
            if self._start(replaces=True):
                self.transparent += 1
                self._watch.repeated(name_of(failure))
            return
        if not self._hedging.limits.covers(failure):
            raise failure
        self._failure = failure
        pause_s = self._hedging.limits.pushback_s(failure)
        if self._hedging.limits.forbids(failure):
            self._refuse(NotRepeated.PUSHBACK)
        elif pause_s is not None:
            has_more = self._may_start and self._count < self._hedging.max_attempts
            self._may_start = self._is_pushed = has_more and self._has_time(pause_s)
            self._next_in_s = pause_s
        else:
            self._start_another(name_of(failure))

    def _start_another(self, reason: str) -> None:
        """Starts one more attempt, within the limits; after one that is not allowed, none is."""
        self._next_in_s, self._is_pushed = self._hedging.delay_s, False
        limits = self._hedging.limits
        if not self._may_start:
            return
        if self._count >= self._hedging.max_attempts:
            self._may_start = False  # as the policy wants it: this is not counted as refused
        elif limits.throttle is not None and not limits.throttle.allows:
            self._refuse(NotRepeated.THROTTLE)
        elif not limits.begin(self._in_flight()):
            self._refuse(NotRepeated.BUDGET)
        elif self._start(partial(_give_back, limits)):
            self.hedges += 1
            self._watch.repeated(reason)
        else:
            limits.end()
            self._refuse(NotRepeated.ENDPOINTS)

    def _refuse(self, why: NotRepeated) -> None:
        """Starts no attempt any more."""
        if self._may_start:
            self._may_start = False
            self._watch.refused(why)

    def _start(
        self,
        ended: Callable[["asyncio.Task[Reply]"], None] | None = None,
        *,
        replaces: bool = False,
    ) -> bool:
        """Sends an attempt, if an endpoint is left for it; `ended` is called at its end."""
        task = self._send(self._count)
        if task is None:
            return False
        self._begun[task] = (self._count, replaces, time.time())
        self._count += 1
        self._sent += 1
        self._running.add(task)
        if ended is not None:
            task.add_done_callback(ended)
        return True


def _has_failed(task: "asyncio.Task[Reply]") -> bool:
    return task.cancelled() or task.exception() is not None


def _give_back(limits: Retrying, _task: "asyncio.Task[Reply]") -> None:
    limits.end()


def _drop(task: "asyncio.Task[Reply]") -> None:
    """Ends an attempt that nobody waits for any more."""
    if task.cancelled() or task.exception() is not None:
        return
    messages = task.result().messages
    if messages is not None:
        closing = asyncio.ensure_future(_close(messages))
        _CLOSING.add(closing)
        closing.add_done_callback(_CLOSING.discard)


_CLOSING: set["asyncio.Task[None]"] = set()
"""The event loop itself holds tasks weakly."""


async def _close(messages: AsyncGenerator[bytes]) -> None:
    await messages.aclose()

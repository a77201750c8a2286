"""Calls the back end once for all requests with one idempotency key.

Source: draft-ietf-httpapi-idempotency-key-header-07. A key is claimed in the store before its call
leaves, and every outcome that the back end decided is kept for repeated requests.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.call import Call, Code, Handler, Method, Reply, StatusError
from gateway.config.idempotency import IdempotencyOptions, IdempotencyRule, OnUnknown
from gateway.interceptors.idempotency import refusals
from gateway.interceptors.idempotency.keys import KeyedMethod, fields_of, parse_key
from gateway.interceptors.idempotency.records import record_of, replay
from gateway.stores.base import Claim, Claimed, ClaimState, ClaimStore, StoreUnavailableError
from gateway.telemetry.event import about

logger = logging.getLogger("gateway")

_PROTECTED: Final = ("POST", "PATCH")
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
# Libraries of back ends send these themselves, while the method may still be at work.
_UNDECIDED: Final = (Code.DEADLINE_EXCEEDED, Code.CANCELLED)


def _count_nothing(_: str) -> None:
    """Counts nothing."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A claim that was granted."""

    name: str
    token: str
    lease_s: float


class IdempotencyKeys:
    """The keys of one site: their store, and the calls under way."""

    def __init__(self, store: ClaimStore, options: IdempotencyOptions) -> None:
        self.count: Callable[[str], None] = _count_nothing
        """Takes the state of the key of each request (`ClaimState`), or `unavailable`."""
        self._store = store
        self._timeout_s = options.timeout_s
        self._most_bytes = options.max_reply_bytes
        self.passes_on_failure = options.passes_on_failure
        """True if calls go on without protection while the store fails."""
        self._running: set[asyncio.Task[Reply]] = set()
        self._is_down = False

    async def close(self) -> None:
        """Cancels the calls under way, whose outcome is then unknown."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def claim(self, name: str, claim: Claim) -> Claimed | None:
        """Claims a key; None if the store fails."""
        try:
            async with asyncio.timeout(self._timeout_s):
                claimed = await self._store.claim(name, claim)
        except (StoreUnavailableError, TimeoutError) as error:
            self._lose(error)
            return None
        self._is_down = False
        return claimed

    async def run(self, held: _Held, call: Call, proceed: Handler) -> Reply:
        """Makes the call of a claim. It goes on if its client leaves.

        Raises:
            StatusError: what the back end fails with; UNAVAILABLE if the store or the gateway ends.
        """
        task = asyncio.create_task(self._perform(held, call, proceed))
        self._running.add(task)
        task.add_done_callback(self._end)
        # This leaves the task as it is if the client leaves: what is done twice costs more.
        await asyncio.wait((task,))
        if task.cancelled():
            raise StatusError(Code.UNAVAILABLE, "the gateway is shutting down")
        return task.result()

    def _end(self, task: asyncio.Task[Reply]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # without a client, nobody else asks for it

    async def _perform(self, held: _Held, call: Call, proceed: Handler) -> Reply:
        if not await self._tell(self._store.hold(held.name, held.token, held.lease_s)):
            # Nothing was sent: a claim whose fate is unknown is free after its lease.
            await self._tell(self._store.release(held.name, held.token))
            raise refusals.store_failed()

        async def send() -> Reply:
            return await proceed(call)

        work = asyncio.create_task(send())
        try:
            while not (await asyncio.wait((work,), timeout=held.lease_s / 3))[0]:
                await self._tell(self._store.hold(held.name, held.token, held.lease_s))
            reply = work.result()
        except StatusError as error:
            await self._settle_failure(held, error)
            raise
        except BaseException:
            work.cancel()
            await self._settle(held, None)
            raise
        await self._settle(held, record_of(reply, self._most_bytes))
        return reply

    async def _settle_failure(self, held: _Held, error: StatusError) -> None:
        if error.was_processed is False:
            await self._tell(self._store.release(held.name, held.token))
        elif error.was_processed and error.code not in _UNDECIDED:
            await self._settle(held, record_of(error, self._most_bytes))
        else:
            await self._settle(held, None)

    async def _settle(self, held: _Held, record: bytes | None) -> None:
        if not await self._tell(self._store.settle(held.name, held.token, record)):
            logger.warning(
                "the outcome of a call with an idempotency key could not be kept",
                extra=about("gateway.idempotency.lost"),
            )

    async def _tell(self, operation: Awaitable[bool]) -> bool:
        """Returns the result of an operation; False if the store fails."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await operation
        except (StoreUnavailableError, TimeoutError) as error:
            self._lose(error)
            return False

    def _lose(self, error: Exception) -> None:
        """Logs that the store fails, once until it works again."""
        if not self._is_down:
            self._is_down = True
            reason = str(error) or f"no answer within {self._timeout_s:g} s"
            what = "let through unprotected" if self.passes_on_failure else "refused"
            logger.warning(
                "idempotency keys cannot be looked up, so their calls are %s: %s",
                *(what, reason),
                extra=about("gateway.idempotency.store_failed"),
            )


class IdempotentCalls:
    """Does the repeated requests of one method once.

    It stands behind `decode`, and so behind all stages that may reject a call: what they reject
    takes no key.
    """

    def __init__(self, keys: IdempotencyKeys, method: Method, rule: IdempotencyRule) -> None:
        self._keys = keys
        self._method = KeyedMethod(method)
        self._rule = rule
        self._is_required = rule.needs_key
        self._sent_as = method.with_keys() if rule.backend_handles else method
        self._takes_over = rule.on_unknown is OnUnknown.RETRY or self._sent_as.may_repeat

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Returns the reply of the back end, or the one it gave to the first request.

        Raises:
            StatusError: the key is missing, malformed, used for another request, or in progress.
        """
        if call.target[0] not in _PROTECTED:
            return proceed(call)
        stated = fields_of(call.headers)
        if not stated:
            if self._is_required:
                raise refusals.missing(self._rule.docs_url)
            return proceed(call)
        key = parse_key(stated)
        if key is None:
            raise refusals.malformed()
        if call.principal is None and not self._rule.allow_anonymous:
            raise refusals.anonymous()
        # Back ends may do better with it (for example in the transaction itself).
        name = "idempotency-key"
        call.metadata = [
            *(one for one in call.metadata if one[0] != name),
            (name, ",".join(stated)),
        ]
        call.method = self._sent_as  # so that an attempt that was lost can be repeated
        return self._answer(call, proceed, key)

    async def _answer(self, call: Call, proceed: Handler, key: str) -> Reply:
        name = self._method.name(call.principal, key)
        claim = Claim(
            secrets.token_hex(16),
            self._method.fingerprint(call.decoded),
            self._rule.lease_s,
            self._rule.ttl_s,
            self._takes_over,
        )
        claimed = await self._claim(name, claim)
        self._keys.count("unavailable" if claimed is None else claimed.state.value)
        if claimed is None:
            if self._keys.passes_on_failure:
                return await proceed(call)
            raise refusals.store_failed()
        match claimed.state:
            case ClaimState.GRANTED:
                held = _Held(name, claim.token, claim.lease_s)
                return await self._keys.run(held, call, proceed)
            case ClaimState.SETTLED:
                return _replayed(call, claimed.record)
            case ClaimState.RUNNING:
                raise refusals.in_progress()
            case ClaimState.UNKNOWN:
                raise refusals.outcome_unknown()
            case ClaimState.REUSED:
                raise refusals.reused()

    async def _claim(self, name: str, claim: Claim) -> Claimed | None:
        """Claims a key; waits for another call that is in progress, as long as the rule says."""
        until_s = time.monotonic() + self._rule.wait_s
        pause_s = _FIRST_PAUSE_S
        while True:
            claimed = await self._keys.claim(name, claim)
            left_s = until_s - time.monotonic()
            if claimed is None or claimed.state is not ClaimState.RUNNING or left_s <= 0:
                return claimed
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _replayed(call: Call, record: bytes) -> Reply:
    outcome = replay(record)
    if outcome is None:
        raise refusals.reply_too_large()
    call.response_headers.append(("Idempotency-Replayed", "true"))
    if isinstance(outcome, StatusError):
        raise outcome
    return outcome

"""Refuses callers who call too often.

Where calls are counted in this process nothing waits; where a store counts for many processes, all
limits of a method are asked in one round trip, and a store that is down decides nothing for long.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from gateway.audit import Audit
from gateway.call import Call, Handler, Interceptor, Reply
from gateway.config.rate_limits import OnStoreFailure, RateLimitOptions
from gateway.interceptors.rate_limits.refusal import Quotas, cannot_count, limit_reached
from gateway.interceptors.rate_limits.rules import rate_rules
from gateway.policy.options import MethodPolicy
from gateway.schema.catalog import Method
from gateway.stores.base import CounterStore, Demand, StoreUnavailableError, Taken
from gateway.stores.memory import MemoryStore

logger = logging.getLogger("gateway")

_PROBE_EVERY_S = 0.1
_MOST_NOTED = 1024


class RateLimits:
    """Makes the guards of methods with rate limits, which count in one place."""

    def __init__(
        self,
        counters: CounterStore,
        options: RateLimitOptions,
        audit: Audit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self._shared = SharedCounters(counters, options, clock)
        self._refusals = _Refusals(audit, clock)
        self._headers = options.headers

    def guards(self, method: Method, policy: MethodPolicy) -> Sequence[Interceptor]:
        """What holds the limits of a method; nothing where it has none."""
        if not policy.rate_limits:
            return ()
        checks = _Checks(method, policy, self._refusals, headers=self._headers)
        if isinstance(self._counters, MemoryStore):
            kind = LocalLimit if len(checks.rules) == 1 else LocalLimits
            return (kind(checks, self._counters),)
        return (SharedLimits(checks, self._shared),)


class _Checks:
    """What the limits of one method ask of a call, and what becomes of the answer."""

    def __init__(
        self, method: Method, policy: MethodPolicy, refusals: "_Refusals", *, headers: bool
    ) -> None:
        self.rules = rate_rules(method.full_name, policy.rate_limits)
        self.cost = policy.cost
        self.quotas = Quotas(self.rules) if headers else None
        self._method = method
        self._refusals = refusals
        self._keys_and_limits = [(rule.key, rule.limit) for rule in self.rules]

    def demands(self, call: Call) -> list[Demand]:
        """What a call takes, and from which counters."""
        cost = self.cost
        return [(key(call), limit, cost) for key, limit in self._keys_and_limits]

    def settle(self, call: Call, demands: Sequence[Demand], taken: Sequence[Taken]) -> None:
        """Tells the caller what is left.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, where it is too little.
        """
        if self.quotas is not None:
            call.response_headers += self.quotas.headers(taken)
        for one in taken:
            if not one.allowed:
                self.refuse(call, [key for key, _, _ in demands], taken)

    def refuse(self, call: Call, keys: Sequence[str], taken: Sequence[Taken]) -> None:
        """Writes the refusal down, and raises it."""
        for rule, key, one in zip(self.rules, keys, taken, strict=True):
            if not one.allowed:
                self._refusals.note(call, rule.label, key, one.retry_after_s)
        raise limit_reached(self._method, self.rules, keys, taken)


class LocalLimit:
    """One limit, counted in this process."""

    def __init__(self, checks: _Checks, counters: MemoryStore) -> None:
        (rule,) = checks.rules
        # Bound once, and one limit apart from many: saves a third of what the check costs.
        self._key = rule.key
        self._take = counters.taker(rule.limit, checks.cost)
        self._headers = None if checks.quotas is None else checks.quotas.headers_of_one
        self._checks = checks

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Answers a call within the limit."""
        key = self._key(call)
        taken = self._take(key)
        if self._headers is not None:
            call.response_headers += self._headers(taken)
        if not taken.allowed:
            self._checks.refuse(call, [key], [taken])
        return proceed(call)


class LocalLimits:
    """Several limits, counted in this process."""

    def __init__(self, checks: _Checks, counters: MemoryStore) -> None:
        self._checks = checks
        self._take = counters.take_all_now

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Answers a call within all limits."""
        demands = self._checks.demands(call)
        self._checks.settle(call, demands, self._take(demands))
        return proceed(call)


class SharedLimits:
    """Limits that a store counts for many processes."""

    def __init__(self, checks: _Checks, counters: "SharedCounters") -> None:
        self._checks = checks
        self._counters = counters

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Answers a call within all limits."""
        demands = self._checks.demands(call)
        taken = await self._counters.take_all(demands)
        if taken is not None:
            self._checks.settle(call, demands, taken)
        return await proceed(call)


class SharedCounters:
    """A store, asked no longer than a call can wait, and hardly at all while it is down."""

    def __init__(
        self, store: CounterStore, options: RateLimitOptions, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._timeout_s = options.timeout_s
        self._is_open = options.on_store_failure is OnStoreFailure.OPEN
        self._clock = clock
        self._is_down = False
        self._probe_at_s = 0.0

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken] | None:
        """What came of asking; None if nobody can tell and the call may pass nevertheless.

        Raises:
            StatusError: UNAVAILABLE, if nobody can tell and it may not.
        """
        if not self._is_due():
            return self._pass_uncounted()
        try:
            async with asyncio.timeout(self._timeout_s):
                taken = await self._store.take_all(demands)
        except StoreUnavailableError as error:
            self._lose(str(error))
            return self._pass_uncounted()
        except TimeoutError:
            self._lose(f"no answer within {self._timeout_s:g} s")
            return self._pass_uncounted()
        if self._is_down:
            self._is_down = False
            logger.warning("rate limits are counted again")
        return taken

    def _is_due(self) -> bool:
        """Whether the store is up, or it is time to see if it is."""
        if not self._is_down:
            return True
        now_s = self._clock()
        if now_s < self._probe_at_s:
            return False
        self._probe_at_s = now_s + _PROBE_EVERY_S
        return True

    def _lose(self, reason: str) -> None:
        if not self._is_down:
            self._is_down = True
            self._probe_at_s = self._clock() + _PROBE_EVERY_S
            what = "let through uncounted" if self._is_open else "refused"
            logger.warning("rate limits cannot be counted, so calls are %s: %s", what, reason)

    def _pass_uncounted(self) -> Sequence[Taken] | None:
        if self._is_open:
            return None
        raise cannot_count()


class _Refusals:
    """Writes refusals into the audit trail: the first, until what was refused could pass.

    Whoever knocks a thousand times a second is worth one line, not a thousand.
    """

    def __init__(self, audit: Audit, clock: Callable[[], float]) -> None:
        self._audit = audit
        self._clock = clock
        self._noted: OrderedDict[str, float] = OrderedDict()

    def note(self, call: Call, label: str, key: str, wait_s: float) -> None:
        """Notes that a call was refused by the limit `label`."""
        now_s = self._clock()
        if self._noted.get(key, 0.0) > now_s:
            return
        self._noted[key] = now_s + max(1.0, wait_s)
        self._noted.move_to_end(key)
        if len(self._noted) > _MOST_NOTED:
            self._noted.popitem(last=False)
        principal = call.principal
        self._audit.record(
            "policy.refused",
            principal="" if principal is None else principal.name,
            credential="" if principal is None else principal.credential,
            peer=call.peer,
            rpc=call.method.path[1:],
            rule=f"rate limit {label}",
        )

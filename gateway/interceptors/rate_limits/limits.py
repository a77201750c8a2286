"""Rejects calls that exceed a rate limit.

Counters in this process answer without a wait. A store that counts for many processes is asked for
all limits of a method in one round trip; while it is unavailable, calls do not wait for it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from gateway.audit import Audit, RecordThrottle
from gateway.call import Call, Handler, Interceptor, Method, Reply
from gateway.config.rate_limits import OnStoreFailure, RateLimitOptions
from gateway.interceptors.rate_limits.local import LocalLimit
from gateway.interceptors.rate_limits.refusal import Quotas, cannot_count, limit_reached
from gateway.interceptors.rate_limits.rules import ALL_COUNTERS, counters_of, key_end
from gateway.policy.options import MethodPolicy
from gateway.stores.base import CounterStore, Demand, Limit, StoreUnavailableError, Taken
from gateway.stores.memory import MemoryStore

logger = logging.getLogger("gateway")

_PROBE_EVERY_S = 0.1
_INSTEAD = {
    OnStoreFailure.OPEN: "let through uncounted",
    OnStoreFailure.CLOSED: "refused",
    OnStoreFailure.LOCAL: "counted in each process alone",
}


class RateLimits:
    """Makes the interceptors of methods with rate limits; all of them share one store."""

    def __init__(
        self,
        counters: CounterStore,
        options: RateLimitOptions,
        audit: Audit,
        clock: Callable[[], float] = time.monotonic,
        *,
        count: Callable[[str], None] | None = None,
        timeout_s: float = 0.25,
        processes: int = 1,
    ) -> None:
        """Takes `count`, which takes the label of a limit at each refusal.

        `timeout_s` is the time that a call waits for the store, which counts for `processes`.
        """
        self._counters = counters
        self._shared = SharedCounters(counters, options, timeout_s, processes, clock)
        self._refusals = _RefusalRecords(audit, clock, count)
        self._headers = options.headers
        self._prefixes: set[str] = set()

    async def reset(self, by: str, name: str) -> None:
        """Makes the counters of a `principal`, an API `key` or an `address` new; of all for "".

        Raises:
            StoreUnavailableError: the store does not answer; some counters may be new.
        """
        if by:
            end = key_end(by, name)
            await self._shared.forget([prefix + end for prefix in sorted(self._prefixes)])
        else:
            await self._shared.forget_all(ALL_COUNTERS)

    def guards(self, method: Method, policy: MethodPolicy) -> Sequence[Interceptor]:
        """Returns the interceptor that applies the limits of a method; none if it has no limits."""
        if not policy.rate_limits:
            return ()
        checks = _Checks(method, policy, self._refusals, headers=self._headers)
        self._prefixes.update(one.prefix for one in checks.limits)
        if isinstance(self._counters, MemoryStore):
            return (checks.local(self._counters),)
        return (SharedLimits(checks, self._shared),)


class _Checks:
    """Maps calls of one method to demands on counters, and the answers to headers and errors."""

    def __init__(
        self, method: Method, policy: MethodPolicy, refusals: "_RefusalRecords", *, headers: bool
    ) -> None:
        self.limits = counters_of(method.full_name, policy.rate_limits)
        self.cost = policy.cost
        self.quotas = Quotas(self.limits) if headers else None
        self._method = method
        self._refusals = refusals
        self._keys_and_limits = [(one.key, one.limit) for one in self.limits]

    def local(self, counters: MemoryStore) -> Interceptor:
        """Returns the interceptor that counts in this process."""
        if len(self.limits) > 1:
            return LocalLimits(self, counters)
        (limit,) = self.limits
        taker = counters.taker(limit.limit, self.cost)
        return LocalLimit(limit.key, taker, self.quotas, self.refuse)

    def demands(self, call: Call) -> list[Demand]:
        """Returns the counters that a call takes from, and the amount."""
        cost = self.cost
        return [(key(call), limit, cost) for key, limit in self._keys_and_limits]

    def settle(self, call: Call, demands: Sequence[Demand], taken: Sequence[Taken]) -> None:
        """Adds the rest of each limit to the headers of the response.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, if a limit is exceeded.
        """
        if self.quotas is not None:
            call.response_headers += self.quotas.headers(taken)
        for one in taken:
            if not one.allowed:
                self.refuse(call, [key for key, _, _ in demands], taken)

    def refuse(self, call: Call, keys: Sequence[str], taken: Sequence[Taken]) -> None:
        """Records the refusal and raises it.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, always.
        """
        for limit, key, one in zip(self.limits, keys, taken, strict=True):
            if not one.allowed:
                self._refusals.add(call, limit.label, key, one.retry_after_s)
        raise limit_reached(self._method, self.limits, keys, taken)


class LocalLimits:
    """Several limits, counted in this process."""

    def __init__(self, checks: _Checks, counters: MemoryStore) -> None:
        self._checks = checks
        self._take = counters.take_all_now

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call within all limits."""
        demands = self._checks.demands(call)
        self._checks.settle(call, demands, self._take(demands))
        return proceed(call)


class SharedLimits:
    """Limits that a store counts for many processes."""

    def __init__(self, checks: _Checks, counters: "SharedCounters") -> None:
        self._checks = checks
        self._counters = counters

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Proceeds with a call within all limits."""
        demands = self._checks.demands(call)
        taken = await self._counters.take_all(demands)
        if taken is not None:
            self._checks.settle(call, demands, taken)
        return await proceed(call)


class SharedCounters:
    """A store with a time-out for each request, and with few requests while it is unavailable."""

    def __init__(
        self,
        store: CounterStore,
        options: RateLimitOptions,
        timeout_s: float,
        processes: int,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._on_failure = options.on_store_failure
        self._processes = processes
        self._local = MemoryStore(clock)
        self._clock = clock
        self._is_down = False
        self._probe_at_s = 0.0

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken] | None:
        """Takes from the store; None if it is unavailable and `on_store_failure` is open.

        If it is local, takes the part of this process from counters in memory.

        Raises:
            StatusError: UNAVAILABLE, if it is unavailable and `on_store_failure` is closed.
        """
        if not self._is_due():
            return self._take_without_store(demands)
        try:
            async with asyncio.timeout(self._timeout_s):
                taken = await self._store.take_all(demands)
        except StoreUnavailableError as error:
            self._lose(str(error))
            return self._take_without_store(demands)
        except TimeoutError:
            self._lose(f"no answer within {self._timeout_s:g} s")
            return self._take_without_store(demands)
        if self._is_down:
            self._is_down = False
            logger.warning("rate limits are counted again")
        return taken

    async def forget(self, keys: Sequence[str]) -> None:
        """Makes these counters new, in the store and in this process."""
        await self._local.forget(keys)
        await self._store.forget(keys)

    async def forget_all(self, prefix: str) -> None:
        """Makes all counters new whose keys begin with `prefix`, in the store and here."""
        await self._local.forget_all(prefix)
        await self._store.forget_all(prefix)

    def _is_due(self) -> bool:
        """True if the store is available, or due for a probe."""
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
            what = _INSTEAD[self._on_failure]
            logger.warning("rate limits cannot be counted, so calls are %s: %s", what, reason)

    def _take_without_store(self, demands: Sequence[Demand]) -> Sequence[Taken] | None:
        if self._on_failure is OnStoreFailure.CLOSED:
            raise cannot_count()
        if self._on_failure is OnStoreFailure.OPEN:
            return None
        return self._local.take_all_now(
            [(key, _part(limit, self._processes, cost), cost) for key, limit, cost in demands]
        )


@lru_cache(maxsize=1024)
def _part(limit: Limit, processes: int, cost: int) -> Limit:
    """The part of a limit that one of several processes grants; at least the cost of one call."""
    return replace(limit, limit=max(cost, limit.limit // processes))


class _RefusalRecords:
    """Counts refusals, and records some of them in the audit log.

    Of the refusals of one counter the first is recorded, then none until the refused call could
    pass.
    """

    def __init__(
        self,
        audit: Audit,
        clock: Callable[[], float],
        count: Callable[[str], None] | None,
    ) -> None:
        self._count = count
        self._audit = audit
        self._throttle = RecordThrottle(clock)

    def add(self, call: Call, label: str, key: str, wait_s: float) -> None:
        """Records that the limit `label` refused a call."""
        if self._count is not None:
            self._count(label)
        if not self._throttle.admits(key, max(1.0, wait_s)):
            return
        principal = call.principal
        self._audit.record(
            "policy.refused",
            principal="" if principal is None else principal.name,
            credential="" if principal is None else principal.credential,
            peer=call.peer,
            rpc=call.method.path[1:],
            rule=f"rate limit {label}",
        )

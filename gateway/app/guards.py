"""Composes the chain of each method: its guards in order, and the back end at the end."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

from gateway.app.credentials import Credentials
from gateway.app.destinations import Destinations
from gateway.call import Handler, Interceptor, Method, chain
from gateway.interceptors.authenticate import Authenticate, AuthenticateStream
from gateway.interceptors.authorize import authorize
from gateway.interceptors.cache.fills import CallCache
from gateway.interceptors.cache.invalidate import Invalidate
from gateway.interceptors.cache.stage import CachedCalls
from gateway.interceptors.concurrency import ConcurrencyLimit
from gateway.interceptors.decode import decode
from gateway.interceptors.idempotency.stage import IdempotencyKeys, IdempotentCalls
from gateway.interceptors.idle import IdleLimit
from gateway.interceptors.loading import SelectedInterceptor
from gateway.interceptors.rate_limits.limits import RateLimits
from gateway.interceptors.resources.stages import NO_STAGES, ResourceStages
from gateway.policy.deadlines import Deadlines
from gateway.policy.effective import Policies
from gateway.policy.reply_tags import TagMaker
from gateway.telemetry.metrics.metrics import Metrics
from gateway.upstream.measure import Measure


@dataclass(frozen=True, slots=True)
class Guards:
    """Composes the chain of each method, once per site."""

    auth: Credentials
    policies: Policies
    limits: RateLimits
    custom: Sequence[SelectedInterceptor]
    deadlines: Deadlines
    _: KW_ONLY
    metrics: Metrics | None = None
    cache: CallCache | None = None
    """None if no method has its replies stored."""
    is_traced: bool = False
    checks: Mapping[Method, Interceptor] = field(default_factory=dict)
    """The stages that validate messages, of methods whose requests have rules."""
    keys: IdempotencyKeys | None = None
    """None if no method takes idempotency keys."""
    resources: Mapping[Method, ResourceStages] = field(default_factory=dict)
    """The stages of resource conventions, of methods with such a shape."""

    def chains(
        self, methods: Sequence[Method], destinations: Destinations
    ) -> dict[Method, Handler]:
        """The chain of each of `methods`, which ends in one of the `destinations`."""
        return {
            method: chain(self._before(method), destinations.last(method, self._measure))
            for method in methods
        }

    def _measure(self, method: Method, upstream: str) -> Measure | None:
        """Returns what measures the back end, without the time of the guards."""
        if self.metrics is None and not self.is_traced:
            return None
        durations = None
        if self.metrics is not None:
            durations = self.metrics.calls(method.path[1:], upstream)
        return Measure(durations, upstream=upstream if self.is_traced else None)

    def _before(self, method: Method) -> list[Interceptor]:
        """The stages that a call of `method` passes before it leaves for its back end."""
        auth, policy = self.auth, self.policies[method]
        stages = self._of_caller(method)
        # After authentication, before all stages that use resources. The rate limit comes first: a
        # call that waits for a store must not take a place.
        stages += self.limits.guards(method, policy)
        cached = self._cached(method)
        concurrency: list[Interceptor] = []
        if policy.max_concurrent is not None:
            concurrency.append(ConcurrencyLimit(method, policy.max_concurrent))
        if not cached:
            stages += concurrency
        custom = [one.interceptor for one in self.custom if one.stands_before(method)]
        if custom and self.is_traced:
            # Imported here, because its library takes memory, and few gateways have both.
            from gateway.interceptors.opentelemetry_context import (  # noqa: PLC0415
                opentelemetry_context,
            )

            stages += opentelemetry_context()
        stages += custom
        resources = self.resources.get(method, NO_STAGES)
        decoded = self._of_message(method, resources)
        if not method.client_streaming and (decoded or not cached):
            # After all stages that may reject a call: the body of a rejected call is not read. The
            # cache decodes for itself, and not at all if it knows the reply to the request line.
            # The messages of a stream are decoded as they arrive.
            stages.append(decode)
        stages += decoded
        if cached:
            # After all stages that may reject a call, and after the message, which is in the key. A
            # stored reply costs the back end nothing, so it takes no place among concurrent calls.
            stages += [*cached, *concurrency]
        elif self.cache is not None and not method.has_no_side_effects:
            tags = TagMaker(method, "invalidates", policy.invalidates)
            stages.append(Invalidate(self.cache, tags, streams=method.streams))
        # After idempotency keys: they belong to what the client sent, without a new request id.
        # Inside the cache: what is removed from replies is not stored either.
        stages += resources.inside
        if auth.identify is not None:
            # Last: back ends must see the principal as custom interceptors have changed it.
            stages.append(auth.identify)
        idle_s = self.deadlines.idle_s(method)
        if self.metrics is not None and method.streams:
            # Here, so that a call is counted once, however many upstreams it is sent to.
            stages.append(self.metrics.streams)
        if idle_s is not None:
            # Next to the back end: time spent in guards does not count as idle.
            stages.append(IdleLimit(idle_s))
        return stages

    def _of_message(self, method: Method, resources: ResourceStages) -> list[Interceptor]:
        """The stages that need the message of a call, before any that answers it."""
        # Before the checks of the message, which they complete. Around stored replies and repeated
        # ones, which have no headers of these conventions.
        stages = [*resources.around]
        if method in self.checks:
            stages.append(self.checks[method])
        keyed = self.policies[method].idempotency
        if self.keys is not None and keyed is not None and takes_keys(method):
            # After the message, which a key belongs to, and its checks. Before the cache: a replay
            # changes nothing.
            stages.append(IdempotentCalls(self.keys, method, keyed))
        return stages

    def _of_caller(self, method: Method) -> list[Interceptor]:
        """The stages that find out who calls `method`, and whether that is allowed."""
        auth = self.auth
        stages: list[Interceptor] = []
        if auth.authenticators:
            # First: all later stages may need the caller's identity.
            kind = AuthenticateStream if method.streams else Authenticate
            stages.append(kind(auth.authenticators, auth.audit))
        if not auth.is_open:
            # Also if `auth.order` is empty: then only methods open to anonymous callers remain.
            stages += authorize(
                *(method, self.policies[method], auth.audit, auth.challenges),
                anonymous=auth.admits_anonymous,
            )
        return stages

    def _cached(self, method: Method) -> list[Interceptor]:
        """The stage that answers calls of `method` with stored replies."""
        rule = self.policies[method].cache
        if rule is None or self.cache is None:
            return []
        timeout_s = self.deadlines.timeout_s(method, None)
        return [CachedCalls(self.cache, method, rule, timeout_s=timeout_s)]


def takes_keys(method: Method) -> bool:
    """True if idempotency keys apply to a method: it has one message each way, and changes
    something."""
    return not method.streams and not method.has_no_side_effects

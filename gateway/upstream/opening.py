"""Opens the channel to an upstream over the gateway's own HTTP/2 client."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from random import Random

from pydantic import ValidationError

from gateway.config.retries import HedgingPolicy, Retries, RetryPolicy
from gateway.config.upstreams import Balance, Upstream
from gateway.schema.catalog import ByMethod, Method
from gateway.upstream.attempts import Balanced
from gateway.upstream.balancing import Balancing, Endpoint, Resolver
from gateway.upstream.call_keys import KeyOf, key_of
from gateway.upstream.channels.http2.address import parse_target
from gateway.upstream.channels.http2.channel import Http2Channel
from gateway.upstream.channels.http2.connections import Pending
from gateway.upstream.channels.large_replies import LargeReplies
from gateway.upstream.configured import (
    ConfiguredChannel,
    FollowingChannel,
    ServiceConfig,
    ServiceConfigError,
    load_service_config,
)
from gateway.upstream.ejecting import Ejector
from gateway.upstream.endpoints import Endpoints
from gateway.upstream.health import CheckedChannel
from gateway.upstream.hedging import Hedged
from gateway.upstream.interfaces import EndpointChannel, UpstreamChannel
from gateway.upstream.limiting import Fullness, Gradient, LimitedChannel
from gateway.upstream.pickers import Policy, policy_of
from gateway.upstream.probes import Address, HealthCheckOptions, Probe
from gateway.upstream.reporting import Reports
from gateway.upstream.resolving import Refresh, SystemResolver
from gateway.upstream.retrying import Budget, Hedging, Retrying, Throttle
from gateway.upstream.ring import RingHash
from gateway.upstream.slow_start import SlowStart
from gateway.upstream.subsetting import own_seed, shuffled, subset
from gateway.upstream.trying import CountedChannel, TriedChannel, WatchedChannel
from gateway.upstream.watch import WatchEndpoints
from gateway.upstream.zones import Zones


def open_http2(name: str, upstream: Upstream, balancing: Balancing) -> UpstreamChannel:
    """The channel to `upstream`; it resolves nothing and connects to nothing before a call.

    Raises:
        OSError, ValueError: a TLS file cannot be used.
        ServiceConfigError: `grpc_service_config` cannot be used.
        ModuleNotFoundError: DNS servers are to be asked, and dnspython is not there.
    """
    config = None
    if upstream.grpc_service_config is not None:
        config = load_service_config(name, upstream.grpc_service_config)
    if not upstream.dns.service_config:
        return _open(name, upstream, balancing, config)
    from gateway.upstream.dns_servers import ConfigResolver  # noqa: PLC0415 - dnspython is an extra

    resolver = ConfigResolver(upstream.asks_dns, parse_target(upstream).host)
    random = Random()  # noqa: S311 - the share of a service config is no secret
    return FollowingChannel(
        name,
        lambda other: _open(name, upstream, balancing, other or config),
        upstream.drain_s,
        random.randrange(100),
        lambda found, failed: Refresh(resolver, upstream.dns, found, failed, random, when_empty=""),
    )


def _open(
    name: str, upstream: Upstream, balancing: Balancing, config: ServiceConfig | None
) -> UpstreamChannel:
    """The channel to `upstream` as `config` says, and where that says nothing, its settings."""
    if config is not None:
        upstream = _with_service_config(name, upstream, config)
    random = Random()  # noqa: S311 - the choice of an endpoint is no secret
    policy, keys, reports = _picking(name, upstream, balancing, random)
    known = {one.address: parse_target(upstream, one.address) for one in upstream.targets}
    named = parse_target(upstream) if upstream.target is not None else next(iter(known.values()))
    fullness = Fullness(name, _limits_of(upstream))
    pending = Pending(fullness.refused)
    counts = balancing.watch.attempts(name)
    ejector = _ejector(name, upstream, random, balancing.watch.endpoints(name))
    repeats = RepeatPolicies(upstream, random, config)
    per_try_s = None if upstream.retry_policy is None else upstream.retry_policy.per_try_s
    large_replies = LargeReplies(name, upstream.large_replies_bytes, upstream.large_replies_wait_s)

    def open_channel(endpoint: Endpoint) -> EndpointChannel:
        # TLS files have been read above, not when an address is new.
        address = known.get(str(endpoint)) or named.at(endpoint.addresses)
        watch = balancing.watch.connections(name, endpoint.zone)
        own = Http2Channel(name, upstream, address, large_replies, pending, watch=watch)
        channel: EndpointChannel = own if counts is None else CountedChannel(own, own.call, counts)
        channel = _checked(name, upstream, endpoint, (channel, own), address, balancing)
        if ejector is not None:
            channel = WatchedChannel(endpoint, channel, ejector)
        if reports is not None:
            channel = reports.reported(endpoint, channel, own)
        if per_try_s is None and repeats.throttle is None:
            return channel
        return TriedChannel(name, channel, per_try_s, repeats.throttle, repeats.limits_of)

    endpoints = Endpoints(
        name,
        open_channel,
        policy,
        upstream.drain_s,
        upstream.panic_percent,
        waits_for_connecting=keys is not None,
        zones=_zones(name, upstream, balancing, random),
        waiting=None if keys or upstream.balance is Balance.PICK_FIRST else pending,
    )
    resolver = balancing.resolvers.get(name) or _resolver_of(upstream, named)
    refresh = _fill(endpoints, upstream, resolver, random)
    balanced = repeats.balanced(name, endpoints, refresh)
    balanced.key_of, balanced.watch = keys, balancing.watch.repeats(name)
    balanced.refusing = fullness.refusing
    limited = _limited(name, upstream, balanced, fullness)
    return limited if config is None else ConfiguredChannel(name, limited, config)


def _checked(  # noqa: PLR0917 - a channel and all that its checks need
    name: str,
    upstream: Upstream,
    endpoint: Endpoint,
    channels: tuple[EndpointChannel, EndpointChannel],
    address: Address,
    balancing: Balancing,
) -> EndpointChannel:
    """The first of two `channels`, with checks that go over the second if there are any."""
    (channel, own), check = channels, balancing.health_checks.get(name)
    if upstream.health is None and check is None:
        return channel
    options = upstream.health or HealthCheckOptions()
    random, watch = Random(), balancing.watch.endpoints(name)  # noqa: S311 - times are no secret
    ask = Probe(options, address).ask
    return CheckedChannel(
        name, endpoint, channel, options, random, own=own, probe=ask, check=check, watch=watch
    )


def _resolver_of(upstream: Upstream, named: Address) -> Resolver | None:
    """The resolver of a name; None for addresses, and for `pick_first`, which needs one address: a
    name of the system is resolved whenever a connection is opened.

    Raises:
        ModuleNotFoundError: DNS servers are to be asked, and dnspython is not there.
    """
    asked = upstream.asks_dns
    if asked is not None:
        from gateway.upstream.dns_servers import resolver_of  # noqa: PLC0415 - dnspython is an extra

        return resolver_of(asked, upstream.dns.family)
    if not named.is_name or upstream.targets or upstream.balance is Balance.PICK_FIRST:
        return None
    return SystemResolver(named.host, named.port, upstream.dns.family)


def _with_service_config(name: str, upstream: Upstream, config: ServiceConfig) -> Upstream:
    """The settings of `upstream`, with those that `config` replaces."""
    if upstream.retries is Retries.OFF and "retry_throttling" in config.upstream:
        raise ServiceConfigError(
            f"upstreams.{name}.grpc_service_config: retryThrottling: has no effect with "
            "retries: off; remove one of them"
        )
    stated = {key: getattr(upstream, key) for key in upstream.model_fields_set}
    try:
        return Upstream.model_validate(stated | dict(config.upstream))
    except ValidationError as error:
        reasons = "; ".join([one["msg"].removeprefix("Value error, ") for one in error.errors()])
        changed = ", ".join(config.upstream)
        raise ServiceConfigError(
            f"upstreams.{name}.grpc_service_config: what it sets ({changed}) does not go with the "
            f"other settings: {reasons}"
        ) from None


class RepeatPolicies:
    """The policies of retries and hedging of one upstream; all of them share one budget."""

    def __init__(self, upstream: Upstream, random: Random, config: ServiceConfig | None) -> None:
        options, budget = upstream.retry_throttling, Budget()
        self.throttle: Throttle | None = None
        if options is not None:
            self.throttle = Throttle(options.max_tokens, options.token_ratio)
        self._retrying_of = _retryings(upstream, random, self.throttle, config, budget)
        self._hedging_of = _hedgings(upstream, random, self.throttle, config, budget)

    def limits_of(self, method: Method) -> Retrying | None:
        """The limits of the further attempts of a method's calls; None if there are none."""
        hedging = None if self._hedging_of is None else self._hedging_of(method)
        return self._retrying_of(method) if hedging is None else hedging.limits

    def balanced(
        self, name: str, endpoints: Endpoints, refresh: Refresh[Endpoint] | None
    ) -> Balanced:
        """The channel that makes the attempts."""
        if self._hedging_of is None:
            return Balanced(name, endpoints, refresh, retrying_of=self._retrying_of)
        hedged = Hedged(name, endpoints, refresh, retrying_of=self._retrying_of)
        hedged.hedging_of = self._hedging_of
        return hedged


def _hedgings(
    upstream: Upstream,
    random: Random,
    throttle: Throttle | None,
    config: ServiceConfig | None,
    budget: Budget,
) -> Callable[[Method], Hedging | None] | None:
    """The hedging policy of each method: of the service config, or else that of the upstream; None
    if there is none at all. Only methods that declare that two calls do no harm have one."""
    general = upstream.hedging_policy
    rules = [] if config is None else config.methods.values()
    if general is None and not any(rule.hedging_policy for rule in rules):
        return None

    def made(method: Method) -> Hedging | None:
        rule = None if config is None else config.of(method.service, method.name)
        policy = general
        if rule is not None and (rule.hedging_policy or rule.retry_policy):
            policy = rule.hedging_policy
        if policy is None or not method.declares_repeatable:
            return None
        return _hedging(policy, random, throttle, budget)

    return ByMethod(made).of


def _hedging(
    policy: HedgingPolicy, random: Random, throttle: Throttle | None, budget: Budget
) -> Hedging:
    shares = RetryPolicy.model_construct(
        retryable_status_codes=policy.non_fatal_status_codes,
        budget_percent=policy.budget_percent,
        budget_min=policy.budget_min,
    )
    limits = Retrying(shares, random, here=False, throttle=throttle, budget=budget)
    return Hedging(policy.max_attempts, policy.hedging_delay_s, limits)


def _retryings(
    upstream: Upstream,
    random: Random,
    throttle: Throttle | None,
    config: ServiceConfig | None,
    budget: Budget,
) -> Callable[[Method], Retrying | None]:
    """The policy of each method: of the service config, or else that of the upstream.

    A service config asks for repeats of methods that do not say that they may be repeated only
    where it names them one by one.
    """
    general = _general(upstream, random, throttle, budget)
    if config is None:
        return general

    def made(method: Method) -> Retrying | None:
        rule = config.of(method.service, method.name)
        if rule is None or rule.retry_policy is None:
            return general(method)
        return Retrying(
            rule.retry_policy,
            random,
            here=True,
            throttle=throttle,
            budget=budget,
            takes_any=rule.is_exact,
        )

    return ByMethod(made).of


def _general(
    upstream: Upstream, random: Random, throttle: Throttle | None, budget: Budget
) -> Callable[[Method], Retrying | None]:
    """The policy of each method by the settings of the upstream."""
    if upstream.retries is Retries.OFF:
        return lambda _: None
    policy, here = upstream.retry_policy or RetryPolicy(), upstream.retry_policy is not None
    make = partial(Retrying, policy, random, here=here, throttle=throttle, budget=budget)
    usual, by_verb = make(), make(takes_any=True)
    return lambda method: by_verb if policy.verbs and method.is_bound_by(policy.verbs) else usual


def _ejector(
    name: str, upstream: Upstream, random: Random, watch: WatchEndpoints
) -> Ejector | None:
    options = upstream.outlier
    if options is None:
        return None
    per_try_s = None if upstream.retry_policy is None else upstream.retry_policy.per_try_s
    if per_try_s is not None and per_try_s < options.min_deadline_s:
        # This time is not a client's: an attempt that takes longer is the endpoint's fault.
        options = options.model_copy(update={"min_deadline_s": per_try_s})
    return Ejector(name, options, random, watch=watch)


def _limits_of(upstream: Upstream) -> Iterator[str]:
    """The settings of the limits that may refuse calls."""
    yield "max_pending"
    if upstream.max_requests is not None:
        yield "max_requests"
    if upstream.adaptive is not None:
        yield "adaptive"


def _limited(
    name: str, upstream: Upstream, channel: Balanced, fullness: Fullness
) -> UpstreamChannel:
    options = upstream.adaptive
    adaptive = None if options is None else Gradient(options, time.monotonic())
    if upstream.max_requests is None and adaptive is None:
        return channel
    return LimitedChannel(name, channel, upstream.max_requests, adaptive, fullness=fullness)


def _picking(
    name: str, upstream: Upstream, balancing: Balancing, random: Random
) -> tuple[Policy, KeyOf | None, Reports | None]:
    """The policy of an upstream, and the keys of calls and the load reports that it may need."""
    own = balancing.policies.get(name)
    if own is not None:
        return own, None, None
    balance = upstream.balance or Balance.ROUND_ROBIN
    if balance is Balance.RING_HASH:
        size, factor = upstream.max_ring_size, upstream.hash_balance_factor
        ring = partial(RingHash, random=random, ring_size=size, balance_factor=factor)
        return ring, key_of(upstream.hash, random), None
    slow = _slow_start(upstream)
    if balance is Balance.WEIGHTED_ROUND_ROBIN:
        watch = balancing.watch.endpoints(name)
        reports = Reports(name, upstream.weighted_round_robin, random, watch=watch)
        reports.loads.slow_start = slow
        return reports.loads.picker, None, reports
    policy = policy_of(balance, random, full_scan=upstream.full_scan)
    if slow is not None:
        policy = slow.policy(policy, random, by_load=balance is Balance.LEAST_REQUEST)
    return policy, None, None


def _slow_start(upstream: Upstream) -> SlowStart | None:
    if upstream.slow_start_s is None:
        return None
    aggression, least = upstream.slow_start_aggression, upstream.slow_start_min_weight
    return SlowStart(upstream.slow_start_s, aggression, least, time.monotonic)


def _zones(name: str, upstream: Upstream, balancing: Balancing, random: Random) -> Zones | None:
    """The rule by which calls stay in a zone; None if they may go to any."""
    knows_zones = name in balancing.resolvers or any(one.zone for one in upstream.targets)
    if not balancing.zone or not knows_zones or name in balancing.policies:
        return None
    if upstream.balance in {Balance.RING_HASH, Balance.PICK_FIRST}:
        return None
    return Zones(balancing.zone, upstream.zones, random)


def _fill(
    endpoints: Endpoints, upstream: Upstream, resolver: Resolver | None, random: Random
) -> Refresh[Endpoint] | None:
    """Fills `endpoints` from the settings; with a resolver, returns the `Refresh` that does it."""
    if resolver is None:
        endpoints.replace(_own_subset(upstream, _fixed(upstream)), quietly=True)
        return None

    def replace(found: Iterable[Endpoint]) -> None:
        endpoints.replace(_own_subset(upstream, found))

    return Refresh(resolver, upstream.dns, replace, endpoints.unresolved, random)


def _own_subset(upstream: Upstream, found: Iterable[Endpoint]) -> Iterable[Endpoint]:
    """The endpoints that this process calls, in its own order."""
    if upstream.shuffle:
        found = shuffled(found, own_seed())
    size = upstream.subset_size
    return found if size is None else subset(found, size, own_seed())


def _fixed(upstream: Upstream) -> list[Endpoint]:
    """The endpoints that the settings name."""
    if upstream.target is not None:
        return [Endpoint((upstream.target.removeprefix("dns:///"),))]
    return [
        Endpoint((one.address,), one.weight, one.priority, one.zone or "")
        for one in upstream.targets
    ]

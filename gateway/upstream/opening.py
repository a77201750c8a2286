"""Opens the channel to an upstream over the gateway's own HTTP/2 client."""

from functools import partial
from random import Random

from gateway.config.retries import Retries, RetryPolicy
from gateway.config.upstreams import Balance, Upstream
from gateway.upstream.attempts import Balanced
from gateway.upstream.balancing import Balancing, Endpoint
from gateway.upstream.call_keys import KeyOf, key_of
from gateway.upstream.channels.http2 import Http2Channel
from gateway.upstream.channels.http2.address import parse_target
from gateway.upstream.ejecting import Ejector
from gateway.upstream.endpoints import EndpointChannel, Endpoints
from gateway.upstream.health import CheckedChannel
from gateway.upstream.pickers import Policy, policy_of
from gateway.upstream.reporting import Reports
from gateway.upstream.resolving import Refresh, SystemResolver
from gateway.upstream.retrying import Retrying
from gateway.upstream.ring import RingHash


def open_http2(name: str, upstream: Upstream, balancing: Balancing) -> Balanced:
    """The channel to `upstream`; it resolves nothing and connects to nothing before a call.

    Raises:
        OSError, ValueError: a TLS file cannot be used.
    """
    random = Random()  # noqa: S311 - the choice of an endpoint is no secret
    balance = upstream.balance or Balance.ROUND_ROBIN
    keys: KeyOf | None = None
    if balance is Balance.RING_HASH and name not in balancing.policies:
        keys = key_of(upstream.hash, random)
    reports: Reports | None = None
    if balance is Balance.WEIGHTED_ROUND_ROBIN and name not in balancing.policies:
        reports = Reports(name, upstream.weighted_round_robin, random)
    policy = balancing.policies.get(name) or _policy(upstream, balance, random, reports)
    known = {one.address: parse_target(upstream, one.address) for one in upstream.targets}
    named = parse_target(upstream) if upstream.target is not None else next(iter(known.values()))

    ejector = None if upstream.outlier is None else Ejector(name, upstream.outlier, random)

    def open_channel(endpoint: Endpoint) -> EndpointChannel:
        # TLS files have been read above, not when an address is new.
        address = known.get(str(endpoint)) or named.at(endpoint.addresses)
        channel: EndpointChannel = Http2Channel(name, upstream, address)
        if upstream.health is not None:
            channel = CheckedChannel(name, endpoint, channel, upstream.health, random)
        if ejector is not None:
            channel = ejector.watched(endpoint, channel)
        return channel if reports is None else reports.reported(endpoint, channel)

    endpoints = Endpoints(
        name,
        open_channel,
        policy,
        upstream.drain_s,
        upstream.panic_percent,
        waits_for_connecting=keys is not None,
    )
    resolver = balancing.resolvers.get(name)
    # `pick_first` needs one address: its name is resolved whenever a connection is opened.
    if resolver is None and named.is_name and not known and balance is not Balance.PICK_FIRST:
        resolver = SystemResolver(named.host, named.port, upstream.dns.family)
    refresh = None
    if resolver is None:
        endpoints.replace(_fixed(upstream), quietly=True)
    else:
        refresh = Refresh(resolver, upstream.dns, endpoints.replace, endpoints.unresolved, random)
    retrying = None
    if upstream.retries is Retries.SAFE:
        here = upstream.retry_policy is not None
        retrying = Retrying(upstream.retry_policy or RetryPolicy(), random, here=here)
    balanced = Balanced(name, endpoints, refresh, retrying=retrying)
    balanced.key_of = keys
    return balanced


def _policy(
    upstream: Upstream, balance: Balance, random: Random, reports: Reports | None
) -> Policy:
    if reports is not None:
        return reports.loads.picker
    if balance is Balance.RING_HASH:
        size, factor = upstream.max_ring_size, upstream.hash_balance_factor
        return partial(RingHash, random=random, ring_size=size, balance_factor=factor)
    return policy_of(balance, random)


def _fixed(upstream: Upstream) -> list[Endpoint]:
    if upstream.target is not None:
        return [Endpoint((upstream.target.removeprefix("dns:///"),))]
    return [Endpoint((one.address,), one.weight, one.priority) for one in upstream.targets]

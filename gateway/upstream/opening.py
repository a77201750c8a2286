"""Opens the channel to an upstream over the gateway's own HTTP/2 client."""

import time
from random import Random

from gateway.config.retries import Retries, RetryPolicy
from gateway.config.upstreams import Balance, Upstream
from gateway.upstream.attempts import Balanced
from gateway.upstream.balancing import Balancing, Endpoint
from gateway.upstream.channels.http2 import Http2Channel
from gateway.upstream.channels.http2.address import parse_target
from gateway.upstream.channels.http2.connections import Pending
from gateway.upstream.ejecting import Ejector
from gateway.upstream.endpoints import EndpointChannel, Endpoints
from gateway.upstream.gradient import Gradient
from gateway.upstream.health import CheckedChannel
from gateway.upstream.limiting import LimitedChannel
from gateway.upstream.pickers import policy_of
from gateway.upstream.resolving import Refresh, SystemResolver
from gateway.upstream.retrying import Retrying


def open_http2(name: str, upstream: Upstream, balancing: Balancing) -> Balanced | LimitedChannel:
    """The channel to `upstream`; it resolves nothing and connects to nothing before a call.

    Raises:
        OSError, ValueError: a TLS file cannot be used.
    """
    random = Random()  # noqa: S311 - the choice of an endpoint is no secret
    balance = upstream.balance or Balance.ROUND_ROBIN
    policy = balancing.policies.get(name) or policy_of(balance, random)
    known = {one.address: parse_target(upstream, one.address) for one in upstream.targets}
    named = parse_target(upstream) if upstream.target is not None else next(iter(known.values()))

    pending = Pending()
    ejector = None if upstream.outlier is None else Ejector(name, upstream.outlier, random)

    def open_channel(endpoint: Endpoint) -> EndpointChannel:
        # TLS files have been read above, not when an address is new.
        address = known.get(str(endpoint)) or named.at(endpoint.addresses)
        channel: EndpointChannel = Http2Channel(name, upstream, address, pending)
        if upstream.health is not None:
            channel = CheckedChannel(name, endpoint, channel, upstream.health, random)
        return channel if ejector is None else ejector.watched(endpoint, channel)

    endpoints = Endpoints(name, open_channel, policy, upstream.drain_s, upstream.panic_percent)
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
    return _limited(name, upstream, Balanced(name, endpoints, refresh, retrying=retrying))


def _limited(name: str, upstream: Upstream, channel: Balanced) -> Balanced | LimitedChannel:
    adaptive = None
    if upstream.adaptive is not None:
        adaptive = Gradient(upstream.adaptive, time.monotonic())
    if upstream.max_requests is None and adaptive is None:
        return channel
    return LimitedChannel(name, channel, upstream.max_requests, adaptive)


def _fixed(upstream: Upstream) -> list[Endpoint]:
    if upstream.target is not None:
        return [Endpoint((upstream.target.removeprefix("dns:///"),))]
    return [Endpoint((one.address,), one.weight) for one in upstream.targets]

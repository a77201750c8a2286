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
from gateway.upstream.health import CheckedChannel
from gateway.upstream.limiting import Gradient, LimitedChannel
from gateway.upstream.pickers import policy_of
from gateway.upstream.resolving import Refresh, SystemResolver
from gateway.upstream.retrying import Retrying
from gateway.upstream.throttle import Throttle
from gateway.upstream.trying import TriedChannel


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
    ejector = _ejector(name, upstream, random)
    retrying = _retrying(upstream, random)
    per_try_s = None if upstream.retry_policy is None else upstream.retry_policy.per_try_s

    def open_channel(endpoint: Endpoint) -> EndpointChannel:
        # TLS files have been read above, not when an address is new.
        address = known.get(str(endpoint)) or named.at(endpoint.addresses)
        channel: EndpointChannel = Http2Channel(name, upstream, address, pending)
        if upstream.health is not None:
            channel = CheckedChannel(name, endpoint, channel, upstream.health, random)
        if ejector is not None:
            channel = ejector.watched(endpoint, channel)
        if retrying is None or (per_try_s is None and retrying.throttle is None):
            return channel
        return TriedChannel(name, channel, per_try_s, retrying)

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
    return _limited(name, upstream, Balanced(name, endpoints, refresh, retrying=retrying))


def _retrying(upstream: Upstream, random: Random) -> Retrying | None:
    if upstream.retries is not Retries.SAFE:
        return None
    here = upstream.retry_policy is not None
    options = upstream.retry_throttling
    throttle = None if options is None else Throttle(options.max_tokens, options.token_ratio)
    return Retrying(upstream.retry_policy or RetryPolicy(), random, here=here, throttle=throttle)


def _ejector(name: str, upstream: Upstream, random: Random) -> Ejector | None:
    options = upstream.outlier
    if options is None:
        return None
    per_try_s = None if upstream.retry_policy is None else upstream.retry_policy.per_try_s
    if per_try_s is not None and per_try_s < options.min_deadline_s:
        # This time is not a client's: an attempt that takes longer is the endpoint's fault.
        options = options.model_copy(update={"min_deadline_s": per_try_s})
    return Ejector(name, options, random)


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

"""Composes a site from settings: everything that requests are answered with.

The only module that names all concrete classes.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from gateway.app.credentials import Credentials, open_credentials
from gateway.app.destinations import Destinations
from gateway.app.guards import Guards, takes_keys
from gateway.app.open_site import OpenSite
from gateway.app.schema_loading import load_schema
from gateway.call import Handler, Interceptor
from gateway.config.selectors import check_selector
from gateway.endpoints.metrics import PATH, metrics_endpoint
from gateway.exchange.endpoints import EndpointRegistry
from gateway.exchange.ring.cors import Cors
from gateway.exchange.ring.filters import filter_checks
from gateway.exchange.ring.grpc_status import GrpcStatus
from gateway.exchange.ring.key_places import key_checks
from gateway.exchange.ring.ring import RequestCheck, ResponseHook, Ring
from gateway.exchange.ring.security_headers import SecurityHeaders
from gateway.exchange.site import Site
from gateway.http.forwarded import Forwarding
from gateway.interceptors.cache.fills import CallCache
from gateway.interceptors.idempotency.stage import IdempotencyKeys
from gateway.interceptors.loading import load_interceptors, with_metrics
from gateway.interceptors.rate_limits.limits import RateLimits
from gateway.interceptors.rate_limits.rules import check_rate_limits
from gateway.interceptors.resources.stages import ResourceStages, resource_stages
from gateway.interceptors.send_path import SendPath
from gateway.interceptors.validate import validation_stages
from gateway.policy.deadlines import Deadlines
from gateway.policy.effective import (
    Policies,
    effective_policies,
    refuse_secrets,
    with_timeouts,
    without_policy,
)
from gateway.policy.options import Method, PolicyError, Schema
from gateway.stores.shared import SharedStores
from gateway.telemetry.logs.opening import Logs, Observer
from gateway.telemetry.metrics.definitions import FILTERED, IDEMPOTENT, RATE_LIMITED
from gateway.telemetry.metrics.metrics import Metrics
from gateway.telemetry.traces.opening import Traces
from gateway.transcoding.binding import path_to
from gateway.transcoding.transcoder import Config, Transcoder, build_transcoder
from gateway.upstream.balancing import SETTINGS_ONLY, Balancing
from gateway.upstream.pool import Pool, open_pool


async def open_site(
    config: Config,
    logs: Logs,
    stack: AsyncExitStack,
    interceptors: Sequence[Interceptor] = (),
    *,
    balancing: Balancing = SETTINGS_ONLY,
    metrics: Metrics | None = None,
    stores: SharedStores | None = None,
    traces: Traces | None = None,
    more_observers: Sequence[Observer] = (),
    former: OpenSite | None = None,
) -> OpenSite:
    """Composes the site that `config` describes; its parts are closed with `stack`.

    Upstreams that are the same as in the `former` site keep their connections.

    Calls pass the interceptors of the settings and then `interceptors`, first to last, before they
    leave for their back end. `more_observers` receive the record of each request, as the logs
    do.

    Raises:
        SchemaError, ReflectionError: there is no schema; and as `compose`.
    """
    if metrics is not None:
        balancing = replace(balancing, watch=metrics)
    if config.zone is not None:
        balancing = replace(balancing, zone=config.zone)
    opening = open_pool(config.destinations, balancing, None if former is None else former.pool)
    pool = await stack.enter_async_context(opening)
    await pool.resolve()
    schema, reflected = await load_schema(config, pool, comments=config.openapi.enabled)
    return await compose(
        *(config, pool, schema, reflected),
        logs=logs,
        stack=stack,
        interceptors=interceptors,
        metrics=metrics,
        traces=traces,
        stores=stores,
        more_observers=more_observers,
    )


async def compose(
    config: Config,
    pool: Pool,
    schema: Schema,
    reflected: Mapping[str, str],
    *,
    logs: Logs,
    stack: AsyncExitStack,
    interceptors: Sequence[Interceptor] = (),
    metrics: Metrics | None = None,
    traces: Traces | None = None,
    rehearsal: bool = False,
    stores: SharedStores | None = None,
    more_observers: Sequence[Observer] = (),
) -> OpenSite:
    """Composes a site from its parts; its parts are closed with `stack`.

    Requests have traces only with `traces`. Observers besides the logs are in `more_observers`.

    A rehearsal, for `gateway check`, connects to nothing: it does not fetch the keys of issuers,
    and creates interceptors without opening them. `stores` are those that other sites hold, too.

    Raises:
        RulesError, PoolError, StoreUrlError, AuthError, PolicyError, RateLimitError,
            InterceptorError, DocsError, ValidationError: the configuration cannot be used.
    """
    transcoder = build_transcoder(config, schema)
    methods = list(dict.fromkeys([binding.method for binding in transcoder.bindings]))
    destinations = _open_destinations(config, pool, methods, reflected, stack)
    audit = logs.audit if metrics is None else metrics.audit(logs.audit)
    stores = SharedStores() if stores is None else stores
    auth = await open_credentials(config, pool, audit, stack, stores, rehearsal=rehearsal)
    policies = _policies(config, schema, methods, destinations)
    limits = await _open_limits(config, policies, auth, stack, stores=stores, metrics=metrics)
    own = await load_interceptors(config.interceptors, methods, None if rehearsal else stack)
    own = with_metrics(own, [*interceptors, *_path_senders(config)], metrics)
    forwarding = Forwarding(config.forwarded, scheme=config.scheme)
    endpoints = _endpoints(config, auth, schema, transcoder, policies, metrics, forwarding)
    chains: dict[Method, Handler] = {}
    guards = Guards(
        *(auth, policies, limits, own, Deadlines(with_timeouts(config.deadlines, policies))),
        metrics=metrics,
        cache=await _open_cache(config, policies, stack, None if rehearsal else stores, metrics),
        is_traced=traces is not None,
        checks=validation_stages(config.validation, methods, proto_names=config.json_.proto_names),
        keys=await _open_keys(config, policies, stack, stores, metrics),
        resources=_resource_stages(config, methods, transcoder, chains),
    )
    chains |= guards.chains(methods, destinations)
    site = Site(
        *(config, transcoder, chains),
        observers=[*_observers(logs, metrics, traces), *more_observers],
        ring=_ring(config, transcoder, auth, endpoints, forwarding=forwarding, metrics=metrics),
        endpoints=endpoints,
        policies=policies,
        forwarding=forwarding,
        deadlines=guards.deadlines,
        starter=None if traces is None else traces.starter,
    )
    warned = [*map(str, transcoder.warnings), *auth.warnings, *_warnings(config, policies)]
    return OpenSite(site, pool, schema, transcoder, warned, limits.reset, guards.cache)


def _path_senders(config: Config) -> Sequence[Interceptor]:
    """The stage that tells back ends the path, if the settings name metadata for it."""
    name = config.metadata.path_name
    return [SendPath(name)] if name else []


def _resource_stages(
    config: Config, methods: Sequence[Method], transcoder: Transcoder, chains: dict[Method, Handler]
) -> Mapping[Method, ResourceStages]:
    """The stages of resource conventions; operations are found by the routes of this site."""
    return resource_stages(config.resources, methods, partial(path_to, transcoder.bindings), chains)


def _observers(logs: Logs, metrics: Metrics | None, traces: Traces | None) -> list[Observer]:
    """Everything that receives the records of ended requests."""
    observers = list(logs.observers)
    observers += [] if metrics is None else [metrics.requests]
    observers += [] if traces is None else [traces.exporter]
    return observers


def _endpoints(  # noqa: PLR0917 - the parts of a site
    config: Config,
    auth: Credentials,
    schema: Schema,
    transcoder: Transcoder,
    policies: Policies,
    metrics: Metrics | None,
    forwarding: Forwarding,
) -> EndpointRegistry:
    """The gateway's own public endpoints; the metrics too, if the settings say so."""
    rooms = [auth.endpoints]
    if config.openapi.enabled:
        # Imported here: few gateways show their document, and the code of it takes a megabyte.
        from gateway.app.description import description_endpoints  # noqa: PLC0415

        parts = (config, schema, transcoder, policies, auth, forwarding)
        rooms.append(description_endpoints(*parts))
    endpoints = EndpointRegistry(*rooms)
    if metrics is not None and config.metrics.public:
        endpoints.add("GET", PATH, metrics_endpoint(lambda: metrics.exposition))
        endpoints.unrecorded.add(PATH)
    return endpoints


def _ring(
    config: Config,
    transcoder: Transcoder,
    auth: Credentials,
    endpoints: EndpointRegistry,
    *,
    forwarding: Forwarding,
    metrics: Metrics | None,
) -> Ring:
    """The checks and headers that stand around all requests."""
    count = None if metrics is None else metrics.by_value(FILTERED)
    filters = filter_checks(config.filters, auth.audit, count=count)
    hooks: list[ResponseHook] = []
    of_options: list[RequestCheck] = []
    if config.security_headers.enabled:
        told_by_proxies = forwarding.is_secure if config.forwarded.trusted_proxies else None
        secure = told_by_proxies or config.tls is not None
        hooks.append(SecurityHeaders(config.security_headers, secure))
    if config.cors.origins:

        def allowed_methods(path: str) -> Sequence[str]:
            return endpoints.allowed_methods(path) or transcoder.allowed_methods(path)

        cors = Cors(config.cors, allowed_methods)
        # Before credentials are asked for: a browser sends none with its preflight.
        of_options.append(cors.check)
        hooks.append(cors)
    if config.metadata.grpc_status:
        hooks.append(GrpcStatus())
    checks = [*filters, *of_options, *key_checks(config.auth.key_header, transcoder)]
    return Ring(checks, hooks, auth.check, of_options)


def _policies(
    config: Config, schema: Schema, methods: Sequence[Method], destinations: Destinations
) -> Policies:
    policies = effective_policies(schema, config.policies)
    missing = without_policy(policies, methods)
    if config.require_policy and missing:
        raise PolicyError("\n".join(missing))
    _check_destinations(destinations, policies, methods)
    return policies


def _open_destinations(
    config: Config,
    pool: Pool,
    methods: Sequence[Method],
    reflected: Mapping[str, str],
    stack: AsyncExitStack,
) -> Destinations:
    destinations = Destinations(config, pool, methods, reflected)
    stack.push_async_callback(destinations.close)
    return destinations


def _check_destinations(
    destinations: Destinations, policies: Policies, methods: Sequence[Method]
) -> None:
    """Refuses settings of traffic that select nothing, and splits of stored replies."""
    for where, selector, names, kind in destinations.selectors():
        check_selector(where, selector, names, kind=kind)
    for method in methods:
        split = destinations.split_of(method)
        if policies[method].cache is not None and split is not None:
            raise PolicyError(
                f"{method.full_name}: cache: its calls are divided by the split {split}, so "
                "callers would get stored replies of another upstream; remove cache, or select "
                "other methods there"
            )


async def _open_limits(
    config: Config,
    policies: Policies,
    auth: Credentials,
    stack: AsyncExitStack,
    *,
    stores: SharedStores,
    metrics: Metrics | None,
) -> RateLimits:
    check_rate_limits(policies)
    timeout_s = config.rate_limits.timeout_s or config.store.timeout_s
    opening = stores.open("counters", counters_url(config), timeout_s)
    store = await stack.enter_async_context(opening)
    count = None if metrics is None else metrics.by_value(RATE_LIMITED)
    processes = config.rate_limits.processes or max(config.workers, 1)
    return RateLimits(
        store, config.rate_limits, auth.audit, count=count, timeout_s=timeout_s, processes=processes
    )


async def _open_cache(
    config: Config,
    policies: Policies,
    stack: AsyncExitStack,
    stores: SharedStores | None,
    metrics: Metrics | None,
) -> CallCache | None:
    """Opens the cache of calls; None if no method has its replies stored.

    Raises:
        StoreUrlError: the URL of the store is invalid.
        PolicyError: the store keeps no replies, or must not keep those of a method.
    """
    if all(policy.cache is None for policy in policies.values()):
        return None
    options, replies = config.cache, None
    if options.store != "memory:":
        if not options.allow_sensitive:
            refuse_secrets(policies, "cache.store", "cache.allow_sensitive: true")
        if stores is not None:
            opening = stores.open("cache", options.store, options.store_timeout_s)
            replies = (await stack.enter_async_context(opening)).replies
            if replies is None:
                raise PolicyError("cache.store: expected memory: or redis://host:6379/0")
    cache = CallCache(options, replies)
    if metrics is not None:
        metrics.count_cache(cache)
    stack.push_async_callback(cache.close)
    return cache


async def _open_keys(
    config: Config,
    policies: Policies,
    stack: AsyncExitStack,
    stores: SharedStores,
    metrics: Metrics | None,
) -> IdempotencyKeys | None:
    """Opens the store of idempotency keys; None if no method takes any.

    Raises:
        PolicyError: the workers would not share their keys, or nobody could use one.
        StoreUrlError: the URL of the store is invalid.
    """
    keyed = {
        method: policy.idempotency
        for method, policy in policies.items()
        if policy.idempotency is not None and takes_keys(method)
    }
    if not keyed:
        return None
    if not config.auth.takes_credentials:
        for method, rule in keyed.items():
            if not rule.allow_anonymous:
                raise PolicyError(
                    f"{method.full_name}: idempotency: no kind of credential is set under auth, so "
                    "all callers are anonymous: expected allow_anonymous: true, or a credential"
                )
    url = config.idempotency.store_url(config.auth.store)
    if url == "memory:" and config.workers != 1:
        raise PolicyError(
            "idempotency.store: several workers need one that they share, such as "
            "redis://host:6379/0; in memory, each would do a request once"
        )
    store = await stack.enter_async_context(stores.open("idempotency", url, config.store.timeout_s))
    if store.claims is None:
        raise PolicyError("idempotency.store: expected memory: or redis://host:6379/0")
    keys = IdempotencyKeys(store.claims, config.idempotency)
    if metrics is not None:
        keys.count = metrics.by_value(IDEMPOTENT)
    stack.push_async_callback(keys.close)
    return keys


def counters_url(config: Config) -> str:
    """The URL of the store for counters: shared only as widely as calls are served."""
    if config.rate_limits.store is not None:
        return config.rate_limits.store
    shared = config.auth.store
    if shared is None or (config.workers == 1 and shared.startswith("sqlite:")):
        return "memory:"  # with one process, a file would only cost a transaction per call
    return shared


def _warnings(config: Config, policies: Policies) -> Sequence[str]:
    """Warns of faults, and of duties that each of several workers does alone."""
    warnings = []
    if config.faults.enabled and config.faults.rules:
        warnings.append("warning: faults.enabled: calls are made late or fail, for tests only")
    if config.workers == 1:
        return warnings
    is_limited = any(policy.rate_limits for policy in policies.values())
    if is_limited and counters_url(config) == "memory:":
        warnings.append(
            "warning: each worker counts calls alone; set rate_limits.store to share counters"
        )
    return warnings

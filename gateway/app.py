"""The composition root: `Config` in, running `Gateway` out.

The only place that names concrete classes, and the order of the guards.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from gateway.audit import Audit
from gateway.call import Handler, Interceptor, chain
from gateway.config.model import Config
from gateway.credentials import Credentials, open_credentials
from gateway.frontend.deadlines import Deadlines
from gateway.frontend.exchange import Exchange
from gateway.frontend.middleware.cors import Cors
from gateway.frontend.middleware.filters import filter_gates
from gateway.frontend.middleware.forwarded import Forwarding
from gateway.frontend.middleware.security_headers import IsSecure, security_headers
from gateway.frontend.ports import Sockets
from gateway.frontend.ring import Finish, Gate, Ring
from gateway.frontend.server import open_listener
from gateway.interceptors.authenticate import Authenticate, AuthenticateStream
from gateway.interceptors.authorize import authorize
from gateway.interceptors.concurrency import ConcurrencyLimit
from gateway.interceptors.idle import IdleLimit
from gateway.interceptors.loading import Own, load_interceptors
from gateway.interceptors.rate_limit import RateLimits
from gateway.interceptors.rate_rules import check_rate_limits
from gateway.logs.opening import Logs, open_logs
from gateway.policies import Policies, effective_policies, with_timeouts, without_policy
from gateway.schema.catalog import HttpRule, Method, Schema, SchemaError, build_schema
from gateway.schema.policy import PolicyError
from gateway.schema.service_config import read_service_config
from gateway.schema.sources import DescriptorFiles
from gateway.stores.opening import open_store
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from gateway.upstream.channel import Channel
from gateway.upstream.invoke import invoke
from gateway.upstream.pool import Pool, open_pool
from gateway.upstream.reflection import ReflectionError, reflect

logger = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway."""

    address: str
    """Where it listens: `host:port`, with the real port, or `unix:/path`."""
    schema: Schema
    transcoder: Transcoder
    warnings: Sequence[str] = ()
    """What whoever started it should know, a line each."""
    scheme: str = "http"

    @property
    def url(self) -> str:
        """What a client on this machine can ask, without a trailing slash."""
        return f"{self.scheme}://{self.address}"


@asynccontextmanager
async def open_gateway(
    config: Config,
    *,
    interceptors: Sequence[Interceptor] = (),
    sockets: Sockets | None = None,
    logs: Logs | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway that serves while the block runs; all it opened is closed in reverse.

    Calls pass the settings' own interceptors and then `interceptors`, first to last, before they
    leave for their back end. It serves on `sockets` where they are given, which listen already at
    the configured place, and writes to `logs` where they are open already.

    Raises:
        SchemaError, RulesError, ReflectionError, PoolError, StoreUrlError, AuthError,
            PolicyError, RateLimitError, InterceptorError, LogError, ListenError: it cannot start;
            the text says why.
    """
    async with AsyncExitStack() as stack:
        if logs is None:
            logs = await stack.enter_async_context(open_logs(config.log))
        pool = await stack.enter_async_context(open_pool(config.upstreams))
        schema, reflected = await load_schema(config, pool)
        made = await compose(config, pool, schema, reflected, logs, stack, interceptors)
        listener = await stack.enter_async_context(open_listener(config, made.exchange, sockets))
        scheme = "http" if config.tls is None else "https"
        yield Gateway(listener.address, schema, made.transcoder, made.warnings, scheme)


@dataclass(frozen=True, slots=True)
class Composition:
    """All of a gateway but the port."""

    exchange: Exchange
    transcoder: Transcoder
    warnings: Sequence[str]


async def compose(  # noqa: PLR0917 - what a gateway is made of
    config: Config,
    pool: Pool,
    schema: Schema,
    reflected: Mapping[str, str],
    logs: Logs,
    stack: AsyncExitStack,
    interceptors: Sequence[Interceptor] = (),
    *,
    rehearsal: bool = False,
) -> Composition:
    """Puts a gateway together; what it opens is closed with `stack`.

    A rehearsal, for `gateway check`, is the same without asking anybody: keys of issuers are not
    fetched, and interceptors are made but not opened.

    Raises:
        RulesError, PoolError, StoreUrlError, AuthError, PolicyError, RateLimitError,
            InterceptorError: it cannot be done as configured; the text says why.
    """
    transcoder = build_transcoder(config, schema)
    channels = pool.assign(_services_with_routes(transcoder), reflected)
    auth = await open_credentials(config, pool, logs.audit, stack, rehearsal=rehearsal)
    deadlines = Deadlines(config.deadlines)
    policies = _policies(config, schema, transcoder)
    timeouts = with_timeouts(config.deadlines, policies)
    config = config.model_copy(update={"deadlines": timeouts})
    limits = await _open_limits(config, policies, auth.audit, stack)
    methods = _methods_with_routes(transcoder)
    own = await load_interceptors(config.interceptors, methods, None if rehearsal else stack)
    own += [Own(interceptor) for interceptor in interceptors]
    handlers = _handlers(methods, channels, auth, own, deadlines, policies, limits)
    ring = _ring(config, transcoder, auth)
    exchange = Exchange(config, transcoder, handlers, logs.access, ring)
    logs.hide(transcoder.bindings, {one: policies[one].redact for one in policies})
    warnings = [*map(str, transcoder.warnings), *auth.warnings]
    warnings += _limit_warnings(config, policies)
    return Composition(exchange, transcoder, warnings)


async def load_schema(config: Config, pool: Pool) -> tuple[Schema, Mapping[str, str]]:
    """What `config` says can be called, and which upstream said so of itself by reflection.

    Raises:
        SchemaError: no source is given, or what they give does not fit together.
        ReflectionError: an upstream cannot be asked.
    """
    if not (config.descriptors or config.modules or config.reflect):
        raise SchemaError(
            "nothing says what can be called: "
            "give --descriptors FILE, --module PACKAGE or --reflect"
        )
    files = DescriptorFiles()
    for path in config.descriptors:
        files.add_set(path)
    for module in config.modules:
        files.add_module(module)
    reflected = await _reflect(config, pool, files) if config.reflect else {}
    overrides: dict[str, tuple[HttpRule, ...]] = {}
    for path in config.service_config:
        overrides |= read_service_config(path)
    schema = build_schema(
        files.complete(),
        services=config.services,
        overrides=overrides,
        unannotated=config.routing.unannotated,
    )
    return schema, reflected


async def _reflect(config: Config, pool: Pool, files: DescriptorFiles) -> dict[str, str]:
    if not config.upstreams:
        raise ReflectionError("--reflect needs an --upstream to ask")
    owners: dict[str, str] = {}
    for name in config.upstreams:
        found = await reflect(name, pool[name])
        files.add_serialized(found.files, f"upstream {name}")
        for service in found.services:
            owners.setdefault(service, name)
    return owners


def _services_with_routes(transcoder: Transcoder) -> Sequence[str]:
    return list(dict.fromkeys(binding.method.service for binding in transcoder.bindings))


def _ring(config: Config, transcoder: Transcoder, auth: Credentials) -> Ring:
    """What stands around all requests."""
    gates: list[Gate] = [*filter_gates(config.filters, auth.audit)]
    finishes: list[Finish] = []
    if config.security_headers.enabled:
        secure: IsSecure | bool = config.tls is not None
        if config.forwarded.trusted_proxies:
            secure = Forwarding(config.forwarded, scheme="https" if secure else "http").is_secure
        finishes.append(security_headers(config.security_headers, secure))
    if config.cors.origins:

        def allowed_methods(path: str) -> Sequence[str]:
            endpoint = auth.endpoints.get(path)
            return transcoder.allowed_methods(path) if endpoint is None else sorted(endpoint)

        cors = Cors(config.cors, allowed_methods)
        # Before credentials are asked for: a browser sends none with its preflight.
        gates.append(cors.gate)
        finishes.append(cors.finish)
    return Ring([*gates, *auth.gates], finishes, auth.endpoints)


def _policies(config: Config, schema: Schema, transcoder: Transcoder) -> Policies:
    policies = effective_policies(schema, config.policies)
    missing = without_policy(policies, _methods_with_routes(transcoder))
    if config.require_policy and missing:
        raise PolicyError("\n".join(missing))
    return policies


async def _open_limits(
    config: Config,
    policies: Policies,
    audit: Audit,
    stack: AsyncExitStack,
) -> RateLimits:
    check_rate_limits(policies)
    store = await stack.enter_async_context(open_store(counters_url(config)))
    return RateLimits(store, config.rate_limits, audit)


def counters_url(config: Config) -> str:
    """Where calls are counted: no farther than all who serve them together need."""
    if config.rate_limits.store is not None:
        return config.rate_limits.store
    shared = config.auth.store
    if shared is None or (config.workers == 1 and shared.startswith("sqlite:")):
        return "memory:"  # a file would cost each call a transaction, to tell one process
    return shared


def _limit_warnings(config: Config, policies: Policies) -> Sequence[str]:
    is_limited = any(policy.rate_limits for policy in policies.values())
    if is_limited and config.workers != 1 and counters_url(config) == "memory:":
        return ["warning: each worker counts calls alone; set rate_limits.store to share counters"]
    return ()


def _handlers(  # noqa: PLR0917 - what all guards and their back end are made of
    methods: Sequence[Method],
    channels: Mapping[str, Channel],
    auth: Credentials,
    own: Sequence[Own],
    deadlines: Deadlines,
    policies: Policies,
    limits: RateLimits,
) -> dict[Method, Handler]:
    """The chain of each method, composed once."""

    def composed(method: Method) -> Handler:
        policy = policies[method]
        guards: list[Interceptor] = []
        if auth.authenticators:
            streams = method.client_streaming or method.server_streaming
            # First: everything after it may ask who is calling.
            kind = AuthenticateStream if streams else Authenticate
            guards.append(kind(auth.authenticators, auth.audit))
        if not auth.is_open:
            # Even where `auth.order` leaves nobody to be known: then all but anonymous is closed.
            guards += authorize(
                method, policy, auth.audit, auth.challenges, anonymous=auth.admits_anonymous
            )
        # After those who say who is calling, before all that costs something: the rate first, since
        # a call that waits for a store must not hold a place.
        guards += limits.guards(method, policy)
        if policy.max_concurrent is not None:
            guards.append(ConcurrencyLimit(method, policy.max_concurrent))
        guards += [one.interceptor for one in own if one.stands_before(method)]
        if auth.identify is not None:
            # Last: what interceptors of one's own make of a principal, back ends are told.
            guards.append(auth.identify)
        idle_s = deadlines.idle_s(method)
        if idle_s is not None:
            # Next to the back end: what guards take is nobody's silence.
            guards.append(IdleLimit(idle_s))
        return chain(guards, invoke(channels[method.service]))

    return {method: composed(method) for method in methods}


def _methods_with_routes(transcoder: Transcoder) -> Sequence[Method]:
    return list(dict.fromkeys(binding.method for binding in transcoder.bindings))

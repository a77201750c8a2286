"""The composition root: `Config` in, running `Gateway` out.

The only place that names concrete classes, and the order of the guards.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from gateway.audit import NO_AUDIT, Audit
from gateway.auth.attempts import Attempts
from gateway.auth.authenticator import Authenticator, AuthError
from gateway.auth.bearer import TokenAuthenticator
from gateway.auth.tokens import Tokens
from gateway.call import Handler, Interceptor, chain
from gateway.config.auth import IdentityOptions
from gateway.config.model import Config
from gateway.frontend.deadlines import Deadlines
from gateway.frontend.exchange import Exchange
from gateway.frontend.oauth import (
    TokenEndpoints,
    publish_jwk_set,
    refuse_doubled_credentials,
    refuse_tokens_in_urls,
)
from gateway.frontend.ports import Sockets
from gateway.frontend.ring import Endpoint, Endpoints, Gate, Ring
from gateway.frontend.server import open_listener
from gateway.interceptors.authenticate import Authenticate, AuthenticateStream
from gateway.interceptors.identify import Identify
from gateway.interceptors.idle import IdleLimit
from gateway.schema.catalog import HttpRule, Method, Schema, SchemaError, build_schema
from gateway.schema.service_config import read_service_config
from gateway.schema.sources import DescriptorFiles
from gateway.stores.opening import open_store
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from gateway.upstream.auth_service import authentication_server
from gateway.upstream.channel import Channel
from gateway.upstream.invoke import invoke
from gateway.upstream.pool import Pool, PoolError, open_pool
from gateway.upstream.reflection import ReflectionError, reflect

_OPEN = "warning: no auth.store is set, so whoever reaches this gateway may call everything"


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway."""

    address: str
    """Where it listens: `host:port`, with the real port, or `unix:/path`."""
    schema: Schema
    transcoder: Transcoder
    warnings: Sequence[str] = ()
    """What whoever started it should know, a line each."""

    @property
    def url(self) -> str:
        """What a client on this machine can ask, without a trailing slash."""
        return f"http://{self.address}"


@asynccontextmanager
async def open_gateway(
    config: Config, *, interceptors: Sequence[Interceptor] = (), sockets: Sockets | None = None
) -> AsyncIterator[Gateway]:
    """A gateway that serves while the block runs; all it opened is closed in reverse.

    Calls pass `interceptors`, first to last, before they leave for their back end. It serves on
    `sockets` where they are given, which listen already at the configured place.

    Raises:
        SchemaError, RulesError, ReflectionError, PoolError, StoreUrlError, AuthError, ListenError:
            it cannot start; the text says why.
    """
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(config.upstreams))
        schema, reflected = await load_schema(config, pool)
        transcoder = build_transcoder(config, schema)
        channels = pool.assign(_services_with_routes(transcoder), reflected)
        auth = await _open_auth(config, pool, stack)
        deadlines = Deadlines(config.deadlines)
        handlers = _handlers(transcoder, channels, auth, interceptors, deadlines)
        ring = Ring(gates=auth.gates, endpoints=auth.endpoints)
        exchange = await stack.enter_async_context(
            Exchange.open(config, transcoder, handlers, ring)
        )
        listener = await stack.enter_async_context(open_listener(config, exchange, sockets))
        warnings = [*map(str, transcoder.warnings), *auth.warnings]
        yield Gateway(listener.address, schema, transcoder, warnings)


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


@dataclass(frozen=True, slots=True)
class _Auth:
    """What the configuration makes of authentication."""

    authenticators: Sequence[Authenticator] = ()
    identify: Identify | None = None
    gates: Sequence[Gate] = ()
    endpoints: Endpoints = field(default_factory=dict)
    audit: Audit = NO_AUDIT
    warnings: Sequence[str] = ()


async def _open_auth(config: Config, pool: Pool, stack: AsyncExitStack) -> _Auth:
    options = config.auth
    if options.store is None:
        return _Auth(warnings=[_OPEN])
    audit = NO_AUDIT
    store = await stack.enter_async_context(open_store(options.store))
    tokens = Tokens(store, audit)
    identify, endpoints = _identify(options.identity)
    if options.tokens.auth_upstream is not None:
        server = authentication_server(_auth_channel(options.tokens.auth_upstream, pool))
        attempts = Attempts(store, audit, options.tokens)
        endpoints |= TokenEndpoints(options.tokens, server, tokens, attempts).endpoints
    gates = [refuse_doubled_credentials, refuse_tokens_in_urls]
    return _Auth([TokenAuthenticator(tokens)], identify, gates, endpoints, audit)


def _identify(options: IdentityOptions) -> tuple[Identify, dict[str, Mapping[str, Endpoint]]]:
    """What tells back ends who is calling, and where they find the keys to check it by."""
    if options.jwt is None:
        return Identify(options), {}
    try:
        from gateway.auth.assertions import Assertions  # noqa: PLC0415 - its library is an extra
    except ImportError:
        raise AuthError(
            "auth.identity.jwt needs a library: pip install 'grpc-rest-gateway[jwt]'"
        ) from None
    assertions = Assertions(options.jwt)
    identify = Identify(options, (options.jwt.metadata, assertions))
    return identify, dict(publish_jwk_set(assertions.jwk_set))


def _auth_channel(upstream: str, pool: Pool) -> Channel:
    if upstream not in pool:
        known = ", ".join(pool) or "none"
        raise PoolError(f"auth.tokens.auth_upstream: no upstream is called {upstream}; {known} are")
    return pool[upstream]


def _handlers(
    transcoder: Transcoder,
    channels: Mapping[str, Channel],
    auth: _Auth,
    interceptors: Sequence[Interceptor],
    deadlines: Deadlines,
) -> dict[Method, Handler]:
    """The chain of each method, composed once."""

    def composed(method: Method) -> Handler:
        guards: list[Interceptor] = []
        if auth.authenticators:
            streams = method.client_streaming or method.server_streaming
            # First: everything after it may ask who is calling.
            kind = AuthenticateStream if streams else Authenticate
            guards.append(kind(auth.authenticators, auth.audit))
        guards += interceptors
        if auth.identify is not None:
            # Last: what interceptors of one's own make of a principal, back ends are told.
            guards.append(auth.identify)
        idle_s = deadlines.idle_s(method)
        if idle_s is not None:
            # Next to the back end: what guards take is nobody's silence.
            guards.append(IdleLimit(idle_s))
        return chain(guards, invoke(channels[method.service]))

    return {method: composed(method) for method in _methods_with_routes(transcoder)}


def _methods_with_routes(transcoder: Transcoder) -> Sequence[Method]:
    return list(dict.fromkeys(binding.method for binding in transcoder.bindings))

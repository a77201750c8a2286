"""Composes authentication from the configuration.

The only part of the composition root that names each kind of credential.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from gateway.audit import NO_AUDIT, Audit
from gateway.auth.authenticator import Authenticator, AuthError, Challenge
from gateway.auth.certificates import CertificateAuthenticator
from gateway.auth.jwt.fetch import FetchError
from gateway.auth.keys.api_keys import ApiKeys
from gateway.auth.keys.authenticator import KeyAuthenticator
from gateway.auth.tokens.authenticator import TokenAuthenticator
from gateway.auth.tokens.login_throttle import LoginThrottle
from gateway.auth.tokens.tokens import Tokens
from gateway.config.auth import IdentityOptions
from gateway.config.credentials import CredentialKind, JwtOptions
from gateway.config.model import Config
from gateway.endpoints.oauth.token_endpoints import (
    TOKEN_PATHS,
    TokenEndpoints,
    publish_jwk_set,
)
from gateway.exchange.ring.credentials import (
    credential_check,
    refuse_doubled_credentials,
    refuse_unclear_keys,
)
from gateway.exchange.ring.ring import HeaderCheck, RequestCheck
from gateway.http.messages import Endpoint, Endpoints
from gateway.interceptors.identify import Identify
from gateway.outbound.auth_service import authentication_server
from gateway.stores.shared import SharedStores
from gateway.upstream.channels.channel import Channel
from gateway.upstream.pool import Pool, PoolError

logger = logging.getLogger("gateway")

_OPEN_WARNING = (
    "warning: no kind of credential is set under auth, "
    "so every client may call everything, whatever scopes policies require"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The parts of a site that handle authentication."""

    authenticators: Sequence[Authenticator] = ()
    identify: Identify | None = None
    check: RequestCheck | None = None
    """The check of credentials in the ring; None if it is open."""
    endpoints: Endpoints = field(default_factory=dict)
    audit: Audit = NO_AUDIT
    warnings: Sequence[str] = ()
    is_open: bool = True
    """No kind of credential is configured, so no call is authenticated."""
    admits_anonymous: bool = True

    @property
    def challenges(self) -> Sequence[Challenge]:
        """The challenges of all kinds, for callers without a credential."""
        return [one.challenge for one in self.authenticators]


async def open_credentials(
    config: Config,
    pool: Pool,
    audit: Audit,
    stack: AsyncExitStack,
    stores: SharedStores,
    *,
    rehearsal: bool = False,
) -> Credentials:
    """Opens an authenticator for each configured kind of credential, in the configured order.

    They are closed with `stack`. A rehearsal fetches no keys.

    Raises:
        AuthError, StoreUrlError, PoolError: the configuration cannot be used; the message says why.
    """
    options = config.auth
    if not options.takes_credentials:
        return Credentials(audit=audit, warnings=[_OPEN_WARNING])
    identify, endpoints = _identify(options.identity)
    checks: list[HeaderCheck] = [refuse_doubled_credentials]
    made: dict[CredentialKind, Authenticator] = {}
    if options.store is not None:
        store = await stack.enter_async_context(
            stores.open("credentials", options.store, config.store.timeout_s)
        )
        tokens = Tokens(store, audit)
        made[CredentialKind.TOKEN] = TokenAuthenticator(tokens)
        if options.tokens.auth_upstream is not None:
            server = authentication_server(_auth_channel(options.tokens.auth_upstream, pool))
            attempts = LoginThrottle(store, audit, options.tokens)
            token_endpoints = TokenEndpoints(
                options.tokens, server, tokens, attempts, config.scheme
            )
            endpoints |= token_endpoints.endpoints
        if options.takes_keys:
            keys = KeyAuthenticator(ApiKeys(store, audit), options.keys.header, audit)
            stack.push_async_callback(keys.close)
            made[CredentialKind.KEY] = keys
            checks.append(refuse_unclear_keys(options.keys.header))
    if options.takes_jwts:
        made[CredentialKind.JWT] = await _open_jwts(options.jwt, stack, rehearsal=rehearsal)
    if options.certificates is not None:
        made[CredentialKind.CERTIFICATE] = CertificateAuthenticator(options.certificates)
    return Credentials(
        [made[kind] for kind in options.order if kind in made],
        identify,
        credential_check(checks, TOKEN_PATHS & endpoints.keys()),
        endpoints,
        audit,
        is_open=False,
        admits_anonymous=options.anonymous,
    )


async def _open_jwts(
    options: JwtOptions, stack: AsyncExitStack, *, rehearsal: bool
) -> Authenticator:
    try:
        from gateway.auth.jwt.issuers import open_jwts  # noqa: PLC0415 - its library is an extra
    except ImportError:
        raise AuthError("auth.jwt needs a library: pip install 'grpc-rest-gateway[jwt]'") from None
    if rehearsal:
        return await stack.enter_async_context(open_jwts(options, _fetch_nothing, lambda _: None))
    from gateway.outbound.fetch import open_fetch  # noqa: PLC0415 - an HTTP client is large

    fetch = await stack.enter_async_context(open_fetch())
    return await stack.enter_async_context(open_jwts(options, fetch, logger.warning))


async def try_issuers(options: JwtOptions) -> list[tuple[str, str]]:
    """Loads the keys of each issuer once; returns the issuers, and why that failed if it did.

    It needs the same library as JWTs do.
    """
    from gateway.auth.jwt.issuers import why_not_loaded  # noqa: PLC0415 - its library is an extra
    from gateway.outbound.fetch import open_fetch  # noqa: PLC0415 - an HTTP client is large

    async with open_fetch() as fetch:
        reasons = await asyncio.gather(*(why_not_loaded(one, fetch) for one in options.issuers))
    return [(one.issuer, reason) for one, reason in zip(options.issuers, reasons, strict=True)]


async def _fetch_nothing(_url: str) -> bytes:
    raise FetchError("was not fetched")


def _identify(options: IdentityOptions) -> tuple[Identify, dict[str, Mapping[str, Endpoint]]]:
    """The interceptor that identifies callers to back ends, and the endpoint with its keys."""
    if options.jwt is None:
        return Identify(options), {}
    try:
        from gateway.auth.jwt.assertions import Assertions  # noqa: PLC0415 - its library is an extra
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
        raise PoolError(f"auth.tokens.auth_upstream: no upstream {upstream}; expected: {known}")
    return pool[upstream]

"""Opens the configured JWT issuers with their keys."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.auth.authenticator import AuthError
from gateway.auth.jwt.authenticator import Issuer, JwtAuthenticator
from gateway.auth.jwt.fetch import Fetch
from gateway.auth.jwt.jwks import Freshness, IssuerKeys, KeySetError
from gateway.auth.jwt.key_sources import load_from
from gateway.config.credentials import JwtIssuer, JwtOptions

# Reading a file is cheap, so keys from one are refreshed often: changes take effect soon.
_FILE_REFRESH_S, _FILE_RETRY_S = 5.0, 1.0


@asynccontextmanager
async def open_jwts(
    options: JwtOptions, fetch: Fetch, say: Callable[[str], None]
) -> AsyncIterator[JwtAuthenticator]:
    """Yields the authenticator for JWTs; while the block runs, keys are loaded as needed.

    An issuer whose keys cannot be loaded does not prevent the start: the reason goes to `say`, and
    its tokens are rejected with UNAVAILABLE until a load succeeds.

    Raises:
        AuthError: a file with keys cannot be used.
    """
    async with AsyncExitStack() as stack:
        issuers = []
        for number, one in enumerate(options.issuers):
            keys = await _open_keys(one, fetch, say, f"auth.jwt.issuers[{number}]")
            stack.push_async_callback(keys.close)
            issuers.append(Issuer(one, keys))
        yield JwtAuthenticator(issuers, max_bytes=options.max_bytes, remember_s=options.remember_s)


async def why_not_loaded(issuer: JwtIssuer, fetch: Fetch) -> str:
    """Loads the keys of an issuer; returns the reason if that failed, otherwise an empty text."""
    try:
        await load_from(issuer, fetch)()
    except KeySetError as error:
        return str(error)
    return ""


async def _open_keys(
    issuer: JwtIssuer, fetch: Fetch, say: Callable[[str], None], where: str
) -> IssuerKeys:
    load = load_from(issuer, fetch)
    freshness = Freshness(issuer.refresh_s, issuer.retry_s, issuer.stale_s)
    if issuer.keys_file is not None:
        try:
            await load()
        except KeySetError as error:
            raise AuthError(f"{where}.keys_file: {error}") from None
        freshness = Freshness(
            min(_FILE_REFRESH_S, issuer.refresh_s),
            min(_FILE_RETRY_S, issuer.retry_s),
            issuer.stale_s,
        )
    keys = IssuerKeys(load, freshness, say=lambda reason: say(f"{where}: {reason}"))
    keys.begin()  # so that the first call need not wait
    return keys

"""Opaque tokens as bearer credentials (RFC 6750 section 2.1)."""

from typing import Final

from gateway.auth.authenticator import BEARER, MUST_ASK, MustAsk, cannot_check, unauthenticated
from gateway.auth.cache import TtlCache
from gateway.auth.secrets import ACCESS, is_secret
from gateway.auth.tokens.tokens import Tokens
from gateway.call import Call, Principal
from gateway.stores.base import StoreUnavailableError

_SCHEME: Final = "bearer "
_USUAL: Final = "Bearer "
_PREFIX: Final = f"{ACCESS}_"
_JWT: Final = "e"
"""The first character of every JWT, and of no token of the gateway."""
_MUST_ASK: Final = MUST_ASK


def bearer(call: Call) -> str | None:
    """The token of `Authorization: Bearer`, or None without that header."""
    return token_of(call.header("Authorization", b"authorization"))


def token_of(shown: str | None) -> str | None:
    """The token in a value of `Authorization`; None if it is of another scheme."""
    if shown is None or shown[:7].lower() != _SCHEME:
        return None
    return shown[7:].strip()


def usual(token: str) -> str:
    """The value of `Authorization` with a token, as most clients spell it.

    Tokens are remembered by it: a client that sends the same value again, on the same connection,
    sends the same object, and its hash is known. Each token is remembered once, however it is
    spelled.
    """
    return f"{_USUAL}{token}"


def _is_plausible(shown: str) -> bool:
    return is_secret(shown[len(_USUAL) :], ACCESS)


class TokenAuthenticator:
    """Maps tokens that the gateway issued to principals."""

    kind: Final = "token"
    challenge: Final = BEARER

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._principals = TtlCache(self._find, _is_plausible)

    def recall(self, _: Call, shown: str | None) -> Principal | MustAsk | None:
        """The principal of the token, if cached; see `Authenticator.recall`.

        Ignores other bearer tokens: they are for other authenticators.
        """
        if shown is None or shown[7:8] == _JWT:  # told apart first: most gateways take both kinds
            return None
        found = self._principals.cached(shown)
        if found is not None:
            return found
        text = token_of(shown)
        if text is None or not text.startswith(_PREFIX):
            return None
        return self._principals.cached(usual(text)) or _MUST_ASK

    async def authenticate(self, call: Call) -> Principal | None:
        """The principal of the token; see `Authenticator.authenticate`."""
        text = bearer(call)
        if text is None or not text.startswith(_PREFIX):
            return None
        try:
            principal = await self._principals(usual(text))
        except StoreUnavailableError:
            raise cannot_check() from None
        if principal is None:
            raise unauthenticated("the access token is unknown, has expired, or was revoked")
        return principal

    async def _find(self, shown: str) -> Principal | None:
        record = await self._tokens.verify(shown[len(_USUAL) :])
        if record is None:
            return None
        return Principal(
            record.principal,
            record.scopes,
            record.claims,
            record.client,
            "token",
            record.digest.hex()[:16],
        )

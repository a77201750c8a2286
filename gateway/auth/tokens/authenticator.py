"""Opaque tokens as bearer credentials (RFC 6750 section 2.1)."""

from typing import Final

from gateway.auth.authenticator import BEARER, MUST_ASK, MustAsk, cannot_check, unauthenticated
from gateway.auth.cache import TtlCache
from gateway.auth.secrets import ACCESS, is_secret
from gateway.auth.tokens.tokens import Tokens
from gateway.call import Call, Principal
from gateway.stores.base import StoreUnavailableError

_SCHEME: Final = "bearer "
_PREFIX: Final = f"{ACCESS}_"
_MUST_ASK: Final = MUST_ASK


def bearer(call: Call) -> str | None:
    """The token of `Authorization: Bearer`, or None without that header."""
    value = call.header("Authorization", b"authorization")
    if value is None or value[:7].lower() != _SCHEME:
        return None
    return value[7:].strip()


class TokenAuthenticator:
    """Maps tokens that the gateway issued to principals."""

    kind: Final = "token"
    challenge: Final = BEARER

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._principals = TtlCache(self._find, lambda text: is_secret(text, ACCESS))

    def recall(self, call: Call) -> Principal | MustAsk | None:
        """The principal of the token, if cached; see `Authenticator.recall`.

        Ignores other bearer tokens: they are for other authenticators.
        """
        text = bearer(call)
        if text is None or not text.startswith(_PREFIX):
            return None
        return self._principals.cached(text) or _MUST_ASK

    async def authenticate(self, call: Call) -> Principal | None:
        """The principal of the token; see `Authenticator.authenticate`."""
        text = bearer(call)
        if text is None or not text.startswith(_PREFIX):
            return None
        try:
            principal = await self._principals(text)
        except StoreUnavailableError:
            raise cannot_check() from None
        if principal is None:
            raise unauthenticated("the access token is unknown, has expired, or was revoked")
        return principal

    async def _find(self, text: str) -> Principal | None:
        record = await self._tokens.verify(text)
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

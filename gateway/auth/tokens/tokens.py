"""The life cycle of an opaque token: issued, verified, renewed, revoked.

The client holds a random text; its meaning is in the store. A refresh token is valid once: a second
use means that it was stolen, so all tokens of its login are revoked (RFC 9700 section 4.14.2).
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from gateway.auth.secrets import ACCESS, REFRESH, digest, is_secret, new_secret
from gateway.auth.stored import Stored
from gateway.stores.base import (
    Rotation,
    StoreUnavailableError,
    TokenKind,
    TokenRecord,
    TokenStore,
)


class InvalidTokenError(Exception):
    """A refresh token that cannot be used; the message may be shown to its client."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights granted to a client."""

    principal: str
    client: str
    scopes: frozenset[str]
    ttl_s: float
    claims: Mapping[str, str] = field(default_factory=dict)
    refresh_ttl_s: float | None = None
    """Seconds for which it can be renewed; None for not at all."""
    refresh_scopes: frozenset[str] | None = None
    """The scopes of renewed tokens; None for `scopes`."""


@dataclass(frozen=True, slots=True)
class Issued:
    """New tokens for their client: the only time that they are shown."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in_s: float
    scopes: frozenset[str]
    family: str = ""
    """The id that all tokens of this login share; not secret."""


class Tokens(Stored[TokenStore]):
    """Issues tokens and keeps their digests in a store.

    Every method raises `StoreUnavailableError` while the store is unavailable.
    """

    async def issue(self, grant: Grant) -> Issued:
        """Issues tokens for a new login."""
        family = secrets.token_hex(16)
        issued, records = self._make(grant, family)
        await self._store.add_tokens(records)
        self._audit.record("token.issued", **_who(grant, family))
        return issued

    async def find_refresh(self, text: str) -> TokenRecord | None:
        """The record of a refresh token, or None if it is invalid; does not use it up."""
        if not is_secret(text, REFRESH):
            return None
        return await self._store.find_token(digest(text))

    async def refusal(self, text: str) -> InvalidTokenError:
        """The reason why a refresh token is invalid; if it is a reuse, its family is revoked."""
        if not is_secret(text, REFRESH):
            return InvalidTokenError("the refresh token is malformed")
        try:
            await self._rotate(text, [])
        except InvalidTokenError as error:
            return error
        return InvalidTokenError("the refresh token has expired or was revoked")

    async def renew(self, text: str, record: TokenRecord, grant: Grant) -> Issued:
        """Exchanges a refresh token for new tokens of the same family.

        Raises:
            InvalidTokenError: it was used, has expired or was revoked meanwhile.
        """
        issued, records = self._make(grant, record.family)
        await self._rotate(text, records)
        self._audit.record("token.refreshed", **_who(grant, record.family))
        return issued

    async def verify(self, text: str) -> TokenRecord | None:
        """The record of an access token, or None if it is invalid."""
        if not is_secret(text, ACCESS):
            return None
        record = await self._store.find_token(digest(text))
        return record if record is not None and record.kind is TokenKind.ACCESS else None

    async def find(self, text: str) -> TokenRecord | None:
        """The record of a token of either kind, or None if it is invalid."""
        if not is_secret(text, ACCESS) and not is_secret(text, REFRESH):
            return None
        return await self._store.find_token(digest(text))

    async def revoke(self, record: TokenRecord) -> None:
        """Revokes a token and all others of its login (RFC 7009 section 2.1)."""
        await self._store.revoke_family(record.family)
        self._audit.record(
            "token.revoked",
            principal=record.principal,
            client=record.client,
            family=record.family,
        )

    async def revoke_family(self, family: str) -> int:
        """Revokes a login by its id; returns how many tokens were valid until now."""
        gone = await self._store.revoke_family(family)
        if gone:
            self._audit.record("token.revoked", family=family)
        return gone

    async def revoke_principal(self, principal: str) -> int:
        """Revokes all logins of a principal; returns how many tokens were valid until now."""
        gone = await self._store.revoke_principal(principal)
        if gone:
            self._audit.record("token.revoked", principal=principal)
        return gone

    def list_all(self, principal: str | None = None) -> AsyncIterator[TokenRecord]:
        """The valid tokens, of one principal or all, in no order."""
        return self._store.list_tokens(principal)

    def _make(self, grant: Grant, family: str) -> tuple[Issued, list[TokenRecord]]:
        access = new_secret(ACCESS)
        now_s = self._clock()
        record = TokenRecord(
            digest(access),
            TokenKind.ACCESS,
            family,
            grant.principal,
            grant.client,
            grant.scopes,
            now_s,
            now_s + grant.ttl_s,
            grant.claims,
        )
        if grant.refresh_ttl_s is None:
            return Issued(access, None, grant.ttl_s, grant.scopes, family), [record]
        refresh = new_secret(REFRESH)
        renewing = replace(
            record,
            digest=digest(refresh),
            kind=TokenKind.REFRESH,
            scopes=grant.scopes if grant.refresh_scopes is None else grant.refresh_scopes,
            expires_at_s=now_s + grant.refresh_ttl_s,
        )
        issued = Issued(access, refresh, grant.ttl_s, grant.scopes, family)
        return issued, [record, renewing]

    async def _rotate(self, text: str, records: list[TokenRecord]) -> None:
        outcome = await self._store.rotate_token(digest(text), records)
        if outcome is Rotation.REUSED:
            await self._note_reuse(digest(text))
            raise InvalidTokenError(
                "the refresh token was used before, so all tokens of its login are revoked"
            )
        if outcome is Rotation.UNKNOWN:
            raise InvalidTokenError("the refresh token has expired or was revoked")

    async def _note_reuse(self, used: bytes) -> None:
        family = None
        with suppress(StoreUnavailableError):  # the reuse is recorded in any case
            family = await self._store.find_used(used)
        self._audit.record("token.reuse", credential=used.hex()[:16], family=family or "")


def _who(grant: Grant, family: str) -> dict[str, str]:
    return {
        "principal": grant.principal,
        "client": grant.client,
        "scopes": " ".join(sorted(grant.scopes)),
        "family": family,
    }

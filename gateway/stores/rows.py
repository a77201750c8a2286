"""Maps tokens and keys to rows of tables."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.stores.base import KeyRecord, TokenKind, TokenRecord

TOKEN = "digest, kind, family, principal, client, scopes, issued_at_s, expires_at_s, claims"  # noqa: S105 - column names
"""The columns of a token."""
KEY = "digest, id, owner, scopes, created_at_s, expires_at_s, networks, last_used_at_s"
"""The columns of a key."""


def joined(scopes: frozenset[str]) -> str:
    """Scopes as one column; no scope contains a space."""
    return " ".join(sorted(scopes))


def token_of(row: Sequence[Any]) -> TokenRecord:
    """The token of a row, with the columns of `TOKEN`."""
    digest, kind, family, principal, client, scopes, issued_at_s, expires_at_s, claims = row
    return TokenRecord(
        digest,
        TokenKind(kind),
        family,
        principal,
        client,
        frozenset(scopes.split()),
        issued_at_s,
        expires_at_s,
        json.loads(claims),
    )


def token_values(record: TokenRecord) -> tuple[Any, ...]:
    """The row of a token, with the columns of `TOKEN`."""
    return (
        record.digest,
        record.kind.value,
        record.family,
        record.principal,
        record.client,
        joined(record.scopes),
        record.issued_at_s,
        record.expires_at_s,
        json.dumps(dict(record.claims)),
    )


def key_of(row: Sequence[Any]) -> KeyRecord:
    """The key of a row, with the columns of `KEY`."""
    digest, key_id, owner, scopes, created_at_s, expires_at_s, networks, last_used_at_s = row
    return KeyRecord(
        digest,
        key_id,
        owner,
        frozenset(scopes.split()),
        created_at_s,
        expires_at_s,
        tuple(networks.split()),
        last_used_at_s,
    )


def key_values(record: KeyRecord) -> tuple[Any, ...]:
    """The row of a key, with the columns of `KEY`."""
    return (
        record.digest,
        record.id,
        record.owner,
        joined(record.scopes),
        record.created_at_s,
        record.expires_at_s,
        " ".join(record.networks),
        record.last_used_at_s,
    )

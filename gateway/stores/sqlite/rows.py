"""Tokens and keys as rows of tables."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.stores.base import KeyRecord, TokenKind, TokenRecord

TOKEN = "digest, kind, family, principal, client, scopes, issued_at_s, expires_at_s, claims"  # noqa: S105 - column names
"""The columns of a token."""
KEY = "digest, id, owner, scopes, created_at_s, expires_at_s, networks, last_used_at_s"
"""The columns of a key."""


def joined(scopes: frozenset[str]) -> str:
    """Scopes in one column; none has a space in it."""
    return " ".join(sorted(scopes))


def token_of(row: Sequence[Any]) -> TokenRecord:
    """A token out of its columns, in the order of `TOKEN`."""
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


def key_of(row: Sequence[Any]) -> KeyRecord:
    """A key out of its columns, in the order of `KEY`."""
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

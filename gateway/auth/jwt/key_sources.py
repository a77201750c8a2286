"""Sources of an issuer's keys: a file, a URL, or the issuer's OIDC configuration."""

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from gateway.auth.jwt.fetch import Fetch, FetchError
from gateway.auth.jwt.jwks import KeySetError, VerificationKey, read_keys
from gateway.config.credentials import JwtIssuer, check_is_private
from gateway.files import read_file

Load = Callable[[], Awaitable[Sequence[VerificationKey]]]
"""Loads keys, or raises `KeySetError` with the reason."""

_MOST_BYTES = 1024 * 1024


def load_from(issuer: JwtIssuer, fetch: Fetch) -> Load:
    """The function that loads an issuer's keys."""
    if issuer.keys_file is not None:
        return _from_file(issuer.keys_file, allow_secrets=_allows_secrets(issuer))
    if issuer.keys_url is not None:
        return _from_url(issuer.keys_url, fetch)
    return _from_discovery(issuer, fetch)


def _allows_secrets(issuer: JwtIssuer) -> bool:
    return any(algorithm.is_symmetric for algorithm in issuer.algorithms)


def _from_file(path: Path, *, allow_secrets: bool) -> Load:
    """Reads a file; it is read at every load, because that is cheap."""

    async def load() -> Sequence[VerificationKey]:
        try:
            document = read_file(path, _MOST_BYTES)
        except OSError as error:
            raise KeySetError(f"{path}: cannot be read: {error.strerror}") from None
        return _read(str(path), document, allow_secrets=allow_secrets)

    return load


def _from_url(url: str, fetch: Fetch) -> Load:
    async def load() -> Sequence[VerificationKey]:
        return _read(url, await _fetched(url, fetch))

    return load


def _from_discovery(issuer: JwtIssuer, fetch: Fetch) -> Load:
    """Finds the keys by OpenID Connect Discovery 1.0, section 4."""
    url = issuer.issuer.rstrip("/") + "/.well-known/openid-configuration"

    async def load() -> Sequence[VerificationKey]:
        keys_url = _keys_url(url, await _fetched(url, fetch), issuer)
        return _read(keys_url, await _fetched(keys_url, fetch))

    return load


def _keys_url(url: str, document: bytes, issuer: JwtIssuer) -> str:
    try:
        found: Any = json.loads(document)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("jwks_uri"), str):
        raise KeySetError(
            f"{url}: is not an OpenID configuration: expected an object with jwks_uri"
        )
    # Section 4.3: otherwise one issuer could publish keys for another.
    if found.get("issuer") != issuer.issuer:
        raise KeySetError(f"{url}: is the configuration of another issuer")
    keys_url: str = found["jwks_uri"]
    if not issuer.plain_http:
        try:
            check_is_private(keys_url)
        except ValueError as error:
            raise KeySetError(f"{url}: jwks_uri: {error}") from None
    return keys_url


async def _fetched(url: str, fetch: Fetch) -> bytes:
    try:
        return await fetch(url)
    except FetchError as error:
        raise KeySetError(f"{url}: {error}") from None


def _read(where: str, document: bytes, *, allow_secrets: bool = False) -> list[VerificationKey]:
    try:
        return read_keys(document, allow_secrets=allow_secrets)
    except KeySetError as error:
        raise KeySetError(f"{where}: {error}") from None

"""Settings of tokens: their issuer, their lifetime, and the store."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PlainSerializer, model_validator

from gateway.config.credentials import (
    CertificateOptions,
    CredentialKind,
    JwtOptions,
    KeyOptions,
)
from gateway.config.secret_sources import FROM_ELSEWHERE
from gateway.config.sections import Seconds, Section, Words, fits

# Match up to the last @, to hide a password that contains an unencoded @ too.
_PASSWORD = re.compile(r"(://[^:/@]*:).*@", re.DOTALL)
# Options of drivers: password, sentinel_password, ssl_password.
_PARAMETER = re.compile(r"([?&]\w*password=)[^&]*", re.IGNORECASE)


def _without_password(url: str | None) -> str | None:
    if url is None:
        return None
    return _PASSWORD.sub(r"\1***@", _PARAMETER.sub(r"\1***", url))


StoreUrl = Annotated[
    str,
    FROM_ELSEWHERE,
    PlainSerializer(_without_password),
    Words("the URL of a store", "redis://host:6379/0"),
]
"""The URL of a store, or the place of it; printed without its password."""

MetadataName = Annotated[
    str,
    fits(
        r"(?!grpc-)(?!.*-bin$)[0-9a-z_.\-]+",
        "a metadata name: lower-case, not grpc-*, not *-bin",
    ),
    Words("a metadata name", "x-principal"),
]
IssuerUrl = Annotated[
    str,
    fits(
        r"https?://[^\s?#/]+(?:/[^\s?#]*)?",
        "a URL such as https://api.example.com, without query and fragment",
    ),
    Words("a URL", "https://api.example.com"),
]


class TokenOptions(Section):
    """The token endpoints, and the lifetime of tokens."""

    auth_upstream: str | None = None
    """The upstream of the authentication server; unset for no token endpoints."""
    access_ttl_s: Seconds = 3600.0
    """The lifetime of an access token if the authentication server states none."""
    max_access_ttl_s: Seconds = 86400.0
    """The longest lifetime of an access token."""
    refresh_ttl_s: Seconds = 30 * 86400.0
    """The lifetime of a refresh token that is not used."""
    issuer: IssuerUrl | None = None
    """The issuer URL of this gateway (RFC 8414 section 2); unset for the URL of the request."""
    introspectors: tuple[str, ...] = ()
    """Clients that may introspect any token; other clients only tokens issued to themselves."""
    allow_password: bool = False
    """Accept the password grant, which new clients must not use (RFC 9700 section 2.4)."""
    failures: Annotated[int, Field(gt=0)] = 10
    """Failed attempts allowed in a window for one client from one address; ten times as many for a
    client from all addresses, and for an address with all clients."""
    failure_window_s: Seconds = 300.0
    """The time for which a failed attempt counts."""


class AssertionOptions(Section):
    """A short-lived JWT in which the gateway confirms the caller's identity (RFC 7519)."""

    key: Path
    """A PEM file with the signing key: Ed25519, EC P-256, or RSA; see /.well-known/jwks.json."""
    issuer: str = "gateway"
    """The `iss` of the JWT."""
    audience: str | None = None
    """The `aud` of the JWT; unset for the full name of the called service."""
    ttl_s: Annotated[float, Field(ge=2, le=3600)] = 60.0
    """The lifetime of the JWT."""
    metadata: MetadataName = "x-principal-jwt"
    """The metadata that carries the JWT."""


class IdentityOptions(Section):
    """The caller's identity for back ends, in metadata that clients cannot set."""

    principal: MetadataName = "x-principal"
    """The metadata with the principal's name."""
    scopes: MetadataName = "x-principal-scopes"
    """The metadata with the granted scopes, separated by spaces."""
    client: MetadataName = "x-principal-client"
    """The metadata with the OAuth client, if there is one."""
    claims_prefix: MetadataName | None = "x-principal-claim-"
    """The prefix of the metadata with claims; null to send no claims."""
    jwt: AssertionOptions | None = None
    """A signed JWT for back ends that verify the identity themselves; unset for none."""
    forward_authorization: bool = False
    """Forward the caller's credential too, with which a back end can act as the caller."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that clients may not set; `*` at the end is any ending.

        These are the names in use, all that begin with one of them and a hyphen (such as `-bin`,
        for bytes), and, as documented, `x-principal` with all that begin with it and a hyphen.
        """
        jwt = () if self.jwt is None else (self.jwt.metadata,)
        used = (self.principal, self.scopes, self.client, *jwt)
        claims = () if self.claims_prefix is None else (f"{self.claims_prefix}*",)
        return (*used, *(f"{name}-*" for name in used), *claims, "x-principal", "x-principal-*")


class AuthOptions(Section):
    """Authentication of callers."""

    store: Annotated[StoreUrl | None, Field(repr=False)] = None
    """The URL of the store for tokens and keys: memory:, sqlite:///file.db, redis://host:6379/0,
    redis+sentinel://host:26379/master, redis+cluster://host:7000 or
    postgres://host:5432/database."""
    anonymous: bool = False
    """Allow callers without a credential on methods without a policy; if no kind of credential is
    accepted, they are always allowed."""
    order: tuple[CredentialKind, ...] = tuple(CredentialKind)
    """The accepted kinds of credential; if a request has several, the first in this list counts."""
    tokens: TokenOptions = TokenOptions()
    keys: KeyOptions = KeyOptions()
    jwt: JwtOptions = JwtOptions()
    certificates: CertificateOptions | None = None
    """Client certificates as credentials; unset for none, `{}` for the defaults."""
    identity: IdentityOptions = IdentityOptions()

    @model_validator(mode="after")
    def _issue_into_a_store(self) -> Self:
        if self.tokens.auth_upstream is not None and self.store is None:
            raise ValueError("tokens.auth_upstream needs a store, in which issued tokens are kept")
        return self

    @property
    def takes_credentials(self) -> bool:
        """True if any kind of credential is accepted."""
        return self.store is not None or self.takes_jwts or self.takes_certificates

    @property
    def takes_jwts(self) -> bool:
        """True if JWTs are accepted as credentials."""
        return bool(self.jwt.issuers) and CredentialKind.JWT in self.order

    @property
    def takes_certificates(self) -> bool:
        """True if client certificates are accepted as credentials."""
        return self.certificates is not None and CredentialKind.CERTIFICATE in self.order

    @property
    def key_header(self) -> str | None:
        """The header that carries API keys; None if they are not accepted."""
        return self.keys.header if self.takes_keys else None

    @property
    def takes_keys(self) -> bool:
        """True if API keys are accepted as credentials."""
        return self.store is not None and CredentialKind.KEY in self.order

    @property
    def reserved_metadata(self) -> tuple[str, ...]:
        """The metadata names that clients may not set; `*` at the end is any ending."""
        names = [*self.identity.names]
        if self.takes_credentials and not self.identity.forward_authorization:
            names.append("authorization")
        if self.takes_keys:
            names.append(self.keys.header.lower())
        if self.takes_certificates:
            names.append("x-forwarded-client-cert")
        return tuple(names)

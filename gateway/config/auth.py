"""Settings of tokens: who issues them, how long they live, where they are kept."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from gateway.config.credentials import (
    CertificateOptions,
    CredentialKind,
    JwtOptions,
    KeyOptions,
)
from gateway.config.sections import Seconds, Section, Words

# To the last @: whoever forgot to encode a password has it hidden too.
_PASSWORD = re.compile(r"(://[^:/@]*:).*@", re.DOTALL)
_PARAMETER = re.compile(r"([?&](?:sentinel_)?password=)[^&]*")
_ISSUER = re.compile(r"https?://[^\s?#/]+(?:/[^\s?#]*)?")
_METADATA_NAME = re.compile(r"(?!grpc-)(?!.*-bin$)[0-9a-z_.\-]+")


def _without_password(url: str | None) -> str | None:
    if url is None:
        return None
    return _PASSWORD.sub(r"\1***@", _PARAMETER.sub(r"\1***", url))


def _metadata_name(text: str) -> str:
    if not _METADATA_NAME.fullmatch(text):
        raise ValueError("expected a metadata name: lower-case, not grpc-*, not *-bin")
    return text


def _issuer(text: str) -> str:
    if not _ISSUER.fullmatch(text):
        raise ValueError(
            "expected a URL such as https://api.example.com, without query and fragment"
        )
    return text


StoreUrl = Annotated[
    str, PlainSerializer(_without_password), Words("the URL of a store", "redis://host:6379/0")
]
"""Where a store is; printed without its password."""

MetadataName = Annotated[
    str, AfterValidator(_metadata_name), Words("a metadata name", "x-principal")
]


IssuerUrl = Annotated[str, AfterValidator(_issuer), Words("a URL", "https://api.example.com")]


class TokenOptions(Section):
    """The token endpoints, and how long what they issue lives."""

    auth_upstream: str | None = None
    """The upstream that is the authentication server; unset for no token endpoints."""
    access_ttl_s: Seconds = 3600.0
    """How long an access token lives if the authentication server does not say."""
    max_access_ttl_s: Seconds = 86400.0
    """How long an access token lives at the most."""
    refresh_ttl_s: Seconds = 30 * 86400.0
    """How long a refresh token lives unless it is used."""
    issuer: IssuerUrl | None = None
    """The URL that clients know this by (RFC 8414 section 2); unset for the one they asked."""
    introspectors: tuple[str, ...] = ()
    """Clients that may look into any token; the others see only those issued to themselves."""
    allow_password: bool = False
    """Serve the password grant, which new clients must not use (RFC 9700 section 2.4)."""
    failures: Annotated[int, Field(gt=0)] = 10
    """Failed attempts of a client from one address in a window; ten times as many of either."""
    failure_window_s: Seconds = 300.0
    """How long failed attempts count."""


class AssertionOptions(Section):
    """A short-lived JWT in which the gateway vouches for the caller (RFC 7519)."""

    key: Path
    """A PEM file with the key that signs: Ed25519, EC P-256, or RSA; see /.well-known/jwks.json."""
    issuer: str = "gateway"
    """Its `iss`."""
    audience: str | None = None
    """Its `aud`; unset for the full name of the service that is called."""
    ttl_s: Annotated[float, Field(ge=2, le=3600)] = 60.0
    """How long it is good."""
    metadata: MetadataName = "x-principal-jwt"
    """The metadata it travels in."""


class IdentityOptions(Section):
    """What back ends are told of the caller, as metadata that no client can set."""

    principal: MetadataName = "x-principal"
    """The metadata with the principal's name."""
    scopes: MetadataName = "x-principal-scopes"
    """The metadata with the granted scopes, parted by spaces."""
    client: MetadataName = "x-principal-client"
    """The metadata with the OAuth client, where there is one."""
    claims_prefix: MetadataName | None = "x-principal-claim-"
    """Before the name of each claim; null to send none."""
    jwt: AssertionOptions | None = None
    """A signed statement for back ends that trust nobody; unset for none."""
    forward_authorization: bool = False
    """Hand the caller's own credential on too, which lets a back end speak as the caller."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names that no client may set, `*` at the end for any ending.

        They are those in use, what begins with one of them and a hyphen (such as `-bin`, which
        makes bytes of it), and what begins so with `x-principal`, as documented.
        """
        jwt = () if self.jwt is None else (self.jwt.metadata,)
        used = (self.principal, self.scopes, self.client, *jwt)
        claims = () if self.claims_prefix is None else (f"{self.claims_prefix}*",)
        return (*used, *(f"{name}-*" for name in used), *claims, "x-principal", "x-principal-*")


class AuthOptions(Section):
    """Who is calling."""

    store: Annotated[StoreUrl | None, Field(repr=False)] = None
    """Where tokens and keys are kept: memory:, sqlite:///file.db, redis://host:6379/0,
    redis+sentinel://host:26379/master or redis+cluster://host:7000."""
    anonymous: bool = False
    """Who shows no credential may call what no policy speaks of; without any kind of credential
    everybody may."""
    order: tuple[CredentialKind, ...] = tuple(CredentialKind)
    """Which kinds of credential are taken; where several are shown, the first of these counts."""
    tokens: TokenOptions = TokenOptions()
    keys: KeyOptions = KeyOptions()
    jwt: JwtOptions = JwtOptions()
    certificates: CertificateOptions | None = None
    """Client certificates as credentials; unset for none, `{}` for the defaults."""
    identity: IdentityOptions = IdentityOptions()

    @model_validator(mode="after")
    def _issue_into_a_store(self) -> Self:
        if self.tokens.auth_upstream is not None and self.store is None:
            raise ValueError("tokens.auth_upstream needs a store: where is what is issued kept?")
        return self

    @property
    def takes_credentials(self) -> bool:
        """Whether anybody can be known here."""
        return self.store is not None or self.takes_jwts or self.takes_certificates

    @property
    def takes_jwts(self) -> bool:
        """Whether JWTs are credentials here."""
        return bool(self.jwt.issuers) and CredentialKind.JWT in self.order

    @property
    def takes_certificates(self) -> bool:
        """Whether client certificates are credentials here."""
        return self.certificates is not None and CredentialKind.CERTIFICATE in self.order

    @property
    def takes_keys(self) -> bool:
        """Whether API keys are credentials here."""
        return self.store is not None and CredentialKind.KEY in self.order

    @property
    def reserved_metadata(self) -> tuple[str, ...]:
        """Names, `*` at the end for any ending, that no client may set."""
        names = [*self.identity.names]
        if self.takes_credentials and not self.identity.forward_authorization:
            names.append("authorization")
        if self.takes_keys:
            names.append(self.keys.header.lower())
        if self.takes_certificates:
            names.append("x-forwarded-client-cert")
        return tuple(names)

"""Settings of credentials other than the gateway's tokens: API keys, JWTs, certificates."""

from enum import StrEnum
from ipaddress import ip_address
from itertools import permutations
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.config.grammar import is_token
from gateway.config.sections import Bytes, Seconds, Section


class CredentialKind(StrEnum):
    """A kind of credential."""

    TOKEN = "token"  # noqa: S105 - the word, not one
    KEY = "key"
    JWT = "jwt"
    CERTIFICATE = "certificate"


def _key_header(text: str) -> str:
    if not is_token(text) or text.lower() in ("authorization", "cookie", "host"):
        raise ValueError("expected the name of a header that nothing else uses, such as X-API-Key")
    return text


class KeyOptions(Section):
    """API keys, which `gateway key create` makes."""

    header: Annotated[str, AfterValidator(_key_header)] = "X-API-Key"
    """The request header that carries the key; it is not forwarded to back ends."""


class Algorithm(StrEnum):
    """A signature algorithm of JWTs (RFC 7518 section 3.1, RFC 8037, RFC 9864)."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"
    ED25519 = "Ed25519"
    HS256 = "HS256"
    HS384 = "HS384"
    HS512 = "HS512"

    @property
    def is_symmetric(self) -> bool:
        """True if a verifier could also sign."""
        return self.startswith("HS")


class JwtIssuer(Section):
    """An issuer of JWTs; without `keys_url` and `keys_file`, OIDC discovery finds its keys."""

    issuer: Annotated[str, Field(min_length=1)]
    """The exact `iss` of its tokens."""
    audiences: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of this API in `aud`; a token must have one of them."""
    keys_url: str | None = None
    """The URL of its JWK set, if it is not the one in its OIDC configuration."""
    keys_file: Path | None = None
    """A file with its JWK set, or with one public key as PEM; read again when it changes."""
    plain_http: bool = False
    """Fetch keys without TLS; anyone on the network path could then forge tokens."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = (
        Algorithm.RS256,
        Algorithm.PS256,
        Algorithm.ES256,
        Algorithm.EDDSA,
    )
    """Accepted signature algorithms; EdDSA includes Ed25519, its newer name; HS256, HS384 and HS512
    need a shared secret in `keys_file`."""
    types: tuple[str, ...] = ()
    """Accepted values of `typ`, such as at+jwt, to reject JWTs made for other uses; empty for
    all."""
    principal: str = "sub"
    """The claim with the principal's name."""
    prefix: str = ""
    """A prefix for principal names, which keeps equal names of two issuers different."""
    scopes: tuple[str, ...] = ("scope", "scp", "permissions")
    """Claims with scopes: texts separated by spaces, or lists; a dot selects a nested claim."""
    claims: dict[str, str] = Field(default_factory=dict)
    """Claims to send to back ends: the name for back ends, and the name of the claim."""
    leeway_s: Annotated[float, Field(ge=0, le=300)] = 30.0
    """The allowed clock difference to the issuer, in seconds."""
    refresh_s: Seconds = 300.0
    """The age at which its keys are fetched again, and up to a fifth more or less."""
    retry_s: Seconds = 30.0
    """The shortest time between fetches, for an unknown key or an issuer that does not respond."""
    stale_s: Seconds = 86400.0
    """The time for which its keys are used while the issuer cannot be reached."""

    @property
    def is_discovered(self) -> bool:
        """True if its keys are found by OIDC discovery."""
        return self.keys_url is None and self.keys_file is None

    @model_validator(mode="after")
    def _keys_from_one_place(self) -> Self:
        if self.keys_url is not None and self.keys_file is not None:
            raise ValueError("keys_url and keys_file exclude each other: give one, or neither")
        if self.keys_file is None:
            if any(one.is_symmetric for one in self.algorithms):
                raise ValueError("HS algorithms need keys_file: a secret is never at a public URL")
            if not self.plain_http:
                check_is_private(self.keys_url or self.issuer)
        return self


class JwtOptions(Section):
    """JWTs as bearer tokens (RFC 9068); needs the extra `jwt`."""

    issuers: tuple[JwtIssuer, ...] = ()
    """The trusted issuers; empty to accept no JWTs."""
    max_bytes: Bytes = 8192
    """The size limit of a token; a longer one is rejected."""
    remember_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    """The longest time for which a valid token is accepted without verifying it again."""

    @model_validator(mode="after")
    def _no_two_alike(self) -> Self:
        issuers = [one.issuer for one in self.issuers]
        if len(set(issuers)) < len(issuers):
            raise ValueError("an issuer appears twice: list all its audiences in one entry")
        prefixes = [one.prefix for one in self.issuers]
        if any(a.startswith(b) for a, b in permutations(prefixes, 2)):
            raise ValueError(
                "the prefix of one issuer begins with that of another, so a principal of one "
                "could pass for a principal of the other: set prefixes such as a/ and b/"
            )
        return self


class NameSource(StrEnum):
    """The part of a certificate that names the principal."""

    SPIFFE = "spiffe"
    URI = "uri"
    DNS = "dns"
    EMAIL = "email"
    CN = "cn"


class CertificateOptions(Section):
    """Client certificates as credentials; `tls.client_ca_file` has the trusted authorities."""

    principal: Annotated[tuple[NameSource, ...], Field(min_length=1)] = (
        NameSource.SPIFFE,
        NameSource.DNS,
    )
    """The name used as the principal, the first that a certificate has: spiffe, uri, dns, email,
    cn."""
    prefix: str = ""
    """A prefix for principal names."""
    scopes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Scopes by principal name without the prefix; `*` at the end of a name is any ending."""
    forwarded: bool = False
    """Trust `X-Forwarded-Client-Cert` from trusted proxies, which must overwrite it."""


def check_is_private(url: str) -> None:
    """Rejects a URL whose response could be forged on the network, with `ValueError`."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("expected a URL without a password")
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not _is_this_machine(parts.hostname or ""):
        raise ValueError(f"expected an https:// URL to fetch keys from, got {url}")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

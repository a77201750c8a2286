"""Settings of credentials that are not the gateway's own tokens: API keys, JWTs, certificates."""

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
    """API keys, which are made with `gateway key create`."""

    header: Annotated[str, AfterValidator(_key_header)] = "X-API-Key"
    """The header that a key is shown in; back ends do not see it."""


class Algorithm(StrEnum):
    """How a JWT may be signed (RFC 7518 section 3.1, RFC 8037, RFC 9864)."""

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
        """Whether those who check could sign too."""
        return self.startswith("HS")


class JwtIssuer(Section):
    """One who signs JWTs; without `keys_url` and `keys_file` it says by OIDC where its keys are."""

    issuer: Annotated[str, Field(min_length=1)]
    """Its `iss`, to the letter."""
    audiences: Annotated[tuple[str, ...], Field(min_length=1)]
    """What it calls this API in `aud`; a token must name one of these."""
    keys_url: str | None = None
    """Where its JWK set is, when not where its OIDC configuration says."""
    keys_file: Path | None = None
    """A file with its JWK set, or with one public key as PEM; read again when it changes."""
    plain_http: bool = False
    """Fetch keys without TLS, though whoever is on the way could then forge tokens."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = (
        Algorithm.RS256,
        Algorithm.PS256,
        Algorithm.ES256,
        Algorithm.EDDSA,
    )
    """How tokens may be signed; EdDSA takes in Ed25519, its newer name; HS256 and its kin take a
    shared secret, in a `keys_file`."""
    types: tuple[str, ...] = ()
    """What `typ` may be, such as at+jwt, so that no other JWT passes for a token; empty for all."""
    principal: str = "sub"
    """The claim that says who is calling."""
    prefix: str = ""
    """Before the principal's name, to tell apart what two issuers call by one name."""
    scopes: tuple[str, ...] = ("scope", "scp", "permissions")
    """Claims with scopes: texts parted by spaces, or lists; a dot reaches into a claim."""
    claims: dict[str, str] = Field(default_factory=dict)
    """What back ends are told beside, by its name there: the claim it comes from."""
    leeway_s: Annotated[float, Field(ge=0, le=300)] = 30.0
    """How far its clock may be off."""
    refresh_s: Seconds = 300.0
    """How old its keys may get before they are fetched again."""
    retry_s: Seconds = 30.0
    """How long to wait between fetches at least: for an unknown key, or an issuer that is down."""
    stale_s: Seconds = 86400.0
    """How long its keys are believed while it cannot be asked."""

    @model_validator(mode="after")
    def _keys_from_one_place(self) -> Self:
        if self.keys_url is not None and self.keys_file is not None:
            raise ValueError("keys_url and keys_file exclude each other: give one, or neither")
        if self.keys_file is None:
            if any(one.is_symmetric for one in self.algorithms):
                raise ValueError("HS algorithms need keys_file: a secret is in no public place")
            if not self.plain_http:
                check_is_private(self.keys_url or self.issuer)
        return self


class JwtOptions(Section):
    """JWTs as bearer tokens (RFC 9068); needs the extra `jwt`."""

    issuers: tuple[JwtIssuer, ...] = ()
    """Who is believed; empty for nobody."""
    max_bytes: Bytes = 8192
    """A longer token is refused."""
    remember_s: Annotated[float, Field(ge=0, le=60)] = 5.0
    """How long a token that was good is taken for good without looking, at the most."""

    @model_validator(mode="after")
    def _no_two_alike(self) -> Self:
        issuers = [one.issuer for one in self.issuers]
        if len(set(issuers)) < len(issuers):
            raise ValueError("an issuer is there twice: give it all its audiences in one place")
        prefixes = [one.prefix for one in self.issuers]
        if any(a.startswith(b) for a, b in permutations(prefixes, 2)):
            raise ValueError(
                "the prefix of one issuer begins with that of another, so somebody of the one "
                "could pass for somebody of the other: set prefixes such as a/ and b/"
            )
        return self


class NameSource(StrEnum):
    """What of a certificate says who it is."""

    SPIFFE = "spiffe"
    URI = "uri"
    DNS = "dns"
    EMAIL = "email"
    CN = "cn"


class CertificateOptions(Section):
    """Client certificates as credentials; `tls.client_ca_file` says whose are believed."""

    principal: Annotated[tuple[NameSource, ...], Field(min_length=1)] = (
        NameSource.SPIFFE,
        NameSource.DNS,
    )
    """What says who is calling, the first that a certificate has: spiffe, uri, dns, email, cn."""
    prefix: str = ""
    """Before the principal's name."""
    scopes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Scopes by name without the prefix; `*` at the end of a name for any ending."""
    forwarded: bool = False
    """Believe `X-Forwarded-Client-Cert` of trusted proxies, which must overwrite it."""


def check_is_private(url: str) -> None:
    """Refuses a URL at which somebody on the way could answer; `ValueError` if so."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("expected a URL without a password: where keys are is no secret")
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not _is_this_machine(parts.hostname or ""):
        raise ValueError(f"expected an https:// URL to fetch keys from, got {url}")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False

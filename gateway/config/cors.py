"""Settings of CORS: access for pages of other origins."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.config.filters import HeaderName, Section, Words
from gateway.config.patterns import REGEX, compile_pattern

ANY = "*"
# A serialized origin (RFC 6454 section 6.2): scheme, host, and a port other than the default.
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.\-]*)://(?:\*\.)?(?:[a-z0-9_\-]+(?:\.[a-z0-9_\-]+)*|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}|\*))?"
)
_OWN_PORTS = {"http": "80", "https": "443"}


def _origin(text: str) -> str:
    if text in (ANY, "null"):
        return text
    if text.startswith(REGEX):
        compile_pattern(text)
        return text
    found = _ORIGIN.fullmatch(text)
    if found is None:
        raise ValueError(
            "expected an origin as browsers send it, in lower case and without a path: "
            "https://app.example.com, https://*.example.com, http://localhost:*, or regex:..."
        )
    if found["port"] == _OWN_PORTS.get(found["scheme"], ""):
        raise ValueError(f"browsers omit :{found['port']} with {found['scheme']}; leave it out")
    return text


Origin = Annotated[
    str, AfterValidator(_origin), Words("an origin, or *", "https://app.example.com")
]


class CorsOptions(Section):
    """Access for pages of other origins that call this gateway from a browser."""

    origins: tuple[Origin, ...] = ()
    """Allowed origins: exact, with `*.` for subdomains, with `:*` for ports, `regex:`, or `*`."""
    credentials: bool = False
    """Let browsers send cookies and client certificates; tokens and keys in headers do not need
    this."""
    allow_headers: tuple[HeaderName, ...] = ("Authorization", "Content-Type")
    """Request headers that pages may send; `*` for all."""
    expose_headers: tuple[HeaderName, ...] = (
        "X-Request-Id",
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "ETag",
        "Link",
        "Operation-Location",
        "Preference-Applied",
    )
    """Response headers that pages may read; by default those that the gateway itself sends."""
    max_age_s: Annotated[int, Field(ge=0, le=86400)] = 600
    """Seconds for which browsers may cache the answer to a preflight request."""
    private_network: bool = False
    """Let pages on the public internet call a gateway in a private network."""

    @model_validator(mode="after")
    def _not_everybody_with_credentials(self) -> Self:
        if self.credentials and {ANY, "null"} & set(self.origins):
            raise ValueError(
                "credentials: true would let every page act as its visitors with origins "
                "* or null: list the origins that are trusted"
            )
        return self

"""Settings of security headers for browsers."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.config.filters import HeaderName, Section

_VALUE = re.compile(r"[\x20-\x7e]*")
_NOT_OURS = {"connection", "content-length", "content-type", "date", "trailer", "transfer-encoding"}


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError("expected a header value of printable ASCII characters on one line")
    return text.strip()


def _name(text: str) -> str:
    if text.lower() in _NOT_OURS:
        raise ValueError(f"{text} cannot be set here: the gateway derives it from the response")
    return text


HeaderValue = Annotated[str, AfterValidator(_value)]


class SecurityHeaderOptions(Section):
    """Headers added to every response that does not have them already; "" omits one."""

    enabled: bool = True
    """Send these headers."""
    content_type_options: HeaderValue = "nosniff"
    """X-Content-Type-Options."""
    content_security_policy: HeaderValue = "default-src 'none'; frame-ancestors 'none'"
    """Content-Security-Policy."""
    referrer_policy: HeaderValue = "no-referrer"
    """Referrer-Policy."""
    cross_origin_resource_policy: HeaderValue = "same-origin"
    """Cross-Origin-Resource-Policy; requests with fetch in CORS mode do not depend on it."""
    cache_control: HeaderValue = "no-store"
    """Cache-Control."""
    strict_transport_security: HeaderValue = "max-age=31536000"
    """Strict-Transport-Security; sent only over TLS, or if a trusted proxy reports https."""
    more: dict[Annotated[HeaderName, AfterValidator(_name)], HeaderValue] = Field(
        default_factory=dict
    )
    """More headers, by name."""

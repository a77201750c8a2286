"""Settings of the headers that tell browsers to be careful with what they get."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.config.filters import HeaderName
from gateway.config.sections import Section

_VALUE = re.compile(r"[\x20-\x7e]*")
_NOT_OURS = {"connection", "content-length", "content-type", "date", "trailer", "transfer-encoding"}


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError("expected a header value of printable ASCII characters on one line")
    return text.strip()


def _name(text: str) -> str:
    if text.lower() in _NOT_OURS:
        raise ValueError(f"{text} is not for settings to say: it follows from the response")
    return text


HeaderValue = Annotated[str, AfterValidator(_value)]


class SecurityHeaderOptions(Section):
    """Headers of every response that does not have them already; "" leaves one out."""

    enabled: bool = True
    """Send them."""
    content_type_options: HeaderValue = "nosniff"
    """X-Content-Type-Options."""
    content_security_policy: HeaderValue = "default-src 'none'; frame-ancestors 'none'"
    """Content-Security-Policy."""
    referrer_policy: HeaderValue = "no-referrer"
    """Referrer-Policy."""
    cross_origin_resource_policy: HeaderValue = "same-origin"
    """Cross-Origin-Resource-Policy; CORS is asked of pages that use fetch, not this."""
    cache_control: HeaderValue = "no-store"
    """Cache-Control."""
    strict_transport_security: HeaderValue = "max-age=31536000"
    """Strict-Transport-Security; sent over TLS alone, or where a trusted proxy says https."""
    more: dict[Annotated[HeaderName, AfterValidator(_name)], HeaderValue] = Field(
        default_factory=dict
    )
    """Others, by name."""

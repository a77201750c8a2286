"""Whose certificate a request counts as: the connection's, or what a trusted proxy says of it."""

import math
import re
from collections.abc import Callable
from hashlib import sha256

from gateway.call import Certificate
from gateway.config.auth import AuthOptions
from gateway.frontend.messages import Request
from gateway.frontend.middleware.forwarded import Forwarding

CertificateOf = Callable[[Request], Certificate | None]

HEADER = "X-Forwarded-Client-Cert"
# Envoy's form: elements parted by commas, one for each proxy, of `key=value` parted by semicolons;
# a value in quotes has a backslash before a quote in it.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ELEMENT = re.compile(rf'(?:[^",]|{_QUOTED})+')
_PAIR = re.compile(rf'([A-Za-z]+)=({_QUOTED}|[^";]*)(?:;|$)')
# RFC 4514 section 3: of what stands between commas, the one that is the common name.
_COMMON_NAME = re.compile(r"(?:^|[,+/])\s*CN=((?:[^,+/\\]|\\.)*)", re.IGNORECASE)
_KINDS = {"uri": "uri", "dns": "dns"}


def certificates_of(options: AuthOptions, forwarding: Forwarding) -> CertificateOf | None:
    """Whose certificate a request counts as; None where certificates are no credentials."""
    if options.certificates is None or not options.takes_certificates:
        return None
    is_forwarded = options.certificates.forwarded

    def certificate(request: Request) -> Certificate | None:
        if not forwarding.believes(request.peer):
            return request.certificate
        # A proxy's own certificate says nothing about those it speaks for.
        return parse_forwarded(_last_value(request)) if is_forwarded else None

    return certificate


def parse_forwarded(value: str) -> Certificate | None:
    """What the last element of the header tells of a certificate, or None if that is nothing."""
    elements = _ELEMENT.findall(value)
    if not elements:
        return None
    element = elements[-1].strip()
    names: list[tuple[str, str]] = []
    for key, quoted in _PAIR.findall(element):
        text = _unquoted(quoted)
        if key.lower() == "subject":
            names += [("cn", found) for found in _COMMON_NAME.findall(text)]
        elif key.lower() in _KINDS and text:
            names.append((_KINDS[key.lower()], text))
    # Whether it has expired, the proxy has seen.
    return Certificate(tuple(names), sha256(element.encode()).hexdigest(), math.inf)


def _last_value(request: Request) -> str:
    """The last field of this name: of several, the one that the proxy itself has added."""
    found = [value for name, value in request.headers.items() if name.lower() == HEADER.lower()]
    return found[-1] if found else ""


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text

"""Whose certificate a request counts as: the connection's, or what a trusted proxy says of it."""

import math
import re
from collections.abc import Callable
from hashlib import sha256

from gateway.call import Certificate
from gateway.config.auth import AuthOptions
from gateway.http.forwarded import Forwarding
from gateway.http.messages import Request

CertificateOf = Callable[[Request], Certificate | None]

HEADER = "X-Forwarded-Client-Cert"
# Envoy's form: elements parted by commas, one for each proxy, of `key=value` parted by semicolons;
# in a value in quotes a quote has a backslash before it.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ELEMENT = re.compile(rf'(?:[^",]|{_QUOTED})+')
_PAIR = re.compile(rf'([A-Za-z]+)=({_QUOTED}|[^";]*)(?:;|$)')
# RFC 4514 section 3: what stands between commas, of which those with a backslash part nothing. So
# nobody whose organisation is called `x,CN=root` has that for a common name.
_ATTRIBUTE = re.compile(r"(?:[^,+\\]|\\.)+")
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
            names += [("cn", name) for name in _common_names(text)]
        elif key.lower() in _KINDS and text:
            names.append((_KINDS[key.lower()], text))
    # Whether it has expired, the proxy has seen.
    return Certificate(tuple(names), sha256(element.encode()).hexdigest(), math.inf)


def _last_value(request: Request) -> str:
    """The last field of this name: of several, the one that the proxy itself has added."""
    found = [value for name, value in request.headers.items() if name.lower() == HEADER.lower()]
    return found[-1] if found else ""


def _unquoted(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text


def _common_names(subject: str) -> list[str]:
    attributes = [one.strip() for one in _ATTRIBUTE.findall(subject)]
    return [one[3:] for one in attributes if one[:3].upper() == "CN=" and len(one) > 3]

"""The client certificate of a request: of its connection, or as a trusted proxy states it."""

import math
import re
from collections.abc import Callable
from hashlib import sha256

from gateway.config.auth import AuthOptions
from gateway.http.forwarded import Forwarding
from gateway.http.messages import Certificate, Request

CertificateOf = Callable[[Request], Certificate | None]

HEADER = "X-Forwarded-Client-Cert"
# Envoy's format: elements separated by commas, one for each proxy, of `key=value` pairs separated
# by semicolons; a quoted value escapes a quote with a backslash. All quantifiers are possessive
# (`+` after the quantifier), so there is no backtracking and the time is linear.
_QUOTED = r'"(?:[^"\\]++|\\.)*+"'
_ELEMENT = re.compile(rf'(?>(?:[^",]++|{_QUOTED})*)(?:,|\Z)', re.DOTALL)
_PAIR = re.compile(rf'[ \t]*+([A-Za-z]++)=({_QUOTED}|[^";]*+)(?:;|\Z)', re.DOTALL)
# RFC 4514 section 3: attributes separated by commas; a comma after a backslash does not separate.
# So an organisation called `x,CN=root` does not become the common name `root`.
_ATTRIBUTE = re.compile(
    r" *+([A-Za-z][A-Za-z0-9\-]*+|[0-9][0-9.]*+) *+="
    r'((?:[^,+;"<>\\]++|\\(?:[0-9A-Fa-f]{2}|[^0-9A-Fa-f]))*+)([,+]|\Z)',
    re.DOTALL,
)
_ESCAPE = re.compile(r"((?:\\[0-9A-Fa-f]{2})++)|\\(.)", re.DOTALL)
_COMMON_NAME = ("CN", "2.5.4.3")
_KINDS = {"uri": "uri", "dns": "dns"}


def certificates_of(options: AuthOptions, forwarding: Forwarding) -> CertificateOf | None:
    """Returns a function that finds a request's certificate; None if certificates are not used."""
    if options.certificates is None or not options.takes_certificates:
        return None
    is_forwarded = options.certificates.forwarded

    def certificate(request: Request) -> Certificate | None:
        if not forwarding.trusts(request.peer):
            return request.certificate
        # The proxy's certificate identifies the proxy, not its clients.
        return parse_forwarded(_last_value(request)) if is_forwarded else None

    return certificate


def parse_forwarded(value: str) -> Certificate | None:
    """Parses the certificate in the last element of the header; None if the header is empty.

    A malformed header gives a certificate without names, so that its caller is rejected.
    """
    if not value.strip(" \t,"):
        return None
    element = _last_element(value)
    names = None if element is None else _names(element)
    # Header bytes that are not UTF-8 were decoded to lone surrogates.
    encoded = (element or value).encode("utf-8", "surrogatepass")
    # The proxy has checked that the certificate has not expired.
    return Certificate(tuple(names or ()), sha256(encoded).hexdigest(), math.inf)


def _last_element(value: str) -> str | None:
    """Returns the last element that is not empty; None if the header is malformed."""
    last, at = "", 0
    while at < len(value):
        found = _ELEMENT.match(value, at)
        if found is None:
            return None
        text = value[at : found.end()].removesuffix(",").strip(" \t")
        last, at = text or last, found.end()
    return last


def _names(element: str) -> list[tuple[str, str]] | None:
    """Returns the names in an element, the most specific common name last; None if malformed."""
    names: list[tuple[str, str]] = []
    subjects = at = 0
    while at < len(element):
        found = _PAIR.match(element, at)
        if found is None:
            return None
        at = found.end()
        key, text = found[1].lower(), _unquoted(found[2])
        if key == "subject":
            subjects += 1
            if subjects > 1:
                return None
            names += [("cn", name) for name in _common_names(text)]
        elif key in _KINDS and text:
            names.append((_KINDS[key], text))
    return names


def _last_value(request: Request) -> str:
    """Returns the last field of this name, which is the one that the proxy added."""
    found = [value for name, value in request.headers.items() if name.lower() == HEADER.lower()]
    return found[-1] if found else ""


def _unquoted(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text


def _common_names(subject: str) -> list[str]:
    """Returns the common names of a subject, in certificate order; none if it is malformed.

    The text form has the most specific name first (RFC 4514 section 2.1). Two in one relative
    name have no order, so they become one empty name, which no principal can have.
    """
    names: list[str] = []
    at, has_one, is_open = 0, False, False
    while at < len(subject) or is_open:
        found = _ATTRIBUTE.match(subject, at)
        if found is None:
            return []
        at = found.end()
        if found[1].upper() in _COMMON_NAME:
            if has_one:
                names[-1] = ""
            else:
                names.append(_unescaped(found[2]))
            has_one = True
        has_one = has_one and found[3] == "+"
        is_open = found[3] != ""
    return names[::-1]


def _unescaped(text: str) -> str:
    """Returns the exact value of an attribute; empty if it is not text.

    Spaces around it are kept, even without a backslash before them: some proxies omit it, and two
    different names must not become equal.
    """
    if text.startswith("#"):
        return ""
    try:
        return _ESCAPE.sub(_character, text)
    except UnicodeDecodeError:
        return ""


def _character(escape: re.Match[str]) -> str:
    return bytes.fromhex(escape[1].replace("\\", "")).decode() if escape[1] else escape[2]

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
# in a value in quotes a quote has a backslash before it. Each pattern takes all it can and gives
# nothing back (`+` behind a quantifier), so that the time it takes grows with the text alone.
_QUOTED = r'"(?:[^"\\]++|\\.)*+"'
_ELEMENT = re.compile(rf'(?:[^",]++|{_QUOTED})*+(?:,|\Z)', re.DOTALL)
_PAIR = re.compile(rf'[ \t]*+([A-Za-z]++)=({_QUOTED}|[^";]*+)(?:;|\Z)', re.DOTALL)
# RFC 4514 section 3: what stands between commas, of which those with a backslash part nothing. So
# nobody whose organisation is called `x,CN=root` has that for a common name.
_ATTRIBUTE = re.compile(
    r" *+([A-Za-z][A-Za-z0-9\-]*+|[0-9][0-9.]*+) *+="
    r'((?:[^,+;"<>\\]++|\\(?:[0-9A-Fa-f]{2}|[^0-9A-Fa-f]))*+)([,+]|\Z)',
    re.DOTALL,
)
_ESCAPE = re.compile(r"((?:\\[0-9A-Fa-f]{2})++)|\\(.)", re.DOTALL)
_COMMON_NAME = ("CN", "2.5.4.3")
_KINDS = {"uri": "uri", "dns": "dns"}


def certificates_of(options: AuthOptions, forwarding: Forwarding) -> CertificateOf | None:
    """Whose certificate a request counts as; None where certificates are no credentials."""
    if options.certificates is None or not options.takes_certificates:
        return None
    is_forwarded = options.certificates.forwarded

    def certificate(request: Request) -> Certificate | None:
        if not forwarding.trusts(request.peer):
            return request.certificate
        # A proxy's own certificate says nothing about those it speaks for.
        return parse_forwarded(_last_value(request)) if is_forwarded else None

    return certificate


def parse_forwarded(value: str) -> Certificate | None:
    """The certificate that the last element of the header tells of, or None if there is none.

    Of a header that is not in Envoy's form nothing is believed: its certificate has no names, so
    that a caller is refused by it.
    """
    if not value.strip(" \t,"):
        return None
    element = _last_element(value)
    names = None if element is None else _names(element)
    # Bytes that are no UTF-8 have become lone surrogates.
    shown = (element or value).encode("utf-8", "surrogatepass")
    # Whether it has expired, the proxy has seen.
    return Certificate(tuple(names or ()), sha256(shown).hexdigest(), math.inf)


def _last_element(value: str) -> str | None:
    """The last element that is not empty; None where the header is malformed."""
    last, at = "", 0
    while at < len(value):
        found = _ELEMENT.match(value, at)
        if found is None:
            return None
        text = value[at : found.end()].removesuffix(",").strip(" \t")
        last, at = text or last, found.end()
    return last


def _names(element: str) -> list[tuple[str, str]] | None:
    """The names in an element, the most specific common name last; None if it is malformed."""
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
    """The last field of this name: of several, the one that the proxy itself has added."""
    found = [value for name, value in request.headers.items() if name.lower() == HEADER.lower()]
    return found[-1] if found else ""


def _unquoted(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text


def _common_names(subject: str) -> list[str]:
    """The common names of a subject, in the order of its certificate; none if it is malformed.

    Written down, the most specific one comes first (RFC 4514 section 2.1). Two in one relative
    name have no order, so they count as one that is empty, which no principal can be called.
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
    """The value of an attribute, exactly; empty where it is no text.

    Blanks around it that have no backslash before them belong to it all the same: there are
    proxies that forget it, and two names that differ must not become one.
    """
    if text.startswith("#"):
        return ""
    try:
        return _ESCAPE.sub(_character, text)
    except UnicodeDecodeError:
        return ""


def _character(escape: re.Match[str]) -> str:
    return bytes.fromhex(escape[1].replace("\\", "")).decode() if escape[1] else escape[2]

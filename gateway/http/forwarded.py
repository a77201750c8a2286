"""Who the client is, for back ends: X-Forwarded-* that a client cannot forge."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from gateway.config.client_networks import Networks
from gateway.config.grammar import AUTHORITY
from gateway.config.model import ForwardedOptions
from gateway.http.messages import Request

_UNKNOWN = "unknown"
# A client can send thousands through a proxy we trust, and each has to be parsed.
_MOST_ADDRESSES = 32
_HOST = re.compile(AUTHORITY)


class Forwarding:
    """States the client's address, host and scheme; believes only trusted proxies about them."""

    def __init__(self, options: ForwardedOptions, *, scheme: str = "http") -> None:
        proxies = Networks(options.trusted_proxies)
        self.has_proxies = bool(proxies)
        """Whether any proxy is trusted."""
        self._send = options.send
        self._scheme = scheme
        # Avoids parsing a peer's address again at each of its requests.
        self._is_trusted = lru_cache(maxsize=4096)(proxies.have)

    def metadata(self, peer: str, headers: Mapping[str, str]) -> Sequence[tuple[str, str | bytes]]:
        """x-forwarded-for, -host and -proto for a back end."""
        if not self._send:
            return ()
        host = headers.get("Host", "")
        chain, proto = peer, self._scheme
        if self.has_proxies and self._is_trusted(peer):
            chain, host, proto = self._believe(peer, headers, host)
        return _told(chain, host, proto)

    def client(self, peer: str, headers: Mapping[str, str]) -> str:
        """The address of the client: the last in the chain that is no trusted proxy."""
        if not self.has_proxies or not self._is_trusted(peer):
            return peer
        client = peer
        for address in reversed(_addresses(headers)):
            if address == _UNKNOWN:
                break  # who stands before someone unknown was told by nobody we trust
            client = address
            if not self._is_trusted(address):
                break
        return client

    def believes(self, peer: str) -> bool:
        """Whether a peer is a trusted proxy."""
        return self.has_proxies and self._is_trusted(peer)

    def is_secure(self, request: Request) -> bool:
        """Whether the client speaks TLS, with us or with a trusted proxy."""
        if self.believes(request.peer):
            return self._believe(request.peer, request.headers, "")[2] == "https"
        return self._scheme == "https"

    def _believe(self, peer: str, headers: Mapping[str, str], host: str) -> tuple[str, str, str]:
        chain = ", ".join([*_addresses(headers), peer])
        proto = _last(_joined(headers, "x-forwarded-proto")) or _element(headers, "proto")
        told = _last(_joined(headers, "x-forwarded-host")) or _element(headers, "host")
        scheme = proto if proto in ("http", "https") else self._scheme
        return chain, told if _HOST.fullmatch(told) else host, scheme


# Saves checking the host again at each request of a client.
@lru_cache(maxsize=4096)
def _told(chain: str, host: str, proto: str) -> tuple[tuple[str, str], ...]:
    entries = (
        ("x-forwarded-for", chain),
        ("x-forwarded-host", host),
        ("x-forwarded-proto", proto),
    )
    return entries if _HOST.fullmatch(host) else (entries[0], entries[2])


def _last(value: str) -> str:
    return value.rpartition(",")[2].strip().lower()


def _addresses(headers: Mapping[str, str]) -> list[str]:
    """The chain so far; of X-Forwarded-For and Forwarded (RFC 7239) the former counts."""
    told = _joined(headers, "x-forwarded-for")
    if not told:
        told = ",".join(re.findall(r'(?i)\bfor="?([^";,]*)', _joined(headers, "forwarded")))
    return [_address(part) for part in told.split(",")[-_MOST_ADDRESSES:] if part.strip()]


def _joined(headers: Mapping[str, str], name: str) -> str:
    """All fields of one name as a list (RFC 9110 section 5.3).

    A proxy may have added a line of its own behind the client's instead of extending that.
    """
    return ",".join([value for field, value in headers.items() if field.lower() == name])


def _address(text: str) -> str:
    """A bare IP address out of its spellings with port and brackets, or `unknown`.

    RFC 7239 section 6.2.
    """
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return _UNKNOWN


def _element(headers: Mapping[str, str], name: str) -> str:
    """The parameter `name` of the last element of a Forwarded header (RFC 7239 section 4)."""
    element = _joined(headers, "forwarded").rpartition(",")[2]
    found = re.search(rf'(?i)\b{name}="?([^";,]*)', element)
    return found[1].lower() if found else ""

"""The client's address, host and scheme for back ends: X-Forwarded-* that clients cannot forge."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from gateway.config.client_networks import Networks
from gateway.config.forwarded import ForwardedOptions
from gateway.config.grammar import AUTHORITY
from gateway.http.messages import Request
from gateway.http2.headers import literal_start, string

_UNKNOWN = "unknown"
# A client can send thousands through a trusted proxy, and each must be parsed.
_MAX_ADDRESSES = 32
_REMEMBERED = 4096
_HOST = re.compile(AUTHORITY)


class Forwarding:
    """Determines the client's address, host and scheme; accepts them only from trusted proxies."""

    def __init__(self, options: ForwardedOptions, *, scheme: str = "http") -> None:
        proxies = Networks(options.trusted_proxies)
        self.has_proxies = bool(proxies)
        """True if any proxy is trusted."""
        self._send = options.send
        self._scheme = scheme
        # Cached, so that a peer's address is not parsed for each of its requests.
        self._is_trusted = lru_cache(maxsize=_REMEMBERED)(proxies.have)
        # By peer, then by host: this costs a fifth of a cache with a key of two parts.
        self._blocks: dict[str, dict[str, bytes]] = {}
        self._block_count = 0

    def metadata(self, peer: str, headers: Mapping[str, str]) -> Sequence[tuple[str, str | bytes]]:
        """Returns x-forwarded-for, x-forwarded-host and x-forwarded-proto for a back end."""
        if not self._send:
            return ()
        host = headers.get("Host", "")
        chain, proto = peer, self._scheme
        if self.has_proxies and self._is_trusted(peer):
            chain, host, proto = self._from_proxy(peer, headers, host)
        return _entries(chain, host, proto)

    def block(self, peer: str, host: str) -> bytes:
        """Returns `metadata` for a peer that is not a trusted proxy, encoded for HTTP/2."""
        if not self._send:
            return b""
        of_peer = self._blocks.get(peer)
        block = None if of_peer is None else of_peer.get(host)
        return self._encode(peer, host) if block is None else block

    def _encode(self, peer: str, host: str) -> bytes:
        entries = _entries(peer, host, self._scheme)
        block = b"".join([literal_start(name) + string(text.encode()) for name, text in entries])
        if self._block_count >= _REMEMBERED:
            self._blocks.clear()
            self._block_count = 0
        self._blocks.setdefault(peer, {})[host] = block
        self._block_count += 1
        return block

    def client(self, peer: str, headers: Mapping[str, str]) -> str:
        """Returns the client's address: the last in the chain that is not a trusted proxy."""
        if not self.has_proxies or not self._is_trusted(peer):
            return peer
        client = peer
        for address in reversed(_addresses(headers)):
            if address == _UNKNOWN:
                break  # addresses before an unknown one do not come from a trusted proxy
            client = address
            if not self._is_trusted(address):
                break
        return client

    def trusts(self, peer: str) -> bool:
        """True if a peer is a trusted proxy."""
        return self.has_proxies and self._is_trusted(peer)

    def is_secure(self, request: Request) -> bool:
        """True if the client uses TLS, with the gateway or with a trusted proxy."""
        if self.trusts(request.peer):
            return self._from_proxy(request.peer, request.headers, "")[2] == "https"
        return self._scheme == "https"

    def _from_proxy(self, peer: str, headers: Mapping[str, str], host: str) -> tuple[str, str, str]:
        chain = ", ".join([*_addresses(headers), peer])
        proto = _last(_joined(headers, "x-forwarded-proto")) or _element(headers, "proto")
        stated = _last(_joined(headers, "x-forwarded-host")) or _element(headers, "host")
        scheme = proto if proto in ("http", "https") else self._scheme
        return chain, stated if _HOST.fullmatch(stated) else host, scheme


# Cached, so that the host is not checked for each request of a client.
@lru_cache(maxsize=_REMEMBERED)
def _entries(chain: str, host: str, proto: str) -> tuple[tuple[str, str], ...]:
    entries = (
        ("x-forwarded-for", chain),
        ("x-forwarded-host", host),
        ("x-forwarded-proto", proto),
    )
    return entries if _HOST.fullmatch(host) else (entries[0], entries[2])


def _last(value: str) -> str:
    return value.rpartition(",")[2].strip().lower()


def _addresses(headers: Mapping[str, str]) -> list[str]:
    """Returns the chain so far, from X-Forwarded-For, otherwise from Forwarded (RFC 7239)."""
    stated = _joined(headers, "x-forwarded-for")
    if not stated:
        stated = ",".join(re.findall(r'(?i)\bfor="?([^";,]*)', _joined(headers, "forwarded")))
    return [_address(part) for part in stated.split(",")[-_MAX_ADDRESSES:] if part.strip()]


def _joined(headers: Mapping[str, str], name: str) -> str:
    """Joins all fields of one name into one list (RFC 9110 section 5.3).

    A proxy may add another line after the client's line, instead of extending it.
    """
    return ",".join([value for field, value in headers.items() if field.lower() == name])


def _address(text: str) -> str:
    """Returns an IP address without port and brackets, or `unknown`.

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
    """Returns the parameter `name` of the last element of Forwarded (RFC 7239 section 4)."""
    element = _joined(headers, "forwarded").rpartition(",")[2]
    found = re.search(rf'(?i)\b{name}="?([^";,]*)', element)
    return found[1].lower() if found else ""

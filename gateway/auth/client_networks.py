"""Maps an address to the network it is counted under (IPv6: its /64)."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

# A peer that is not an address, such as a Unix socket, is cut to this length.
_LONGEST_NAME = 64


# Cached: avoids parsing a client's address on each of its calls.
@lru_cache(maxsize=4096)
def network_of(peer: str) -> str:
    """The address; for IPv6 its /64, the smallest block that one client gets (RFC 6177)."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer[:_LONGEST_NAME]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))

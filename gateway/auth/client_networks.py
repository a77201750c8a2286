"""What counts as one client, where clients are counted by their address."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

# What is no address, such as a Unix socket's, is cut to this.
_LONGEST_NAME = 64


# Saves parsing the address of a client at each of its calls.
@lru_cache(maxsize=4096)
def network_of(peer: str) -> str:
    """The address; of IPv6 the /64, which is the least that one client has (RFC 6177)."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer[:_LONGEST_NAME]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, 64), strict=False))

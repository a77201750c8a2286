"""Maps an address to the network it is counted under (IPv6: its /64)."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_network

from gateway.config.client_networks import client_address

# A peer that is not an address, such as a Unix socket, is cut to this length.
_LONGEST_NAME = 64


# Avoids parsing the address of a client again at each of its calls.
@lru_cache(maxsize=4096)
def network_of(peer: str) -> str:
    """Returns the address; of IPv6 its /64, the smallest network that a client has (RFC 6177)."""
    address = client_address(peer)
    if address is None:
        return peer[:_LONGEST_NAME]
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)

"""The addresses of clients and the networks that contain them: one reading for all rooms."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


# Avoids parsing the address of a client again at each of its calls.
@lru_cache(maxsize=4096)
def client_address(text: str) -> IPv4Address | IPv6Address | None:
    """Parses the address of a client; None if it has none, for example on a Unix socket.

    A listener on [::] sees IPv4 clients in their mapped form (RFC 4291 section 2.5.5.2): these are
    IPv4 addresses here. A zone (RFC 4007 section 11) is local to this host and is left out.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class Networks:
    """A set of IP networks, each an address or a network such as 10.0.0.0/8."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Parses the networks.

        Raises:
            ValueError: one is malformed.
        """
        self._networks = [ip_network(one, strict=False) for one in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def have(self, client: str) -> bool:
        """Returns True if a client's address is in one of them; False if it is no address."""
        address = client_address(client)
        return address is not None and any(address in network for network in self._networks)

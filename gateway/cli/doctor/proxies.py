"""Examines whose word about the address of a client the gateway takes."""

from collections.abc import Iterable
from ipaddress import ip_network

from gateway.cli.doctor.finding import Finding, ok, warn

_SUBJECT = "proxies"
_WIDEST = {4: 8, 6: 16}
"""The shortest prefixes that one operator can own, such as 10.0.0.0/8, by version of IP."""


def examine_proxies(trusted: Iterable[str]) -> Finding:
    """Returns the finding about `forwarded.trusted_proxies`."""
    networks = [ip_network(one, strict=False) for one in trusted]
    wide = [str(one) for one in networks if one.prefixlen < _WIDEST[one.version]]
    if wide:
        text = f"forwarded.trusted_proxies has {', '.join(wide)}: strangers can state any address"
        return warn(_SUBJECT, text, "name only the networks of your own proxies")
    if networks:
        shown = ", ".join(map(str, networks))
        return ok(_SUBJECT, f"those in {shown} state the addresses of clients")
    return ok(
        _SUBJECT,
        "none is trusted: behind one, each client would have its address "
        "(forwarded.trusted_proxies)",
    )

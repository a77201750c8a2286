"""Targets: the addresses of back ends in settings."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.config.sections import Section, Words, fits

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:/|(?:ipv4|ipv6|unix-abstract|vsock):")
_MANY = ("ipv4:", "ipv6:")
"""The schemes with which gRPC accepts a list of addresses (grpc.github.io, doc/naming.md)."""
_OF_KUBERNETES = ("k8s:/", "kube:/", "kubernetes:/")
"""The schemes of resolvers that ask the API of Kubernetes, which gRPC itself does not have."""
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+(?:%[^\]\s]+)?\]|[^\s:/,@\[\]]+")
_OF_A_SERVER = re.compile(r"(dns|srv)://([^/]*)/(.*)", re.IGNORECASE)
"""A name for which DNS servers are asked (grpc.github.io, doc/naming.md); `dns:///` is left to the
resolver of the system."""
_NAME = re.compile(r"(?=.{1,253}\.?$)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
"""A name of DNS (RFC 1035 section 2.3.4)."""
_SERVICE_NAME = re.compile(r"_[^.]+\._[^.]+\.(.+)")
"""The name of a service: `_service._protocol.name` (RFC 2782)."""
_DNS_PORT = 53


def _target(text: str) -> str:
    lower = text.lower()
    if lower.startswith(("http:", "https:", "grpc:", "grpcs:")) and "//" in text:
        scheme, _, rest = text.partition("//")
        address = rest.partition("/")[0].rpartition("@")[2] or "localhost:50051"
        tls = ", and tls: {} next to it for TLS" if scheme[:-1].lower().endswith("s") else ""
        raise ValueError(f"expected host:port without {scheme}//: {address}{tls}")
    if "," in text and not lower.startswith(_MANY):
        raise ValueError(
            "expected one address, such as localhost:50051: several go to targets: "
            "[{address: HOST:PORT}, ...], or use one name that resolves to all of them"
        )
    if not text or text != text.strip() or not text.isprintable():
        raise ValueError("expected host:port, such as localhost:50051, or unix:/path")
    return text


Target = Annotated[
    str, AfterValidator(_target), Words("host:port, or unix:/path", "localhost:50051")
]


Zone = Annotated[
    str,
    fits(
        r"[A-Za-z0-9](?:[A-Za-z0-9_.\-]{0,61}[A-Za-z0-9])?",
        "the name of a zone, of at most 63 letters, digits, dots, hyphens and underscores, such as "
        "eu-west-1a",
    ),
    Words("the name of a zone", "eu-west-1a"),
]
"""The values of Kubernetes' label topology.kubernetes.io/zone are such texts."""


_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$")]
Labels = Annotated[
    dict[_Word, _Word],
    Words("names and values of letters, digits, and . _ / -", "{version: canary}"),
]


class ForceLocal(Section):
    """Keep all calls in the zone of the gateway, whatever share of the endpoints is there."""

    min: Annotated[int, Field(ge=1, le=1000)] = 1
    """While at least so many endpoints of the zone can be used."""


class ZoneOptions(Section):
    """Keeps calls in the zone of the gateway, where `zone` and `targets[].zone` are set; for
    `http2`."""

    min_endpoints: Annotated[int, Field(ge=1, le=1000)] = 6
    """With fewer endpoints in a priority, all zones get calls alike: a few calls more would be too
    many for so few."""
    force_local: ForceLocal | None = None
    """Keep all calls in the zone; `{}` while one of its endpoints can be used; unset for only what
    these can take if all gateways do so."""


class TargetOptions(Section):
    """One endpoint of an upstream that has several."""

    address: Target
    """`host:port`, or `unix:/path`."""
    weight: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Its share of the calls, in proportion to the weights of the others."""
    priority: Annotated[int, Field(ge=0, le=127)] = 0
    """Endpoints with a higher number get calls only as far as those with lower numbers cannot take
    them."""
    labels: Labels = Field(default={}, max_length=16)
    """Names and values by which a split chooses it, such as `{version: canary}`."""
    zone: Zone | None = None
    """Where it runs, such as `eu-west-1a`: gateways of the same `zone` prefer it. All targets have
    one, or none."""


@dataclass(frozen=True, slots=True)
class DnsTarget:
    """A name for which DNS servers are asked, and not the resolver of the system."""

    server: str
    """The IP address of the server; empty for those that the system has."""
    server_port: int
    name: str
    """The name that is asked for."""
    authority: str
    """`name:port`, or the name without the labels of the service: what is sent to back ends and
    expected in their certificates, because nothing proves the names in an answer (RFC 9525
    section 6.1)."""
    is_service: bool
    """True if its SRV records are asked for, which have the ports."""


def dns_target(target: str) -> DnsTarget | None:
    """Reads `dns://SERVER[:PORT]/NAME:PORT`, `srv:///NAME` and `srv://SERVER[:PORT]/NAME`; None for
    a target of another form.

    Raises:
        ValueError: a part of it is bad; the text says what is right.
    """
    found = _OF_A_SERVER.fullmatch(target)
    if found is None or (found[1].lower() == "dns" and not found[2]):
        return None
    is_service = found[1].lower() == "srv"
    server, server_port = _server(found[2]) if found[2] else ("", _DNS_PORT)
    if is_service:
        service = _SERVICE_NAME.fullmatch(found[3])
        if service is None or not _NAME.fullmatch(found[3]):
            raise ValueError(
                "expected the name of a service, such as srv:///_grpc._tcp.library.internal; "
                "its SRV records have the ports"
            )
        return DnsTarget(server, server_port, found[3], service[1].rstrip("."), is_service=True)
    name, _, port = found[3].rpartition(":")
    if not _NAME.fullmatch(name) or _is_address(name) or not _is_port(port):
        raise ValueError(
            "expected a name and a port after the server, such as "
            f"dns://{found[2]}/library.internal:50051"
        )
    return DnsTarget(server, server_port, name, found[3], is_service=False)


def _server(text: str) -> tuple[str, int]:
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text.removeprefix("[").partition("]")
        port = port.removeprefix(":") if port.startswith(":") else "-" * len(port)
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not _is_address(host) or (port and not _is_port(port)) or text.endswith(":"):
        raise ValueError(
            f"{text}: expected the IP address of a DNS server, such as 10.0.0.2, 10.0.0.2:5353 "
            "or [2001:db8::2]:53"
        )
    return host, int(port or _DNS_PORT)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 65_535


def check_target(target: str, setting: str = "target") -> None:
    """Rejects a target to which the gateway's own client cannot connect, with `ValueError`."""
    try:
        named = dns_target(target)
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None
    if named is not None:
        if setting != "target":
            raise ValueError(
                f"{setting}: expected host:port: target, and not one of targets, is a name for "
                "which DNS servers are asked"
            )
        return
    if target.startswith("unix:"):
        if not target.removeprefix("unix:").strip("/"):
            raise ValueError(
                f"{setting}: expected the path of a socket, such as unix:/run/api.sock"
            )
        return
    address = target.removeprefix("dns:///")
    scheme = _SCHEME.match(address)
    if scheme is not None and scheme[0].lower() in _OF_KUBERNETES:
        raise ValueError(
            f"{setting}: {scheme[0]} is not known here; expected the DNS name of a headless "
            "Service and its port, such as library.default.svc.cluster.local:50051: each of its "
            "ready pods is an endpoint"
        )
    if scheme is not None:
        raise ValueError(
            f"{setting}: {scheme[0]} is for channel: grpcio; expected host:port or unix:/path"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        host, port = address, ""
    if not _HOST.fullmatch(host) or (port and not _is_port(port)):
        raise ValueError(f"{setting}: expected host:port, such as localhost:50051, or unix:/path")

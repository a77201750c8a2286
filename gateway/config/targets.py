"""Targets: the addresses of back ends in settings."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.config.sections import Section, Words

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:/|(?:ipv4|ipv6|unix-abstract|vsock):")
_MANY = ("ipv4:", "ipv6:")
"""The schemes with which gRPC accepts a list of addresses (grpc.github.io, doc/naming.md)."""
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+(?:%[^\]\s]+)?\]|[^\s:/,@\[\]]+")


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


class TargetOptions(Section):
    """One endpoint of an upstream that has several."""

    address: Target
    """`host:port`, or `unix:/path`."""
    weight: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Its share of the calls, in proportion to the weights of the others."""
    priority: Annotated[int, Field(ge=0, le=127)] = 0
    """Endpoints with a higher number get calls only as far as those with lower numbers cannot take
    them."""


def check_target(target: str, setting: str = "target") -> None:
    """Rejects a target to which the gateway's own client cannot connect, with `ValueError`."""
    if target.startswith("unix:"):
        if not target.removeprefix("unix:").strip("/"):
            raise ValueError(
                f"{setting}: expected the path of a socket, such as unix:/run/api.sock"
            )
        return
    address = target.removeprefix("dns:///")
    scheme = _SCHEME.match(address)
    if scheme is not None:
        raise ValueError(
            f"{setting}: {scheme[0]} is for channel: grpcio; expected host:port or unix:/path"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()):
        host, port = address, ""
    if not _HOST.fullmatch(host) or (port and not 0 < int(port[:6]) <= 65_535):
        raise ValueError(f"{setting}: expected host:port, such as localhost:50051, or unix:/path")

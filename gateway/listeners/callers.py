"""The programs at the other end of connections, as far as they have proved who they are."""

import asyncio
import pwd
import socket
import struct
from typing import Final, NamedTuple

_CREDENTIALS: Final = struct.Struct("iII")
"""The process, the user and the group of a peer (struct ucred)."""


class Caller(NamedTuple):
    """The other end of a connection, as far as it has proved who it is."""

    address: str
    """The IP address; empty on a unix socket."""
    name: str
    """The name in its certificate, or the user of its process on a unix socket; may be empty."""


def caller_of(writer: asyncio.StreamWriter) -> Caller:
    """Returns the other end of a connection."""
    own = writer.get_extra_info("socket")
    if own.family == socket.AF_UNIX:
        return Caller("", _user_of(own))
    certificate = writer.get_extra_info("peercert") or {}
    names = [value for _, value in certificate.get("subjectAltName", ()) if isinstance(value, str)]
    for attributes in certificate.get("subject", ()):
        names += [value for kind, value in attributes if kind == "commonName"]
    address, *_ = writer.get_extra_info("peername") or ("",)
    return Caller(str(address), names[0] if names else "")


def _user_of(own: socket.socket) -> str:
    """Returns the user of the process at the other end of a unix socket (unix(7))."""
    if not hasattr(socket, "SO_PEERCRED"):
        return ""
    found = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(found)
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may have no names for its users
        return str(uid)

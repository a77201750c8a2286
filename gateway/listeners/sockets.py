"""Ports: listening sockets, made before there is anything that serves on them.

Imports nothing that serves, so that a process which only hands sockets on stays small.
"""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gateway.status import StartUpError

BACKLOG = 1024
_UNIX = "unix:"
# Elsewhere sockets can share a port, too, but the kernel spreads no connections over them.
_KERNEL_BALANCES = sys.platform == "linux"
# sockaddr_un has 108 bytes on Linux and 104 on others, with a zero at the end (unix(7)).
_LONGEST_PATH = 107 if sys.platform == "linux" else 103
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class ListenError(StartUpError):
    """A port that cannot be had; the text says which and why."""


Sockets = list[socket.socket]
"""What one process listens on: a socket for each address of a host."""


def open_sockets(listen: str) -> Sockets:
    """The sockets that listen on `host:port` or `unix:/path`.

    Raises:
        ListenError: it is taken, or is none of this machine's.
    """
    return open_shared(listen, 1)[0]


def open_shared(listen: str, count: int) -> list[Sockets]:
    """As `open_sockets`, for each of `count` processes that serve one port together.

    Each has sockets of its own, so that the kernel spreads connections evenly, and keeps those that
    wait for a process while that is replaced. Where the kernel cannot, all have the same.

    Raises:
        ListenError: it is taken, or is none of this machine's.
    """
    with ExitStack() as undo:
        try:
            if listen.startswith(_UNIX):
                only = undo.enter_context(_listening_at(Path(listen.removeprefix(_UNIX))))
                undo.pop_all()
                return [[only]] * count
            share = count > 1 and _KERNEL_BALANCES
            first = [
                undo.enter_context(opened)
                for opened in _listening_on(*parse_address(listen), share=share)
            ]
            more = [_shared_with(first, undo) if share else first for _ in range(count - 1)]
        except (OSError, UnicodeError) as error:
            raise ListenError(_reason(listen, error)) from None
        undo.pop_all()
        return [first, *more]


def check_listen(listen: str) -> None:
    """Looks whether there can be such a port, without taking it.

    Names other than localhost are not looked up, and whether the port is free is not asked: the
    gateway that is to be replaced has it.

    Raises:
        ListenError: there cannot.
    """
    try:
        if listen.startswith(_UNIX):
            _check_path(Path(listen.removeprefix(_UNIX)))
            return
        host, _ = parse_address(listen)
        host.encode("idna")
        _check_address(host)
    except (OSError, UnicodeError) as error:
        raise ListenError(_reason(listen, error)) from None


def _check_path(path: Path) -> None:
    if path.exists() and not path.is_socket():
        raise OSError(errno.EADDRINUSE, "")
    if not path.parent.is_dir():
        raise OSError(errno.ENOENT, "")
    if not os.access(path.parent, os.W_OK):
        raise OSError(errno.EACCES, "")
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, "")


def _check_address(host: str) -> None:
    """Binds any port of a numeric address, to see whether this machine has it."""
    numeric = 0 if host == "localhost" else socket.AI_NUMERICHOST
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=numeric)
    except socket.gaierror:
        return  # a name
    missing: list[OSError] = []
    for family, kind, _, _, address in found:
        with socket.socket(family, kind) as probe:
            try:
                probe.bind(address)
            except OSError as error:
                missing.append(error)
    if len(missing) == len(found):
        raise missing[0]


def address_of(listen: str, sockets: Sockets) -> str:
    """`listen` with the real port: `host:port`, or `unix:/path` as it is."""
    if listen.startswith(_UNIX):
        return listen
    host, _ = parse_address(listen)
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{sockets[0].getsockname()[1]}"


def parse_address(listen: str) -> tuple[str, int]:
    """The host and port of `host:port`; an IPv6 address stands in brackets.

    Raises:
        ListenError: it is neither.
    """
    host, colon, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    if not colon or not is_port or (":" in host) is not bracketed:
        raise ListenError(f"cannot listen on {listen!r}: expected HOST:PORT or unix:/path")
    return host or "0.0.0.0", int(port)  # noqa: S104 - ":8080" asks for every interface


def _listening_at(path: Path) -> socket.socket:
    if path.is_socket():
        path.unlink()  # what a gateway that is no more has left
    opened = socket.socket(socket.AF_UNIX)
    try:
        opened.bind(str(path))
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _listening_on(host: str, port: int, *, share: bool) -> Iterator[socket.socket]:
    """A socket for each address of `host`; where any port will do, the same for all."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    missing: OSError | None = None
    some = False
    for family, *_, address in dict.fromkeys(found):
        where = (address[0], port, *address[2:])
        try:
            if share:
                # Sharing would hide that a stranger has the port: it is for our own alone.
                _bound(family, where, share=False).close()
            opened = _bound(family, where, share=share)
        except OSError as error:
            if error.errno not in _NO_SUCH_ADDRESS:
                raise
            missing = error  # a name such as localhost has IPv6 addresses where there is no IPv6
            continue
        some, port = True, opened.getsockname()[1]
        yield opened
    if missing is not None and not some:
        raise missing


def _shared_with(first: Sockets, undo: ExitStack) -> Sockets:
    """More sockets on the ports of `first`."""
    return [undo.enter_context(_bound(s.family, s.getsockname(), share=True)) for s in first]


def _bound(family: int, address: Any, *, share: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port in TIME_WAIT after the last run is free all the same.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _reason(listen: str, error: OSError | UnicodeError) -> str:
    is_unix = listen.startswith(_UNIX)
    reasons = {
        errno.EADDRINUSE: "something else than a socket has this name"
        if is_unix
        else "the port is taken; choose another with --listen HOST:PORT or GATEWAY_LISTEN",
        errno.EACCES: "this user may not write there"
        if is_unix
        else "not allowed; ports below 1024 need privileges",
    }
    otherwise = "this machine has no such address"
    if is_unix:
        otherwise = f"expected a path of at most {_LONGEST_PATH} bytes in a folder that is there"
    reason = reasons.get(getattr(error, "errno", None) or 0, otherwise)
    return f"cannot listen on {listen}: {reason}"

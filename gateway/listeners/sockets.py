"""Listening sockets, opened before a server uses them.

Sockets that several processes share do not listen yet: a client is refused, or reaches another
process, until the process that will answer it calls `listen(2)`.

This module imports no server code, so a process that only passes sockets on stays small.
"""

import errno
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from gateway.status import StartUpError

BACKLOG = 1024
_UNIX = "unix:"
# Other systems also have SO_REUSEPORT, but their kernels do not balance connections.
_KERNEL_BALANCES = sys.platform == "linux"
# sockaddr_un has 108 bytes on Linux and 104 on others, with a zero at the end (unix(7)).
_LONGEST_PATH = 107 if sys.platform == "linux" else 103
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class ListenError(StartUpError):
    """A port cannot be opened; the message states which one and why."""


Sockets = list[socket.socket]
"""The listening sockets of one process: one for each address of a host."""


def open_sockets(listen: str) -> Sockets:
    """Opens sockets that listen on `host:port` or `unix:/path`.

    Raises:
        ListenError: the address is invalid, in use, or not an address of this machine.
    """
    opened = open_shared(listen, 1)[0]
    try:
        for one in opened:
            one.listen(BACKLOG)
    except OSError as error:
        for one in opened:
            one.close()
        raise ListenError(why_not(listen, error)) from None
    keep_rebindable(opened)
    return opened


def open_shared(listen: str, count: int, ours: Sequence[socket.socket] = ()) -> list[Sockets]:
    """Opens bound sockets, which do not listen yet, for each of `count` processes of one port.

    On Linux each process gets separate sockets, so the kernel balances connections: if all shared
    one, the process that wakes first could take nearly all of a burst. Connections that wait for a
    process stay while it is replaced. Elsewhere all share the same sockets.

    The address may overlap with those of `ours`, open sockets on the same port.

    Raises:
        ListenError: the address is invalid, in use, or not an address of this machine.
    """
    with ExitStack() as undo:
        try:
            if listen.startswith(_UNIX):
                only = undo.enter_context(_listening_at(Path(listen.removeprefix(_UNIX))))
                undo.pop_all()
                return [[only]] * count
            share = count > 1 and _KERNEL_BALANCES
            host, port = parse_address(listen)
            opening = _listening_on(host, port, share=share, ours=ours)
            first = [undo.enter_context(opened) for opened in opening]
            more = [_beside(first, undo) if share else first for _ in range(count - 1)]
        except (OSError, UnicodeError) as error:
            raise ListenError(why_not(listen, error)) from None
        undo.pop_all()
        return [first, *more]


def check_listen(listen: str) -> None:
    """Checks that an address can be listened on, without opening it.

    It resolves no names except localhost. It does not check that the port is free, because the
    gateway that is about to be replaced uses it.

    Raises:
        ListenError: the address cannot be listened on.
    """
    try:
        if listen.startswith(_UNIX):
            _check_path(Path(listen.removeprefix(_UNIX)))
            return
        host, _ = parse_address(listen)
        host.encode("idna")
        _check_address(host)
    except (OSError, UnicodeError) as error:
        raise ListenError(why_not(listen, error)) from None


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
    """Binds a free port on a numeric address, to check that this machine has the address."""
    numeric = 0 if host == "localhost" else socket.AI_NUMERICHOST
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=numeric)
    except socket.gaierror:
        return  # a host name, which is not resolved
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
    """Returns `listen` with the actual port: `host:port`, or `unix:/path`.

    It is the address of the first socket if that is of another family than `listen`.
    """
    first = sockets[0]
    if first.family == socket.AF_UNIX or listen.startswith(_UNIX):
        return name_of(first)
    host, _ = parse_address(listen)
    return _joined(host, first.getsockname()[1])


def name_of(bound: socket.socket) -> str:
    """Returns the address of a socket: `host:port`, `unix:/path`, or `unix:@name` (unix(7))."""
    name = bound.getsockname()
    if bound.family != socket.AF_UNIX:
        return _joined(name[0], name[1])
    if isinstance(name, bytes):  # an abstract name, which begins with a zero
        name = os.fsdecode(name.replace(b"\0", b"@"))
    return f"{_UNIX}{name}"


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def end_socket(listening: socket.socket, *, is_port_closed: bool) -> None:
    """Closes a socket; with `is_port_closed` it accepts nothing in other processes either.

    Others may hold the same socket, and their copies would keep it listening.
    """
    if is_port_closed:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RD)
    listening.close()


def copy_of(one: socket.socket) -> socket.socket:
    """Returns a copy of a listening socket, which accepts and is closed by itself.

    `dup` alone would make the socket block for all who hold it, and so their event loops.
    """
    one.settimeout(0)
    return one.dup()


def keep_rebindable(sockets: Sockets) -> None:
    """Lets a successor have the port of sockets that listen while old connections fade away.

    Before, they must not share it (see `_bound`).
    """
    for one in sockets:
        if one.family != socket.AF_UNIX:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def parse_address(listen: str) -> tuple[str, int]:
    """Parses `host:port`; an IPv6 address must be in brackets.

    Raises:
        ListenError: the text is malformed.
    """
    host, colon, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    if not colon or not is_port or (":" in host) is not bracketed:
        raise ListenError(f"cannot listen on {listen!r}: expected HOST:PORT or unix:/path")
    return host or "0.0.0.0", int(port)  # noqa: S104 - ":8080" means every interface


def _listening_at(path: Path) -> socket.socket:
    if path.is_socket():
        path.unlink()  # left by a gateway that no longer runs
    opened = socket.socket(socket.AF_UNIX)
    try:
        opened.bind(str(path))
    except OSError:
        opened.close()
        raise
    return opened


def _listening_on(
    host: str, port: int, *, share: bool, ours: Sequence[socket.socket] = ()
) -> Iterator[socket.socket]:
    """Yields a socket for each address of `host`; port 0 becomes the same free port for all."""
    overlapping = [one for one in ours if _KERNEL_BALANCES and _port_of(one) == port]
    for one in overlapping:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    missing: OSError | None = None
    some = False
    for family, *_, address in dict.fromkeys(found):
        where = (address[0], port, *address[2:])
        try:
            if share and not overlapping:
                # First bind without SO_REUSEPORT, which would hide that another program uses it.
                _bound(family, where, share=False).close()
            is_ours = bool(overlapping)
            opened = _bound(family, where, share=share or is_ours, beside=is_ours)
        except OSError as error:
            if error.errno not in _NO_SUCH_ADDRESS:
                raise
            missing = error  # localhost can have an IPv6 address on a machine without IPv6
            continue
        some, port = True, opened.getsockname()[1]
        yield opened
    if missing is not None and not some:
        raise missing


def _beside(first: Sockets, undo: ExitStack) -> Sockets:
    """More sockets on the ports of `first`."""
    return [undo.enter_context(beside(one)) for one in first]


def beside(first: socket.socket) -> socket.socket:
    """Opens another socket on the address of one of ours, between which the kernel balances."""
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return _bound(first.family, first.getsockname(), share=True, beside=True)


def kernel_balances() -> bool:
    """True if several sockets of one address share its connections."""
    return _KERNEL_BALANCES


def unix_path(listen: str) -> Path | None:
    """Returns the path of a unix socket; None for a port."""
    return Path(listen.removeprefix(_UNIX)) if listen.startswith(_UNIX) else None


def _port_of(one: socket.socket) -> int | None:
    """Returns the port of a socket; None for a unix socket."""
    return None if one.family == socket.AF_UNIX else int(one.getsockname()[1])


def _bound(family: int, address: Any, *, share: bool, beside: bool = False) -> socket.socket:
    """A socket on an address; `beside` others of ours."""
    try:
        # Without SO_REUSEADDR nobody else gets the port before we listen on it ...
        return _bound_once(family, address, share=share, reuse=beside)
    except OSError as error:
        if beside or error.errno != errno.EADDRINUSE:
            raise
    # ... but a port in TIME_WAIT after the last run is free all the same.
    return _bound_once(family, address, share=share, reuse=True)


def _bound_once(family: int, address: Any, *, share: bool, reuse: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        if reuse:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened


def is_free(listen: str) -> bool:
    """True if no program uses an address; binds a port for a moment, and listens nowhere.

    Raises:
        ListenError: the address cannot be listened on for another reason.
    """
    check_listen(listen)
    if listen.startswith(_UNIX):
        return not accepts(Path(listen.removeprefix(_UNIX)))
    try:
        for one in _listening_on(*parse_address(listen), share=False):
            one.close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise ListenError(why_not(listen, error)) from None
    return True


def accepts(path: Path) -> bool:
    """True if a program accepts connections at a socket file."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        return client.connect_ex(os.fspath(path)) == 0


def why_not(listen: str, error: OSError | UnicodeError) -> str:
    """The reason, in words, that a place cannot be listened on."""
    is_unix = listen.startswith(_UNIX)
    reasons = {
        errno.EADDRINUSE: "a file of this name exists and is not a socket"
        if is_unix
        else "the port is taken; choose another with --listen HOST:PORT or GATEWAY_LISTEN",
        errno.EACCES: "this user may not write there"
        if is_unix
        else "not allowed; ports below 1024 need privileges",
    }
    otherwise = "this machine has no such address"
    if is_unix:
        otherwise = f"expected a path of at most {_LONGEST_PATH} bytes in an existing folder"
    reason = reasons.get(getattr(error, "errno", None) or 0, otherwise)
    return f"cannot listen on {listen}: {reason}"

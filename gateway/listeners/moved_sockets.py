"""The sockets of new processes beside those of the processes that they will replace.

Sockets of an address that stays are handed on, so no connection that waits in them is lost.
"""

import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress

from gateway.listeners.sockets import (
    ListenError,
    Sockets,
    accepts,
    beside,
    copy_of,
    kernel_balances,
    open_shared,
    unix_path,
)


def moved_sockets(
    listen: str, count: int, ours: Sequence[Sockets], *, moves: bool
) -> list[Sockets]:
    """Returns bound sockets for `count` processes; `ours` are those of the running processes.

    With `moves`, these listen on another address. If there are more processes than sockets, further
    ones are opened; if there are fewer, a process gets several, because closing one would refuse
    the clients that are just connecting. `close_others` undoes it.

    Raises:
        ListenError: the address is invalid, in use, or not an address of this machine.
    """
    if moves:
        refuse_taken(listen)
        return open_shared(listen, count, [one for each in ours for one in each])
    places: list[Sockets] = [[] for _ in range(count)]
    for same in _by_address(ours).values():
        first = same[0]
        if first.family == socket.AF_UNIX or not kernel_balances():
            for place in places:
                place.append(first)
            continue
        for number, one in enumerate(same):
            places[number % count].append(one)
        for place in places[len(same) :]:
            place.append(beside(first))
    return places


def refuse_taken(listen: str) -> None:
    """Refuses the path of a unix socket where a program listens: opening it would replace the file.

    Raises:
        ListenError: a program listens there.
    """
    path = unix_path(listen)
    if path is not None and path.is_socket() and accepts(path):
        raise ListenError(f"cannot listen on {listen}: another program listens there")


def copies_of(sockets: Sockets) -> Sockets:
    """Returns copies of sockets, each of which accepts and is closed by itself."""
    return [copy_of(one) for one in sockets]


def close_others(sockets: Sequence[Sockets], kept: Sequence[Sockets]) -> None:
    """Closes the sockets that are not among those `kept`, and removes their files.

    Other processes that hold copies can still accept from them.
    """
    stay = {one for each in kept for one in each}
    others = {one for each in sockets for one in each} - stay
    remove_files(others, stay)
    for one in others:
        one.close()


def remove_files(sockets: Iterable[socket.socket], kept: Iterable[socket.socket]) -> None:
    """Removes the files of unix sockets, but for those of the sockets that are `kept`."""
    files = {_file(one) for one in kept}
    for one in sockets:
        file = _file(one)
        if file and file not in files:
            with suppress(OSError):
                os.unlink(file)  # noqa: PTH108 - abstract names are no paths


def _by_address(ours: Sequence[Sockets]) -> dict[object, Sockets]:
    """Returns the different sockets by their addresses."""
    found: dict[object, Sockets] = {}
    for one in dict.fromkeys(one for each in ours for one in each):
        found.setdefault((one.family, one.getsockname()), []).append(one)
    return found


def _file(one: socket.socket) -> str:
    """Returns the path of the file of a unix socket; empty without a file."""
    if one.family != socket.AF_UNIX:
        return ""
    name = one.getsockname()
    return os.path.realpath(name) if isinstance(name, str) and name else ""

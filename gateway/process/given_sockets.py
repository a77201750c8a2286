"""The listening sockets that the service manager has opened for this process.

They are those of sd_listen_fds(3): the descriptors from 3 on, whose number and names stand in the
environment. The manager keeps its copies, so clients can connect while the gateway is replaced. So
these sockets must never be shut down: that would also end the copies.
"""

import os
import socket
from collections.abc import Iterable, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError

from gateway.config.model import Config
from gateway.listeners.sockets import ListenError, Sockets, name_of

_FIRST: Final = 3
_PROCESS: Final = "LISTEN_PID"
_COUNT: Final = "LISTEN_FDS"
_NAMES: Final = "LISTEN_FDNAMES"
_PROCESS_ID: Final = "LISTEN_PIDFDID"
_UNNAMED: Final = "unknown"
"""The name of a descriptor for which the manager states none."""
_PUBLIC: Final = "gateway"
_ADMIN: Final = "admin"
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
_ORIGIN: Final = "a socket of the service manager"


@dataclass(frozen=True, slots=True)
class GivenSockets:
    """The sockets by listener; None for a listener that opens its own."""

    public: Sockets | None = None
    """Those named `gateway`: of the public port, one or more."""
    admin: Sockets | None = None
    """The one named `admin`: of the admin listener."""

    def applied_to(self, config: Config) -> Config:
        """Returns the settings with the addresses of these sockets in place of those to open.

        Raises:
            ListenError: the settings do not allow such a socket.
        """
        found: dict[str, object] = {}
        if self.public is not None:
            if config.tls is not None and any(one.family == socket.AF_UNIX for one in self.public):
                raise ListenError(
                    f"a socket named {_PUBLIC} is a unix socket, but tls is set: expected a TCP "
                    "socket (ListenStream=PORT)"
                )
            found["listen"] = name_of(self.public[0])
        if self.admin is not None:
            found["admin"] = _section_with(config.admin, name_of(self.admin[0]))
        if not found:
            return config
        paths = ["admin.listen" if name == "admin" else name for name in found]
        origins = {**config.origins, **dict.fromkeys(paths, _ORIGIN)}
        return config.model_copy(update=found).with_origins(origins)


def take_given(environment: MutableMapping[str, str], first: int = _FIRST) -> GivenSockets:
    """Takes the sockets that were passed to this process, from the descriptor `first` on.

    Their variables are taken out of `environment`: no child must believe that it has them. Those
    for another process mean nothing (sd_listen_fds(3)).

    Raises:
        ListenError: the variables are malformed, or a descriptor is not a socket for a listener.
    """
    process, text, names, _ = (
        environment.pop(name, "") for name in (_PROCESS, _COUNT, _NAMES, _PROCESS_ID)
    )
    if process != str(os.getpid()):
        return GivenSockets()
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise ListenError(f"{_COUNT}: {text!r} is not the number of the descriptors passed")
    count = int(text)
    by_number = names.split(":") if names else [_UNNAMED] * count
    if len(by_number) != count:
        raise ListenError(f"{_NAMES} has {len(by_number)} names, but {_COUNT} is {count}")
    return _by_listener(enumerate(by_number, first))


def _by_listener(named: Iterable[tuple[int, str]]) -> GivenSockets:
    found: dict[str, Sockets] = {_PUBLIC: [], _ADMIN: []}
    with ExitStack() as undo:
        for number, name in named:
            what = f"descriptor {number}, named {name!r},"
            if name not in found:
                raise ListenError(
                    f"{what} belongs to no listener: expected FileDescriptorName={_PUBLIC} or "
                    f"FileDescriptorName={_ADMIN} in its .socket unit"
                )
            found[name].append(undo.enter_context(_listening(number, what)))
        if len(found[_ADMIN]) > 1:
            raise ListenError(f"{len(found[_ADMIN])} sockets are named {_ADMIN}: expected one")
        undo.pop_all()
    return GivenSockets(found[_PUBLIC] or None, found[_ADMIN] or None)


def _listening(number: int, what: str) -> socket.socket:
    """Returns the listening stream socket that a descriptor is."""
    try:
        given = socket.socket(fileno=number)
    except OSError as error:
        raise ListenError(f"{what} is not a socket: {os.strerror(error.errno or 0)}") from None
    is_stream = given.family in _FAMILIES and given.type == socket.SOCK_STREAM
    if not is_stream or not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        given.close()
        raise ListenError(
            f"{what} is not a listening stream socket: expected ListenStream= with Accept=no"
        )
    given.set_inheritable(False)
    return given


def _section_with(options: BaseModel, listen: str) -> BaseModel:
    """Returns the settings for a socket of the admin listener, which they must allow."""
    stated = {name: getattr(options, name) for name in options.model_fields_set}
    try:
        return type(options).model_validate({**stated, "listen": listen})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ListenError(f"the socket named {_ADMIN}: {reason}") from None

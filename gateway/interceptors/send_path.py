"""Sends the path of a request to back ends, in metadata that no client can set."""

from collections.abc import Awaitable
from typing import Final
from urllib.parse import quote

from gateway.call import Call, Handler, Reply

_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class SendPath:
    """Adds the path and the query of a request, as the client sent them, to a call's metadata.

    No client can set metadata of this name: the rules of metadata reserve it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Proceeds with a call to which its path is added."""
        path, query = call.target[1], call.query
        # What metadata cannot carry is escaped; escapes of the client stay.
        target = quote(f"{path}?{query}" if query else path, safe=_PRINTABLE)
        call.metadata.append((self._name, target))
        return proceed(call)

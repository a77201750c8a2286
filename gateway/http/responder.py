"""The interface behind a listener: requests in, responses out. The exchange implements it."""

from typing import Protocol

from gateway.config.limits import Limits
from gateway.http.messages import NO_FIELDS, HeaderFields, Request, Response
from gateway.status import StatusError


class Responder(Protocol):
    """Answers the requests of a listener; the listener knows nothing else of the gateway."""

    @property
    def limits(self) -> Limits:
        """The limits that apply to a new connection."""
        ...

    @property
    def speaks_websocket(self) -> bool:
        """True if a request can become a WebSocket."""
        ...

    async def answer(self, request: Request) -> Response:
        """Returns the response to a request; a failure becomes a response too.

        Raises:
            CancelledError: the client has disconnected.
        """
        ...

    def refuse(
        self,
        error: StatusError,
        peer: str,
        method: str = "",
        path: str = "",
        fields: HeaderFields = NO_FIELDS,
    ) -> Response:
        """Returns the response to a request that has no `Request` yet, because it is invalid."""
        ...

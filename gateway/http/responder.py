"""The interface behind a listener: requests in, responses out. The exchange implements it."""

from collections.abc import Awaitable

from gateway.config.limits import Limits
from gateway.http.messages import NO_FIELDS, HeaderFields, Request, Response, StatusError


class Responder:
    """Answers the requests of a listener; the listener knows nothing else of the gateway."""

    # A class and no protocol: as machine code, a call of a protocol costs several times as much.

    limits: Limits
    """The limits that apply to a new connection."""
    speaks_websocket: bool
    """True if a request can become a WebSocket."""

    def answer(self, request: Request) -> Awaitable[Response]:
        """Returns the response to a request; a failure becomes a response too.

        Raises:
            CancelledError: the client has disconnected.
        """
        raise NotImplementedError

    def answer_at_once(self, request: Request) -> Response | None:
        """Returns the response to a request that needs no task; None if `answer` must answer it."""
        raise NotImplementedError

    def refuse(
        self,
        error: StatusError,
        peer: str,
        method: str = "",
        path: str = "",
        fields: HeaderFields = NO_FIELDS,
    ) -> Response:
        """Returns the response to a request that has no `Request` yet, because it is invalid."""
        raise NotImplementedError

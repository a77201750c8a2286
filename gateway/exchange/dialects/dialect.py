"""The interface of a dialect: one protocol in which clients call methods."""

from collections.abc import Awaitable

from gateway.exchange.rendering import Encoder, Reply
from gateway.http.messages import Request, Response, StatusError
from gateway.transcoding.binding import RouteMatch

__all__ = ["Begun", "Dialect", "Encoder", "Reply", "RouteMatch"]

Begun = tuple[Awaitable[Reply], Encoder]
"""A call of REST that has begun: its reply, for `RestDialect.render`, and what encodes it."""


class Dialect:
    """One protocol in which clients call methods: it matches, answers and renders errors.

    A dialect opens the call of a request and stores it in `request.open_call`. The exchange ends
    the call, unless the response continues on its own (`Response.stream`, `Response.upgrade`).
    """

    # A class and no protocol: as machine code, a call of a protocol costs several times as much.

    def match(self, request: Request) -> RouteMatch | Response:
        """Returns the binding that serves a request; usually the failure if there is none.

        A failure that is rendered at once costs less than an error that is raised.

        Raises:
            StatusError: no binding serves it.
        """
        raise NotImplementedError

    def answer(
        self, request: Request, match: RouteMatch, started_s: float
    ) -> Begun | Response | Awaitable[Response]:
        """Returns the response to a call, or what must be awaited for it; usually the failure if a
        stage refuses the call. That the exchange awaits a reply itself saves a coroutine.

        The request arrived at `started_s`, on the loop's clock.

        Raises:
            StatusError: the call failed before any part of the response was sent.
            CancelledError: the client has disconnected, or the deadline of the call has passed.
        """
        raise NotImplementedError

    def fail(self, error: StatusError, request: Request | None = None) -> Response:
        """Returns the response for a failure; without a request, it depends on no header field."""
        raise NotImplementedError

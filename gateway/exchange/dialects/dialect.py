"""The interface of a dialect: one protocol in which clients call methods."""

from collections.abc import Awaitable

from gateway.exchange.rendering import Encoder, Rendering, Reply
from gateway.http.messages import Request, Response, StatusError
from gateway.transcoding.binding import RouteMatch

__all__ = ["Dialect", "Encoder", "Reply", "RouteMatch"]

Begun = tuple[Awaitable[Reply], Encoder]
"""The reply of a call that has begun, and what encodes it."""


class Dialect:
    """One protocol in which clients call methods: it matches, answers and renders errors.

    A dialect opens the call of a request and stores it in `request.open_call`. The exchange ends
    the call, unless the response continues on its own (`Response.stream`, `Response.upgrade`).
    """

    # A class and no protocol: as machine code, a call of a protocol costs several times as much.

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering

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
        """Returns what begins a call, whose reply must be awaited and given to `render`; or the
        response to it, or what must be awaited for that; usually the failure if a stage refuses it.

        The request arrived at `started_s`, on the loop's clock.

        Raises:
            StatusError: the call failed before any part of the response was sent.
            CancelledError: the client has disconnected, or the deadline of the call has passed.
        """
        raise NotImplementedError

    def render(
        self, request: Request, match: RouteMatch, reply: Reply, encode: Encoder
    ) -> Response | Awaitable[Response]:
        """Returns the response to the reply of a call, or what must be awaited for it.

        That this is no part of a coroutine of the dialect saves one for each call.

        Raises:
            StatusError: the reply cannot be rendered.
        """
        raise NotImplementedError

    def fail(self, error: StatusError, request: Request | None = None) -> Response:
        """Returns the response for a failure; without a request, it depends on no header field."""
        return self._rendering.failure(error, request)

"""The interface of a wire protocol that requests are made in."""

from typing import Protocol

from gateway.http.messages import Request, Response
from gateway.status import StatusError
from gateway.transcoding.binding import Binding
from gateway.transcoding.routing.router import Match


class Dialect(Protocol):
    """One protocol in which clients call methods: its matching, its answers, its failures.

    A dialect opens the call of a request, notes it in `request.open_call`, and leaves it to the
    exchange to end it, unless the response goes on by itself (`Response.stream`, `.upgrade`).
    """

    def match(self, request: Request) -> Match[Binding]:
        """The binding that serves a request.

        Raises:
            StatusError: none does.
        """
        ...

    async def answer(self, request: Request, match: Match[Binding], started_s: float) -> Response:
        """The response to a call; `started_s` is when the request came, on the loop's clock.

        Raises:
            StatusError: it failed before anything of the response was sent.
            CancelledError: the client is gone, or the call is overdue.
        """
        ...

    def fail(self, error: StatusError, accept: str | None = None) -> Response:
        """The response that tells of a failure; `accept` is the request's Accept header."""
        ...

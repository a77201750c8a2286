"""The exchange of a port with a health check: it answers that before all other work."""

from typing import Final

from gateway.exchange.exchange import Exchange
from gateway.exchange.site import Site
from gateway.http.messages import Endpoint, Request, Response

_METHODS: Final = ("GET", "HEAD")


class HealthCheckedExchange(Exchange):
    """Answers the health check without a log line, and without checks, credentials and limits.

    A class of its own, so that a port without a health check does not look for one in each request.
    """

    def __init__(self, site: Site, path: str, health: Endpoint) -> None:
        super().__init__(site)
        self._path = path
        self._health = health

    async def answer(self, request: Request) -> Response:
        """Returns the response to a request; see the base class."""
        if request.path == self._path and request.method in _METHODS:
            return await self._health(request)
        return await super().answer(request)

"""The health check on the public port: ready, or not."""

from gateway.http.messages import Request, Response

_TEXT = "text/plain; charset=utf-8"
_NO_STORE = ("Cache-Control", "no-store")


class Health:
    """The readiness of one process for requests of clients."""

    def __init__(self) -> None:
        self.is_ready = True
        """False from the beginning of a drain on."""

    async def answer(self, request: Request) -> Response:
        """Returns 200 if the process is ready, otherwise 503."""
        del request
        if self.is_ready:
            return Response(200, [_NO_STORE], b"ok\n", _TEXT)
        return Response(503, [_NO_STORE], b"draining\n", _TEXT)

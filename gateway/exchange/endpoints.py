"""The gateway's own endpoints on one listener, selected by path and then by HTTP method."""

from collections.abc import Sequence

from gateway.http.messages import Code, Endpoint, Endpoints, Request, Response, StatusError


class EndpointRegistry:
    """The endpoints of one listener; each listener has a separate registry."""

    def __init__(self, *of_rooms: Endpoints) -> None:
        self.by_path: dict[str, dict[str, Endpoint]] = {}
        self.unrecorded: set[str] = set()
        """Paths whose requests no observer receives, because a program asks them regularly."""
        for endpoints in of_rooms:
            for path, by_method in endpoints.items():
                for http_method, endpoint in by_method.items():
                    self.add(http_method, path, endpoint)

    def add(self, http_method: str, path: str, endpoint: Endpoint) -> None:
        """Adds an endpoint.

        Raises:
            ValueError: this method and path already have an endpoint.
        """
        by_method = self.by_path.setdefault(path, {})
        if http_method in by_method:
            raise ValueError(f"two endpoints are registered for {http_method} {path}")
        by_method[http_method] = endpoint

    def allowed_methods(self, path: str) -> Sequence[str]:
        """Returns the HTTP methods that are served on `path`, sorted; empty if there are none.

        HEAD and OPTIONS are among them without an endpoint (RFC 9110 section 10.2.1).
        """
        by_method = self.by_path.get(path)
        if by_method is None:
            return []
        head = ["HEAD"] if "GET" in by_method else []
        return sorted({*by_method, *head, "OPTIONS"})

    async def answer(self, request: Request) -> Response:
        """Returns the response of the endpoint on the request's path, which must be registered.

        Raises:
            StatusError: HTTP status 405 for a method without an endpoint, 204 for OPTIONS (RFC
                9110 sections 15.5.6 and 9.3.7); also any error that the endpoint raises.
        """
        by_method = self.by_path[request.path]
        endpoint = by_method.get(request.method)
        if endpoint is None and request.method == "HEAD":
            endpoint = by_method.get("GET")  # RFC 9110 section 9.3.2
        if endpoint is None:
            raise _not_allowed(request.method, self.allowed_methods(request.path))
        return await endpoint(request)


def options_answer(methods: Sequence[str]) -> StatusError:
    """Returns the answer to OPTIONS: no failure, and no RPC (RFC 9110 section 9.3.7)."""
    return StatusError(Code.OK, "", http_status=204, headers=[("Allow", ", ".join(methods))])


def _not_allowed(method: str, allowed: Sequence[str]) -> StatusError:
    if method == "OPTIONS":
        return options_answer(allowed)
    return StatusError(
        Code.UNIMPLEMENTED,
        f"{method} is not served here; allowed: {', '.join(allowed)}",
        http_status=405,
        headers=[("Allow", ", ".join(allowed))],
    )

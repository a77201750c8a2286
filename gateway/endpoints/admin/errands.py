"""The endpoints of the admin listener whose answers only a process that serves has."""

from typing import Final

from gateway.endpoints.admin.endpoints import Endpoint, Endpoints, Request, Response, json_object
from gateway.endpoints.admin.operations import Errand, Operations

QUESTIONS: Final = ("/schema", "/openapi.json", "/keys")
ORDERS: Final = ("/keys", "/keys/rotate", "/keys/revoke", "/tokens/revoke", "/limits/reset")


def errand_endpoints(operations: Operations) -> Endpoints:
    """Returns the endpoints: GET of `QUESTIONS`, and POST of `ORDERS`."""
    endpoint = _endpoint(operations)
    found: dict[str, dict[str, Endpoint]] = {path: {"GET": endpoint} for path in QUESTIONS}
    for path in ORDERS:
        found.setdefault(path, {})["POST"] = endpoint
    return found


def _endpoint(operations: Operations) -> Endpoint:
    async def answer(request: Request) -> Response:
        is_order = request.method == "POST"
        wanted = await json_object(request) if is_order else {}
        # HEAD is answered as GET, without its body (RFC 9110 section 9.3.2).
        errand = Errand(f"{'POST' if is_order else 'GET'} {request.path}", wanted)
        done = await operations.run(errand)
        return Response(done.status, [("Cache-Control", "no-store")], done.body, done.media_type)

    return answer

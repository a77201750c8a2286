"""Sends the gRPC code of a successful call as a header, by `metadata.grpc_status`."""

from gateway.http.messages import Request, Response
from gateway.status import Code


class GrpcStatus:
    """Adds `grpc-status: 0` to a success; not to streams, which may still fail.

    The code of a failure is in its body.
    """

    def add_headers(self, request: Request, response: Response) -> None:
        """Adds the header to a response, if it is that of a call."""
        is_over = response.stream is None and response.upgrade is None
        if request.open_call is not None and is_over and response.code is Code.OK:
            response.headers.append(("grpc-status", "0"))

    def variant(self, request: Request) -> str:
        """Returns whether there is a call: equal responses to calls have equal codes."""
        return "" if request.open_call is None else "call"

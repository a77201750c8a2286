"""Sends the gRPC code of a successful call as a header, by `metadata.grpc_status`."""

from typing import Final

from gateway.http.messages import Code, Request, Response


class GrpcStatus:
    """Adds `grpc-status: 0` to a success; not to streams, which may still fail.

    The code of a failure is in its body.
    """

    variant: Final = None
    """No part of a request decides it: equal responses to calls have equal codes."""

    def add_headers(self, request: Request, response: Response) -> None:
        """Adds the header to a response, if it is that of a call."""
        is_over = response.stream is None and response.upgrade is None
        # A stored reply is sent without a call, as the call would send it.
        is_of_call = request.open_call is not None or response.form is not None
        if is_of_call and is_over and response.code is Code.OK:
            response.headers.append(("grpc-status", "0"))

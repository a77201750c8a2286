"""Asks the authentication server over a channel."""

from google.protobuf.message import DecodeError

from gateway.auth.tokens.authentication_server import AuthenticationServer
from gateway.schema.catalog import Method, Source
from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from gatewayapi.v1 import auth_pb2
from gatewayapi.v1.auth_pb2 import AuthenticateRequest, AuthenticateResponse

_TIMEOUT_S = 10.0
"""Seconds for the server to answer: a client that asks for a token would not wait much longer."""


def authentication_server(channel: Channel, timeout_s: float = _TIMEOUT_S) -> AuthenticationServer:
    """The authentication server on `channel`."""
    service = auth_pb2.DESCRIPTOR.services_by_name["AuthService"]
    described = service.methods_by_name["Authenticate"]
    method = Method(
        service.full_name,
        described.name,
        described.input_type,
        described.output_type,
        client_streaming=False,
        server_streaming=False,
        rules=(),
        source=Source(auth_pb2.DESCRIPTOR.name),
    )

    async def authenticate(request: AuthenticateRequest) -> AuthenticateResponse:
        reply = await channel.call(method, request.SerializeToString(), [], timeout_s)
        try:
            return AuthenticateResponse.FromString(reply.message)
        except DecodeError:
            raise StatusError(
                Code.INTERNAL, "the authentication server's answer cannot be read"
            ) from None

    return authenticate

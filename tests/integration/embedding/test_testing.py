"""The test helper: a user's own service, called over REST in a few lines."""

from typing import Any

from gateway.testing import GatewayClient
from gen.echo.v1.echo_pb2 import EchoRequest, EchoResponse
from gen.echo.v1.echo_pb2_grpc import EchoServiceServicer, add_EchoServiceServicer_to_server


class Parrot(EchoServiceServicer):
    async def Echo(self, request: EchoRequest, context: Any) -> EchoResponse:
        return EchoResponse(text=request.text)


async def test_a_servicer_is_called_over_rest(gateway_client: GatewayClient) -> None:
    client = await gateway_client((add_EchoServiceServicer_to_server, Parrot()))
    async with client.get("/v1/echo/hello") as response:
        assert response.status == 200
        assert (await response.json())["text"] == "hello"

"""The small server of the admin listener answers, whatever an endpoint raises."""

import asyncio
import socket

import pytest

from gateway.exchange.endpoints import EndpointRegistry
from gateway.http.messages import Request, Response
from gateway.listeners.plain_http import serve_endpoints
from gateway.status import StatusError


def admit(request: Request) -> None:
    """Admits every request."""


def fail(error: StatusError) -> Response:
    return Response(error.http_status, [], error.message.encode(), "text/plain")


@pytest.mark.parametrize("fault", [OSError(5, "disk"), TimeoutError(), ConnectionResetError()])
async def test_a_fault_of_an_endpoint_is_answered_and_logged(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def faulty(_: Request) -> Response:
        raise fault

    listening = socket.create_server(("127.0.0.1", 0))
    registry = EndpointRegistry({"/fault": {"GET": faulty}})
    async with serve_endpoints([listening], registry, admit, fail):
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"GET /fault HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert "an admin request failed" in caplog.text

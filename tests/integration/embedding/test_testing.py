"""The test helper: a user's own service, called over REST in a few lines."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway import Principal
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


class Mirror(EchoServiceServicer):
    """Answers with the caller that the gateway states."""

    async def Echo(self, request: EchoRequest, context: Any) -> EchoResponse:
        metadata = dict(context.invocation_metadata())
        words = (metadata["x-principal"], metadata["x-principal-scopes"])
        return EchoResponse(text=request.text, words=words)


ADA = Principal("users/ada", frozenset({"echo.read"}))
NEEDS_SCOPE = [{"selector": "echo.v1.*", "scopes": {"all": ["echo.read"]}}]


async def test_a_test_calls_as_a_logged_in_caller(gateway_client: GatewayClient) -> None:
    served = (add_EchoServiceServicer_to_server, Mirror())
    client = await gateway_client(served, caller=ADA, policies=NEEDS_SCOPE)
    async with client.get("/v1/echo/hello") as response:
        assert (await response.json())["words"] == ["users/ada", "echo.read"]
    async with client.get("/v1/echo/hello", headers={"Authorization": "Bearer "}) as response:
        assert response.status == 401
        assert "no token after Authorization: Bearer" in (await response.json())["error"]["message"]


async def test_a_caller_without_the_scope_is_refused(gateway_client: GatewayClient) -> None:
    served = (add_EchoServiceServicer_to_server, Mirror())
    client = await gateway_client(served, caller=Principal("users/bob"), policies=NEEDS_SCOPE)
    async with client.get("/v1/echo/hello") as response:
        assert response.status == 403


async def test_a_caller_needs_a_store_that_can_be_shared(gateway_client: GatewayClient) -> None:
    served = (add_EchoServiceServicer_to_server, Mirror())
    with pytest.raises(ValueError, match="not memory:"):
        await gateway_client(served, caller=ADA, auth={"store": "memory:"})


def test_without_pytest_asyncio_the_fixture_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(gateway_client):\n    pass\n")
    without = "import sys; sys.modules['pytest_asyncio'] = None; import pytest; "
    run = f"sys.exit(pytest.main(['-p', 'gateway.testing', {str(tmp_path)!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", without + run],
        cwd=tmp_path,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the fixture gateway_client needs pytest-asyncio" in done.stdout

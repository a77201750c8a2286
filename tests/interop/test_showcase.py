"""Google's showcase API: its server behind the gateway, its generated Go client in front.

Both come from one Go module and are used untouched: see showcase/main.go.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.interop.servers import HERE, go_command

TIMEOUT_S = 60
CALLS = 101
# The generated client knows the first path of a method alone, and does not escape a slash in a
# value that is one segment. The first is a path that no method has, the second one segment more.
CLIENT_CANNOT = {
    "Compliance.RepeatDataPathResource: Binding testing additional binding",
    "Compliance.RepeatDataSimplePath: Extreme values",
}

pytestmark = pytest.mark.slow


@pytest.fixture
async def showcase(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Process]:
    """The process of the client, which is also its back end."""
    cache: Path = request.config.cache.mkdir("interop")
    command = await asyncio.to_thread(go_command, cache, "showcase")
    process = await asyncio.create_subprocess_exec(
        *command, str(tmp_path), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_googles_go_client_works_untouched(showcase: Process, tmp_path: Path) -> None:
    assert showcase.stdin is not None
    assert showcase.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        port = int(await showcase.stdout.readline())
        settings = {
            "listen": "127.0.0.1:0",
            "compat": "google",
            "descriptors": [tmp_path / "showcase.binpb"],
            "service_config": [HERE / "showcase" / "mixins.yaml"],
            "upstreams": {"showcase": {"target": f"127.0.0.1:{port}"}},
            "log": {"access": "off"},
        }
        async with open_gateway(Config.model_validate(settings)) as gateway:
            showcase.stdin.write(f"{gateway.address}\n".encode())
            said = (await showcase.stdout.read()).decode()
    results = dict(line.split("\t", 1) for line in said.splitlines())
    sys.stdout.write(said)
    assert {name for name, result in results.items() if result != "ok"} == CLIENT_CANNOT
    assert len(results) == CALLS

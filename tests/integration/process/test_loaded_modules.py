"""A worker holds in memory only the libraries that its settings need."""

import asyncio
from pathlib import Path

import pytest

from tests.support.gateway_process import gateway_process
from tests.support.http import RawClient

OTHERS = """
import sys, threading
from gateway.status import Code, StatusError

LARGE = (
    "aiohttp.client", "aiohttp.connector", "gateway.app.description", "gateway.openapi.changes",
    "gateway.openapi.document", "gateway.process.admin", "gateway.process.supervisor",
    "google.protobuf.json_format", "grpc", "opentelemetry.trace",
)

class Tells:
    async def __call__(self, call, proceed):
        loaded = [name for name in LARGE if name in sys.modules]
        found = []

        def take():
            from aiohttp import ClientSession, hdrs, streams
            import aiohttp.http_parser
            found.append((ClientSession, streams, aiohttp.http_parser.HttpRequestParser))

        threads = [threading.Thread(target=take) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        from gateway.listeners.http1 import request_reader
        (session, streams, parser), *others = set(found)
        assert len(found) == 4 and not others
        assert parser is request_reader.HttpRequestParser
        assert not hasattr(sys.modules["aiohttp"], "nothing")
        raise StatusError(Code.FAILED_PRECONDITION, f"{loaded} {session.__name__}")
"""


@pytest.mark.parametrize("supervised", [False, pytest.param(True, id="with a supervisor")])
async def test_a_worker_loads_what_it_needs_and_aiohttp_when_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, supervised: bool
) -> None:
    (tmp_path / "others.py").write_text(OTHERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    config = {
        "listen": "127.0.0.1:0",
        "modules": ["gen.echo.v1"],
        "upstreams": {"echo": {"target": "127.0.0.1:1"}},
        "supervisor": {"always": supervised},
        "interceptors": [{"use": "others:Tells"}],
    }
    async with gateway_process(tmp_path / "gateway", **config) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = await RawClient(reader, writer).get("/v1/echo/hello")
        writer.close()
    assert answer.json()["error"]["message"] == "[] ClientSession"
